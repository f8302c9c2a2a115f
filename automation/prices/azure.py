"""Azure's retail prices, which need no credentials, and which region sells what.

https://learn.microsoft.com/en-us/rest/api/cost-management/retail-prices/azure-retail-prices
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import httpx

from automation.cloud_api.azure import Azure
from automation.cloud_api.refused import Refused
from automation.prices.reading import Quote, Reading, Sold
from components.catalog import InstanceType

RETAIL_URL: Final = "https://prices.azure.com/api/retail/prices"

_SKUS_VERSION: Final = "2021-07-01"
_TIMEOUT: Final = httpx.Timeout(8, connect=3)
_OTHER_PRODUCT: Final = re.compile(r"\bWin(dows)?\b|Cloud ?Services|Dedicated Host")
_CLOSED: Final = re.compile(r"(euap|stage|stg)$")
"""Regions for Microsoft's own tests."""
_SPOT: Final = re.compile(r"\bSpot\b")
_LOW_PRIORITY: Final = re.compile(r"\bLow Priority\b")


class AzurePrices:
    """Azure's public price list."""

    title = "Azure"
    url = RETAIL_URL

    def __init__(self, endpoint: str = RETAIL_URL, connect: Callable[[], Azure] = Azure.connect) -> None:
        self._endpoint = endpoint
        self._connect = connect

    def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
        """Return spot and on-demand prices of Linux in a region.

        Raises:
            Refused: the list could not be read, or has no price that can be used.
        """
        names = frozenset(kind.name for kind in kinds)
        today = dt.datetime.now(tz=dt.UTC).date().isoformat()
        found: dict[tuple[str, bool], tuple[str, float]] = {}
        for item in self._items(region, sorted(names)):
            price, since = float(item.get("retailPrice") or 0), str(item.get("effectiveStartDate", ""))
            if item.get("armSkuName") not in names or not _is_hourly_linux(item) or price <= 0 or since[:10] > today:
                continue
            key = (str(item["armSkuName"]), _is_spot(item))
            # Of several meters of one machine, the one that was set last counts.
            found[key] = max((since, price), found.get(key, (since, price)))
        if not found:
            raise Refused("no_prices", f"the list has no prices of {region} that can be used")
        quotes = tuple(
            Quote(
                instance_type=name, region=region, spot=_price(found, name, True), on_demand=_price(found, name, False)
            )
            for name in sorted({name for name, _ in found})
        )
        return Reading(quotes=quotes, spot=names, on_demand=names)

    def sold(self, kinds: Sequence[InstanceType]) -> Sold:
        """Return the regions that sell each of these sizes, by the list of SKUs, which needs credentials.

        What is closed to this subscription is open to others, so `restrictions` are not looked at.
        https://learn.microsoft.com/en-us/rest/api/compute/resource-skus/list

        Raises:
            Refused: there are no credentials, or Azure could not be asked.
        """
        names = {kind.name for kind in kinds}
        found: dict[str, set[str]] = {}
        for sku in self._connect().items("providers/Microsoft.Compute/skus", _SKUS_VERSION):
            if sku.get("resourceType") == "virtualMachines" and sku.get("name") in names:
                regions = {str(region).lower() for region in sku.get("locations", ())}
                found.setdefault(sku["name"], set()).update(name for name in regions if not _CLOSED.search(name))
        return Sold(regions={name: frozenset(regions) for name, regions in found.items()})

    def _items(self, region: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        skus = " or ".join(f"armSkuName eq '{name}'" for name in names)
        asked = (
            "serviceName eq 'Virtual Machines' and priceType eq 'Consumption' "
            f"and armRegionName eq '{region}' and ({skus})"
        )
        try:
            with httpx.Client(timeout=_TIMEOUT) as http:
                answer = http.get(self._endpoint, params={"currencyCode": "USD", "$filter": asked})
                while True:
                    page = _page(answer)
                    yield from page.get("Items") or ()
                    following = page.get("NextPageLink")
                    if not following:
                        return
                    # It carries the query that it belongs to.
                    answer = http.get(following)
        except httpx.HTTPError as error:
            raise Refused("unreachable", f"{type(error).__name__}: {error}") from error


def _page(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise Refused(f"HTTP {answer.status_code}", answer.text[:200], answer.status_code)
    try:
        return dict(answer.json())
    except ValueError as error:
        raise Refused("no_json", f"the answer is no JSON: {answer.text[:200]}") from error


def _is_hourly_linux(item: dict[str, Any]) -> bool:
    """Reservations and prices for test subscriptions are of another `type`."""
    return (
        item.get("type") == "Consumption"
        and item.get("unitOfMeasure") == "1 Hour"
        and item.get("currencyCode") == "USD"
        and not _OTHER_PRODUCT.search(str(item.get("productName", "")))
        and not _LOW_PRIORITY.search(_meter(item))
    )


def _is_spot(item: dict[str, Any]) -> bool:
    return bool(_SPOT.search(_meter(item)))


def _meter(item: dict[str, Any]) -> str:
    return f"{item.get('skuName', '')} {item.get('meterName', '')}"


def _price(found: dict[tuple[str, bool], tuple[str, float]], name: str, spot: bool) -> float | None:
    return found[name, spot][1] if (name, spot) in found else None
