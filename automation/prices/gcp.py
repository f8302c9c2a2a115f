"""Google's list of prices, from which a machine's is put together, and which region sells what.

https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list
"""

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from automation.cloud_api.gcp import Gcp
from automation.cloud_api.refused import Refused
from automation.prices.reading import Quote, Reading, Sold
from components.catalog import InstanceType

SKUS_URL: Final = "https://cloudbilling.googleapis.com/v1/services/6F81-5844-456A/skus"
"""The prices of Compute Engine."""

_FIELDS: Final = (
    "nextPageToken,skus(description,category/usageType,serviceRegions,"
    "pricingInfo/pricingExpression(usageUnit,tieredRates/unitPrice))"
)
"""The list is of tens of thousands of prices; this is a tenth of its bytes."""

# The words of the list before "running in …", as in https://cloud.google.com/skus and
# https://github.com/Cyclenerd/google-cloud-pricing-cost-calculator/blob/08440e74c5f5f7dc4ba9a10d0d02f195df568173/build/mapping.csv
_CORES: Final = {
    "n1-standard": "N1 Predefined Instance",
    "g2-standard": "G2 Instance",
    "g4-standard": "G4 Instance",
    "a2-highgpu": "A2 Instance",
    "a2-ultragpu": "A2 Instance",
    "a3-highgpu": "A3 Instance",
}
"""By the type's family. How the list names the cores of a3-ultragpu and a4-highgpu is not known: no price of them."""
_GPUS: Final = {
    "T4": "Nvidia Tesla T4 GPU",
    "L4": "Nvidia L4 GPU",
    "RTX-PRO-6000": "RTX 6000 96GB",
    "A100-40": "Nvidia Tesla A100 GPU",
    "A100-80": "Nvidia Tesla A100 80GB GPU",
    "H100": "Nvidia H100 80GB GPU",
}
_PRODUCT: Final = Path("/sys/class/dmi/id/product_name")
"""Says Google on a machine of Compute Engine: https://cloud.google.com/compute/docs/instances/detect-compute-engine"""
_SSD: Final = "SSD backed Local Storage"
_ATTACHED_TO_SPOT: Final = " attached to Spot Preemptible VMs"
_PLACE: Final = re.compile(r" (?:running )?in [^(]*$")
_HOURS_A_MONTH: Final = 730
"""How Google counts a month: https://cloud.google.com/compute/disks-image-pricing"""

Rates = Mapping[tuple[str, str, bool], float]
"""USD/hour of one core, GiB or GPU by its words in the list, region, and whether it is spot."""


class GcpPrices:
    """The list of prices, read once however many regions are asked for."""

    title = "GCP"
    url = SKUS_URL

    def __init__(self, connect: Callable[[], Gcp] | None = None, url: str = SKUS_URL) -> None:
        self._connect = connect or quick_connect
        self._url = url
        self._lock = threading.Lock()
        self._known: Rates | Refused | None = None

    def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
        """Return spot and on-demand prices in a region of the types that the list can price.

        Raises:
            Refused: there are no credentials, the Cloud Billing API is not enabled, or it could not be asked.
        """
        rates = self._rates()
        quotes = [
            Quote(
                instance_type=kind.name,
                region=region,
                spot=price_of(kind, region, rates, spot=True),
                on_demand=price_of(kind, region, rates, spot=False),
            )
            for kind in kinds
        ]
        # What can't be put together is not known; it may well be sold.
        return Reading(
            quotes=tuple(quote for quote in quotes if quote.spot or quote.on_demand),
            spot=frozenset(quote.instance_type for quote in quotes if quote.spot),
            on_demand=frozenset(quote.instance_type for quote in quotes if quote.on_demand),
        )

    def sold(self, kinds: Sequence[InstanceType]) -> Sold:
        """Return the regions that sell each of these types; one that does not carry its GPU is sold where that GPU is.

        https://cloud.google.com/compute/docs/reference/rest/v1/machineTypes/aggregatedList

        Raises:
            Refused: there are no credentials, or Google could not be asked.
        """
        gcp = self._connect()
        zones = _zones(gcp, "machineTypes")
        if any(kind.accelerator for kind in kinds):
            zones |= _zones(gcp, "acceleratorTypes")
        named = {kind.name: zones.get(kind.accelerator or kind.name, set()) for kind in kinds}
        regions = {name: frozenset(zone.rpartition("-")[0] for zone in found) for name, found in named.items() if found}
        return Sold(regions=regions)

    def _rates(self) -> Rates:
        with self._lock:
            if self._known is None:
                try:
                    listed = self._connect().items(
                        self._url, "skus", currencyCode="USD", pageSize="5000", fields=_FIELDS
                    )
                    self._known = rates_of(listed)
                except Refused as error:
                    self._known = error
            if isinstance(self._known, Refused):
                raise self._known
            return self._known


