"""A machine of Google's is put together from the prices of its parts.

The rows have the shape of https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list and the words of
https://github.com/Cyclenerd/google-cloud-pricing-cost-calculator/blob/08440e74c5f5f7dc4ba9a10d0d02f195df568173/build/mapping.csv
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automation.cloud_api.refused import Refused
from automation.prices import gcp
from automation.prices.gcp import GcpPrices
from components import catalog

from .conftest import Answers, Api, google

Serve = Callable[[Answers], Api]

L4 = catalog.instance_type("gcp", "g2-standard-4")
A100 = catalog.instance_type("gcp", "a2-ultragpu-1g")
B200 = catalog.instance_type("gcp", "a4-highgpu-8g")
T4 = catalog.instance_type("gcp", "n1-standard-4")


def sku(words: str, usd: float, usage: str = "Preemptible", unit: str = "h", place: str = "Americas") -> dict[str, Any]:
    units = int(usd)
    rate = {"currencyCode": "USD", "units": str(units), "nanos": round((usd - units) * 1e9)}
    return {
        "name": "services/6F81-5844-456A/skus/0000-0000-0000",
        "skuId": "0000-0000-0000",
        "description": f"{words} running in {place}" if place else words,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": "Compute",
            "resourceGroup": "GPU",
            "usageType": usage,
        },
        "serviceRegions": ["us-central1", "us-east1"],
        "pricingInfo": [
            {
                "summary": "",
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": 1,
                    "tieredRates": [{"startUsageAmount": 0, "unitPrice": rate}],
                },
                "currencyConversionRate": 1,
                "effectiveTime": "2026-11-20T00:00:00Z",
            }
        ],
        "serviceProviderName": "Google",
    }


G2 = [
    sku("Spot Preemptible G2 Instance Core", 0.01),
    sku("Spot Preemptible G2 Instance Ram", 0.001, unit="GiBy.h"),
    sku("Nvidia L4 GPU attached to Spot Preemptible VMs", 0.25),
    sku("G2 Instance Core", 0.025, "OnDemand"),
    sku("G2 Instance Ram", 0.003, "OnDemand", "GiBy.h"),
    sku("Nvidia L4 GPU", 0.56, "OnDemand"),
    sku("Commitment v1: Nvidia L4 GPU", 0.1, "Commit1Yr"),
    sku("Reserved Nvidia L4 GPU", 0.1, "OnDemand"),
]


def read(serve: Serve, kinds: list[catalog.InstanceType], *skus: dict[str, Any]) -> Any:
    api = serve(lambda _path, _query: {"skus": list(skus)})
    return GcpPrices(lambda: google(api)).read("us-central1", kinds)


def test_a_price_is_that_of_cores_ram_and_gpus_for_spot_and_on_demand(serve: Serve) -> None:
    (quote,) = read(serve, [L4], *G2).quotes
    assert quote.spot == pytest.approx(4 * 0.01 + 16 * 0.001 + 0.25)
    assert quote.on_demand == pytest.approx(4 * 0.025 + 16 * 0.003 + 0.56)


def test_whole_dollars_count_and_the_local_ssd_of_a_month_is_in_the_price_of_an_hour(serve: Serve) -> None:
    (quote,) = read(
        serve,
        [A100],
        sku("A2 Instance Core", 0.03, "OnDemand"),
        sku("A2 Instance Ram", 0.004, "OnDemand", "GiBy.h"),
        sku("Nvidia Tesla A100 80GB GPU", 3.92, "OnDemand"),
        sku("SSD backed Local Storage", 0.08, "OnDemand", "GiBy.mo", place=""),
    ).quotes
    assert quote.on_demand == pytest.approx(12 * 0.03 + 170 * 0.004 + 3.92 + 375 * 0.08 / 730, abs=1e-5)
    assert quote.spot is None


def test_a_machine_with_a_part_of_no_known_price_is_not_priced_rather_than_too_cheap(serve: Serve) -> None:
    without_ssd = [
        sku("A2 Instance Core", 0.03, "OnDemand"),
        sku("A2 Instance Ram", 0.004, "OnDemand", "GiBy.h"),
        sku("Nvidia Tesla A100 80GB GPU", 3.92, "OnDemand"),
    ]
    reading = read(serve, [L4, A100, B200], *G2[:2], *G2[3:], *without_ssd)
    assert [(quote.instance_type, quote.spot) for quote in reading.quotes] == [(L4.name, None)]
    assert (reading.spot, reading.on_demand) == (frozenset(), {L4.name})


def test_every_page_is_read_once_however_many_regions_are_asked_for(serve: Serve) -> None:
    pages = {"": {"skus": G2[:2], "nextPageToken": "two"}, "two": {"skus": G2[2:], "nextPageToken": ""}}
    api = serve(lambda _path, query: pages[query.get("pageToken", "")])
    prices = GcpPrices(lambda: google(api))
    first, second = prices.read("us-central1", [L4]), prices.read("us-east1", [L4])
    assert first.quotes[0].spot == second.quotes[0].spot == pytest.approx(0.306)
    assert [(path, query.get("pageToken")) for path, query in api.asked] == [
        ("/v1/services/6F81-5844-456A/skus", None),
        ("/v1/services/6F81-5844-456A/skus", "two"),
    ]


def test_an_api_that_is_not_enabled_is_told_for_each_region(serve: Serve) -> None:
    api = serve(lambda _path, _query: 403)
    prices = GcpPrices(lambda: google(api))
    for region in ("us-central1", "us-east1"):
        with pytest.raises(Refused) as refused:
            prices.read(region, [L4])
        assert refused.value.status == 403
    assert len(api.asked) == 1


def test_without_credentials_nobody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        gcp.quick_connect({"CLOUDSDK_CONFIG": str(tmp_path)}, tmp_path / "product_name")
    assert refused.value.code == "no_credentials"


def test_a_type_is_sold_where_it_is_listed_or_where_its_gpu_is(serve: Serve) -> None:
    # https://cloud.google.com/compute/docs/reference/rest/v1/machineTypes/aggregatedList
    machines = [
        {
            "items": {
                "zones/us-central1-a": {"machineTypes": [{"name": L4.name}, {"name": T4.name}]},
                "zones/us-west8-a": {"warning": {"code": "NO_RESULTS_ON_PAGE"}},
            },
            "nextPageToken": "1",
        },
        {"items": {"zones/europe-west4-b": {"machineTypes": [{"name": L4.name}]}}},
    ]
    gpus = {"items": {"zones/us-east1-c": {"acceleratorTypes": [{"name": "nvidia-tesla-t4"}]}}}
    api = serve(
        lambda path, query: machines[int(query.get("pageToken", "0"))] if path.endswith("machineTypes") else gpus
    )
    sold = GcpPrices(lambda: google(api)).sold([L4, T4, B200])
    assert sold.regions == {L4.name: {"us-central1", "europe-west4"}, T4.name: {"us-east1"}}
    assert api.asked[0][0] == "/compute/v1/projects/a-project/aggregated/machineTypes"
