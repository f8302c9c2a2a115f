"""Azure's retail prices: what is Linux, spot or on-demand, and what is neither.

The rows have the shape of https://learn.microsoft.com/en-us/rest/api/cost-management/retail-prices/azure-retail-prices;
"Srs Win", "Low Priority" and "DevTestConsumption" are words of that list that public collectors of prices had to learn.
"""

from collections.abc import Callable
from typing import Any

import pytest

from automation.cloud_api.azure import Azure
from automation.cloud_api.refused import Refused
from automation.prices.azure import AzurePrices
from components import catalog

from .conftest import Answers, Api

Serve = Callable[[Answers], Api]

H100 = catalog.instance_type("azure", "Standard_NC40ads_H100_v5")
T4 = catalog.instance_type("azure", "Standard_NC4as_T4_v3")


def meter(price: float, **changes: object) -> dict[str, Any]:
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": "eastus",
        "location": "US East",
        "effectiveStartDate": "2024-01-01T00:00:00Z",
        "meterName": "NC40adsH100v5",
        "productName": "Virtual Machines NCadsH100v5 Series",
        "skuName": "NC40adsH100v5",
        "serviceName": "Virtual Machines",
        "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": "Standard_NC40ads_H100_v5",
        **changes,
    }


def spot(price: float, **changes: object) -> dict[str, Any]:
    return meter(price, skuName="NC40adsH100v5 Spot", meterName="NC40adsH100v5 Spot", **changes)


def page(*items: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    told = {"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail"}
    return {**told, "Items": list(items), "NextPageLink": following, "Count": len(items)}


def read(serve: Serve, *items: dict[str, Any]) -> tuple[float | None, float | None]:
    api = serve(lambda _path, _query: page(*items))
    (quote,) = AzurePrices(api.url).read("eastus", [H100]).quotes
    return quote.spot, quote.on_demand


def test_spot_and_on_demand_are_told_apart(serve: Serve) -> None:
    assert read(serve, meter(6.98), spot(2.19)) == (2.19, 6.98)


@pytest.mark.parametrize(
    "other",
    [
        meter(8.82, productName="Virtual Machines NCadsH100v5 Series Windows"),
        meter(8.82, productName="Virtual Machines NCadsH100v5 Srs Win"),
        meter(1.4, skuName="NC40adsH100v5 Low Priority", meterName="NC40adsH100v5 Low Priority"),
        meter(36_500.0, type="Reservation", reservationTerm="1 Year"),
        meter(5.0, type="DevTestConsumption"),
        meter(5.0, currencyCode="EUR"),
        meter(5.0, productName="NCadsH100v5 Series Cloud Services"),
        meter(5.0, effectiveStartDate="2999-01-01T00:00:00Z"),
        meter(0.0),
    ],
)
def test_what_is_no_price_of_a_linux_machine_by_the_hour_is_left_out(serve: Serve, other: dict[str, Any]) -> None:
    assert read(serve, other, meter(6.98)) == (None, 6.98)
    assert read(serve, meter(6.98), other) == (None, 6.98)


def test_of_two_meters_the_one_that_was_set_last_counts(serve: Serve) -> None:
    newer = spot(1.5, effectiveStartDate="2026-11-01T00:00:00Z")
    assert read(serve, newer, spot(2.19)) == (1.5, None)


def test_every_page_is_read_and_one_question_names_the_region_and_all_types(serve: Serve) -> None:
    pages: list[dict[str, Any]] = []
    api = serve(lambda _path, query: pages[int(query.get("$skip", "0"))])
    name = {"armSkuName": T4.name, "skuName": "NC4as T4 v3", "meterName": "NC4as T4 v3"}
    pages += [page(meter(6.98), following=f"{api.url}/api?$skip=1"), page(meter(0.526, **name))]
    reading = AzurePrices(f"{api.url}/api").read("eastus", [H100, T4])
    assert {quote.instance_type: quote.on_demand for quote in reading.quotes} == {H100.name: 6.98, T4.name: 0.526}
    (_, first), _ = api.asked
    assert "armRegionName eq 'eastus'" in first["$filter"]
    assert f"(armSkuName eq '{H100.name}' or armSkuName eq '{T4.name}')" in first["$filter"]


def test_a_region_without_prices_that_can_be_used_is_as_if_it_had_not_answered(serve: Serve) -> None:
    api = serve(lambda _path, _query: page())
    with pytest.raises(Refused, match="no prices of eastus"):
        AzurePrices(api.url).read("eastus", [H100])


def test_too_many_requests_are_told(serve: Serve) -> None:
    api = serve(lambda _path, _query: 429)
    with pytest.raises(Refused) as refused:
        AzurePrices(api.url).read("eastus", [H100])
    assert (refused.value.code, refused.value.status) == ("HTTP 429", 429)


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(Refused) as refused:
        AzurePrices("http://127.0.0.1:9/prices").read("eastus", [H100])
    assert refused.value.code == "unreachable"


def test_the_regions_of_a_size_are_read_from_the_list_of_skus(serve: Serve) -> None:
    # https://learn.microsoft.com/en-us/rest/api/compute/resource-skus/list
    closed = [{"type": "Location", "values": ["westus"], "reasonCode": "NotAvailableForSubscription"}]
    skus = [
        {
            "resourceType": "virtualMachines",
            "name": H100.name,
            "locations": ["EastUS", "eastus2euap"],
            "restrictions": [],
        },
        {"resourceType": "virtualMachines", "name": H100.name, "locations": ["westus"], "restrictions": closed},
        {"resourceType": "virtualMachines", "name": "Standard_D2s_v5", "locations": ["eastus"], "restrictions": []},
        {"resourceType": "disks", "name": H100.name, "locations": ["northeurope"], "restrictions": []},
    ]
    api = serve(lambda _path, _query: {"value": skus})
    prices = AzurePrices(api.url, lambda: Azure("a-subscription", lambda: "token", api.url))
    assert prices.sold([H100, T4]).regions == {H100.name: {"eastus", "westus"}}
    assert api.asked[0][0] == "/subscriptions/a-subscription/providers/Microsoft.Compute/skus"