def quick_connect(environment: Mapping[str, str] = os.environ, product: Path = _PRODUCT) -> Gcp:
    """Return the project of the credentials, and refuse at once where none can be.

    Google's library would ask the metadata service of a Google machine, for up to nine seconds on any other.

    Raises:
        Refused: there are no credentials, or no project.
    """
    own = environment.get("CLOUDSDK_CONFIG")
    folder = Path(own) if own else Path.home() / ".config" / "gcloud"
    named = any(environment.get(name) for name in ("GOOGLE_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"))
    here = product.is_file() and "Google" in product.read_text(encoding="utf-8", errors="replace")
    if not (named or here or (folder / "application_default_credentials.json").is_file()):
        raise Refused("no_credentials", "no credentials were found; gcloud auth application-default login makes some")
    return Gcp.connect(environment=environment)


def rates_of(skus: Iterator[dict[str, Any]]) -> Rates:
    """Return what one core, GiB or GPU costs an hour; commitments and reservations are left out."""
    found: dict[tuple[str, str, bool], float] = {}
    for sku in skus:
        usage = sku.get("category", {}).get("usageType")
        price = _hourly(sku)
        if usage not in {"OnDemand", "Preemptible"} or price is None:
            continue
        words = _PLACE.sub("", str(sku.get("description", "")))
        for region in sku.get("serviceRegions", ()):
            found[words, str(region), usage == "Preemptible"] = price
    return found


def price_of(kind: InstanceType, region: str, rates: Rates, *, spot: bool) -> float | None:
    """Return a machine's price in USD/hour: its cores, RAM, GPUs and local SSD. None where one of them is not known."""
    family, gpu = _CORES.get(kind.name.rpartition("-")[0]), _GPUS.get(kind.gpu)
    if family is None or gpu is None:
        return None
    cores, attached = ("Spot Preemptible ", _ATTACHED_TO_SPOT) if spot else ("", "")
    parts = [
        (f"{cores}{family} Core", kind.vcpus),
        (f"{cores}{family} Ram", kind.memory_gib),
        (f"{gpu}{attached}", kind.gpu_count),
        (f"{_SSD}{attached}", kind.local_nvme_gib),
    ]
    total = 0.0
    for words, amount in parts:
        rate = rates.get((words, region, spot))
        if amount and rate is None:
            return None
        total += amount * (rate or 0.0)
    return round(total, 6)


def _zones(gcp: Gcp, listed: str) -> dict[str, set[str]]:
    """Return the zones of each thing in an aggregated list, whose items are by zone and not one after the other."""
    found: dict[str, set[str]] = {}
    token = ""
    while True:
        page = gcp.get(f"aggregated/{listed}", maxResults="500", **({"pageToken": token} if token else {}))
        for place, items in page.get("items", {}).items():
            for item in items.get(listed, ()):
                found.setdefault(str(item["name"]), set()).add(place.rpartition("/")[2])
        token = page.get("nextPageToken", "")
        if not token:
            return found


def _hourly(sku: Mapping[str, Any]) -> float | None:
    """Return the price in USD/hour for one unit, or None where it is of another sort."""
    try:
        told = sku["pricingInfo"][-1]["pricingExpression"]
        price = told["tieredRates"][-1]["unitPrice"]
        amount = int(price.get("units", 0)) + int(price.get("nanos", 0)) / 1e9
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    # RAM is sold by GiB and hour, a disk by GiB and month.
    hours = {"h": 1, "GiBy.h": 1, "GiBy.mo": _HOURS_A_MONTH}.get(told.get("usageUnit"))
    if hours is None or amount <= 0 or price.get("currencyCode", "USD") != "USD":
        return None
    return amount / hours
