"""Amazon's spot prices, its placement scores, and which region sells what, through EC2's API."""

import datetime as dt
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from automation.cloud_api import aws
from automation.cloud_api.refused import Refused
from automation.prices.reading import Quote, Reading, Sold
from components.catalog import InstanceType

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import GetSpotPlacementScoresRequestPaginateTypeDef

SPOT_PRICES_URL: Final = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html"
OFFERINGS_URL: Final = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"

_LINUX: Final = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
_ASKED_IN: Final = "us-east-1"
"""Where questions go that are about all regions: it is enabled in every account."""
_ONE_TRY: Final = aws.QUICK.merge(Config(connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 1}))
"""Nobody waits longer than that for prices; times in seconds."""


class AwsPrices:
    """EC2 of one account."""

    title = "AWS"
    url = SPOT_PRICES_URL

    def __init__(self, connect: Callable[[], boto3.Session] = aws.session, config: Config = _ONE_TRY) -> None:
        self._connect = connect
        self._config = config
        self._session: boto3.Session | None = None
        self._has_keys = False
        # A session can't make clients in several threads at once:
        # https://boto3.amazonaws.com/v1/documentation/api/latest/guide/session.html#multithreading-or-multiprocessing-with-sessions
        self._lock = threading.Lock()

    def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
        """Return the current spot prices of Linux in each zone of a region; EC2's API tells no on-demand prices.

        Raises:
            Refused: there are no credentials, the region is not enabled, or EC2 could not be asked.
        """
        names = frozenset(kind.name for kind in kinds)
        with aws.answers():
            ec2 = self._client(region)
            zones = _zone_ids(ec2)
            quotes = _spot_prices(ec2, region, names, zones)
        if not quotes:
            raise Refused("no_prices", f"EC2 told no spot price in {region}")
        return Reading(quotes=quotes, spot=names, on_demand=frozenset())

    def scores(self, regions: Sequence[str], names: Sequence[str]) -> dict[str, int]:
        """Return a score of 1 to 10 by zone ID for getting one machine of any of these types.

        One question for all of them: the number of different questions a day is limited, and a question for a single
        type always scores low. EC2 tells the ten best zones only.
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-sps-works.html

        Raises:
            Refused: the day's questions are used up, or EC2 could not be asked.
        """
        asked: GetSpotPlacementScoresRequestPaginateTypeDef = {
            "InstanceTypes": sorted(names),
            "TargetCapacity": 1,
            "SingleAvailabilityZone": True,
        }
        if regions:
            asked["RegionNames"] = sorted(regions)
        with aws.answers():
            pages = self._client(_ASKED_IN).get_paginator("get_spot_placement_scores").paginate(**asked)
            found = [score for page in pages for score in page["SpotPlacementScores"]]
        return {score["AvailabilityZoneId"]: score["Score"] for score in found if score.get("AvailabilityZoneId")}

    def sold(self, kinds: Sequence[InstanceType]) -> Sold:
        """Return what the regions that the account may use sell.

        Raises:
            Refused: there are no credentials, or EC2 could not be asked.
        """
        names = sorted(kind.name for kind in kinds)
        with aws.answers():
            enabled = self._client(_ASKED_IN).describe_regions(AllRegions=False)["Regions"]
            sold = {region["RegionName"]: self._sold_in(region["RegionName"], names) for region in enabled}
        by_type = {name: frozenset(region for region, here in sold.items() if name in here) for name in names}
        return Sold(regions=by_type, asked=frozenset(sold))

    def _sold_in(self, region: str, names: Sequence[str]) -> frozenset[str]:
        pages = (
            self._client(region)
            .get_paginator("describe_instance_type_offerings")
            .paginate(LocationType="region", Filters=[{"Name": "instance-type", "Values": list(names)}])
        )
        return frozenset(str(found["InstanceType"]) for page in pages for found in page["InstanceTypeOfferings"])

    def _client(self, region: str) -> "EC2Client":
        with self._lock:
            if self._session is None:
                self._session = self._connect()
                # Looked for once: without any, boto3 asks the metadata service each time, and waits for it.
                self._has_keys = self._session.get_credentials() is not None
            if not self._has_keys:
                raise Refused("no_credentials", "no credentials were found")
            return self._session.client("ec2", region_name=region, config=self._config)


def _zone_ids(ec2: "EC2Client") -> dict[str, str]:
    """A zone's name means another zone in another account; its ID does not. Local Zones have to be opted into."""
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    return {zone["ZoneName"]: zone["ZoneId"] for zone in zones if zone.get("ZoneType") in (None, "availability-zone")}


def _spot_prices(ec2: "EC2Client", region: str, names: frozenset[str], zones: dict[str, str]) -> tuple[Quote, ...]:
    now = dt.datetime.now(tz=dt.UTC)
    # From now to now: the price that holds in each zone. A filter, unlike a list, may name types that a region lacks.
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        StartTime=now,
        EndTime=now,
        ProductDescriptions=[_LINUX[0]],
        Filters=[{"Name": "instance-type", "Values": sorted(names)}],
    )
    latest: dict[tuple[str, str], tuple[dt.datetime, float]] = {}
    for page in pages:
        for row in page["SpotPriceHistory"]:
            zone = zones.get(row["AvailabilityZone"])
            if zone is None or row["ProductDescription"] not in _LINUX:
                continue
            key, seen = (str(row["InstanceType"]), zone), (row["Timestamp"], float(row["SpotPrice"]))
            latest[key] = max(seen, latest.get(key, seen))
    return tuple(
        Quote(instance_type=name, region=region, zone=zone, spot=price)
        for (name, zone), (_, price) in sorted(latest.items())
        if name in names and price > 0
    )
