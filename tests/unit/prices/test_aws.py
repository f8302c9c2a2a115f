"""Amazon's spot prices by zone ID, and its placement scores."""

import datetime as dt
import threading
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from automation.cloud_api.refused import Refused
from automation.prices.aws import AwsPrices
from components import catalog

KINDS = [catalog.instance_type("aws", name) for name in ("g4dn.xlarge", "g5.xlarge")]


class OneClient:
    """A session whose only client is stubbed."""

    def __init__(self) -> None:
        session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
        self.ec2 = session.client("ec2", region_name="us-east-1")
        self.stub = Stubber(self.ec2)

    def get_credentials(self) -> object:
        return self

    def client(self, service: str, **_options: object) -> Any:
        return self.ec2


def stubbed() -> tuple[AwsPrices, Stubber]:
    session: Any = OneClient()
    return AwsPrices(lambda: session), session.stub


ZONES = {
    "AvailabilityZones": [
        {"ZoneName": "us-east-1a", "ZoneId": "use1-az4", "ZoneType": "availability-zone"},
        {"ZoneName": "us-east-1-dfw-2a", "ZoneId": "use1-dfw2-az1", "ZoneType": "local-zone"},
    ]
}


def price(zone: str, amount: str, minute: int, product: str = "Linux/UNIX") -> dict[str, Any]:
    return {
        "AvailabilityZone": zone,
        "InstanceType": "g5.xlarge",
        "ProductDescription": product,
        "SpotPrice": amount,
        "Timestamp": dt.datetime(2026, 11, 26, 10, minute, tzinfo=dt.UTC),
    }


def test_prices_are_by_the_ids_of_zones_since_their_names_differ_between_accounts(amazon: str) -> None:
    reading = AwsPrices().read("us-east-1", KINDS)
    found = {(quote.instance_type, quote.zone) for quote in reading.quotes}
    assert ("g5.xlarge", "use1-az6") in found
    assert {name for name, _ in found} == {"g4dn.xlarge", "g5.xlarge"}
    assert all(zone.startswith("use1-az") for _, zone in found)
    assert all(quote.spot == 0.00001 and quote.on_demand is None for quote in reading.quotes)
    assert reading.spot == {"g4dn.xlarge", "g5.xlarge"}
    assert reading.on_demand == frozenset()


def test_the_latest_price_of_linux_in_a_zone_that_needs_no_opt_in_counts() -> None:
    prices, stub = stubbed()
    stub.add_response("describe_availability_zones", ZONES)
    rows = [
        price("us-east-1a", "0.40", 1),
        price("us-east-1a", "0.43", 5),
        price("us-east-1a", "0.41", 3),
        price("us-east-1a", "0.99", 9, product="Windows"),
        price("us-east-1-dfw-2a", "0.10", 5),
    ]
    stub.add_response("describe_spot_price_history", {"SpotPriceHistory": rows[:1], "NextToken": "more"})
    stub.add_response("describe_spot_price_history", {"SpotPriceHistory": rows[1:]})
    with stub:
        (quote,) = prices.read("us-east-1", KINDS).quotes
    assert (quote.zone, quote.spot) == ("use1-az4", 0.43)


def test_one_question_tells_the_placement_scores_of_all_zones() -> None:
    prices, stub = stubbed()
    told = [{"Region": "us-east-1", "AvailabilityZoneId": "use1-az4", "Score": 9}]
    asked = {
        "InstanceTypes": ["g5.xlarge", "g6.xlarge"],
        "TargetCapacity": 1,
        "SingleAvailabilityZone": True,
        "RegionNames": ["us-east-1"],
    }
    stub.add_response("get_spot_placement_scores", {"SpotPlacementScores": told}, asked)
    with stub:
        assert prices.scores(["us-east-1"], ["g6.xlarge", "g5.xlarge"]) == {"use1-az4": 9}
    stub.assert_no_pending_responses()


def test_a_refusal_is_told_in_amazons_words() -> None:
    prices, stub = stubbed()
    stub.add_client_error("get_spot_placement_scores", "MaxConfigLimitExceeded", "too many questions today", 400)
    with stub, pytest.raises(Refused, match="too many questions") as refused:
        prices.scores([], ["g5.xlarge"])
    assert refused.value.code == "MaxConfigLimitExceeded"


def test_several_threads_without_credentials_look_for_them_once() -> None:
    looked: list[None] = []

    class NoKeys:
        def get_credentials(self) -> None:
            looked.append(None)

    nobody: Any = NoKeys()
    prices, codes = AwsPrices(lambda: nobody), []

    def ask() -> None:
        try:
            prices.read("us-east-1", KINDS)
        except Refused as refused:
            codes.append(refused.code)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes, len(looked)) == (["no_credentials"] * 5, 1)


def test_the_regions_that_sell_a_type_are_those_of_the_account_that_say_so(amazon: str) -> None:
    sold = AwsPrices().sold(KINDS)
    assert sold.asked is not None
    assert "us-east-1" in sold.regions["g5.xlarge"] <= sold.asked
    assert "us-west-1" in sold.regions["g4dn.xlarge"] - sold.regions["g5.xlarge"]
