"""What the resources of a preview cost, before and after: the catalog's dated prices, and what is not in them."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from automation.preview.steps import Step, Values, at
from components import catalog

HOURS_PER_MONTH: Final = catalog.HOURS_PER_MONTH

NOT_IN_IT: Final = "traffic, the bucket, snapshots, taxes and discounts"
"""What no sum here has in it."""


@dataclass(frozen=True)
class Machine:
    """A machine as it would be bought.

    Attributes:
        provider: `aws`, `azure` or `gcp`.
        instance_type: the cloud's name for its size.
        region: where.
        zone: the zone as the cloud's property names it, or empty.
        spot: whether the cloud may take it back.
        max_price: the most to pay in USD/hour; None where there is no limit of one's own.
    """

    provider: str
    instance_type: str
    region: str
    zone: str
    spot: bool
    max_price: float | None


@dataclass(frozen=True)
class Item:
    """One thing that costs.

    Attributes:
        what: in words.
        hourly: USD/hour; None where no price is known.
        source: URL of the price, or empty.
        date: the day that the source says it is of; None where it does not say.
        note: what else is to be known.
    """

    what: str
    hourly: float | None
    source: str = ""
    date: dt.date | None = None
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """What one side of a preview costs."""

    items: tuple[Item, ...] = ()

    @property
    def hourly(self) -> float:
        """The sum of what has a price, in USD/hour."""
        return sum(item.hourly or 0.0 for item in self.items)

    @property
    def monthly(self) -> float:
        """The same for a month of 730 hours, in USD."""
        return self.hourly * HOURS_PER_MONTH

    @property
    def unknown(self) -> tuple[str, ...]:
        """What has no known price."""
        return tuple(item.what for item in self.items if item.hourly is None)


NOTHING: Final = Cost()
"""Nothing that costs."""


def before(steps: Iterable[Step]) -> Cost:
    """Return what is paid for now."""
    return of((step.type, step.old) for step in steps if step.action != "create")


def after(steps: Iterable[Step]) -> Cost:
    """Return what will be paid for."""
    return of((step.type, step.new) for step in steps if step.action != "delete")


def of(resources: Iterable[tuple[str, Values | None]]) -> Cost:
    """Return what resources cost, given with their types and inputs."""
    return Cost(tuple(_items(resources)))


def machine(type_: str, values: Values) -> Machine | None:
    """Return the machine that a resource's inputs describe; None for other resources."""
    read = _MACHINES.get(type_)
    return read(values) if read is not None else None


def _items(resources: Iterable[tuple[str, Values | None]]) -> Iterator[Item]:
    known = [(type_, values) for type_, values in sorted(resources, key=lambda one: one[0]) if values is not None]
    spots = [found for type_, values in known if (found := machine(type_, values)) is not None]
    for type_, values in known:
        found = machine(type_, values)
        if found is not None:
            yield _machine_item(found)
            yield from _disk_items(found, values)
        elif type_ in _ADDRESSES:
            provider = _ADDRESSES[type_]
            region = _region(values) or next((one.region for one in spots), "")
            yield _other(f"public IPv4 address at {provider}", provider, "public-ipv4", region, "hour", 1)


def _machine_item(of: Machine) -> Item:
    market = "spot" if of.spot else "on-demand"
    what = f"{of.instance_type} ({market}) in {of.region}"
    try:
        rows = catalog.prices(of.provider, of.instance_type)
    except catalog.UnknownName:
        return Item(what, None)
    in_region = [row for row in rows if row.region == of.region]
    of_zone = [row for row in in_region if of.zone and row.zone == of.zone]
    priced = [
        (price, row) for row in of_zone or in_region if (price := row.spot if of.spot else row.on_demand) is not None
    ]
    if not priced:
        return Item(what, None)
    price, row = min(priced, key=lambda one: one[0])
    source = row.source if of.spot else row.on_demand_source or row.source
    note = "" if row.zone in (None, of.zone) else "the cheapest zone's"
    if of.max_price:
        note = f"{note}; at most {of.max_price:g} USD/hour" if note else f"at most {of.max_price:g} USD/hour"
    return Item(what, price, source.url, source.date, note)


def _disk_items(of: Machine, values: Values) -> Iterator[Item]:
    if of.provider == "aws":
        disk = at(values, "rootBlockDevice") or {}
        kind, size = disk.get("volumeType"), disk.get("volumeSize")
        if isinstance(size, int | float):
            yield _other(f"{size:g} GiB {kind} disk", "aws", str(kind), of.region, "gib-month", size)
            for name, unit, shown in (("throughput", "mibps-month", "MiB/s"), ("iops", "iops-month", "IOPS")):
                if isinstance(disk.get(name), int | float):
                    number = disk[name]
                    yield _other(f"its {number:g} {shown}", "aws", str(kind), of.region, unit, number)
        return
    path = {"azure": "storageProfile.osDisk.diskSizeGB", "gcp": "bootDisk.initializeParams.size"}[of.provider]
    kinds = {"azure": "storageProfile.osDisk.managedDisk.storageAccountType", "gcp": "bootDisk.initializeParams.type"}
    size, kind = at(values, path), at(values, kinds[of.provider])
    if isinstance(size, int | float):
        yield _other(f"{size:g} GiB {kind} disk", of.provider, str(kind), of.region, "gib-month", size)


def _other(what: str, provider: str, kind: str, region: str, unit: Any, units: float) -> Item:  # noqa: ANN401 - a literal
    price = catalog.other_price(provider, kind, region, unit)
    return Item(what, None) if price is None else Item(what, price.hourly(units), price.source, price.date)


def _region(values: Values) -> str:
    return str(values.get("region") or values.get("location") or "")


def _aws(values: Values) -> Machine:
    options = values.get("instanceMarketOptions")
    spot = isinstance(options, Mapping) and options.get("marketType") == "spot"
    cap = at(values, "instanceMarketOptions.spotOptions.maxPrice")
    zone = values.get("availabilityZone") or ""
    return Machine("aws", str(values.get("instanceType")), _region(values), str(zone), spot, _price(cap))


def _azure(values: Values) -> Machine:
    # The provider keeps names as they were given, Azure answers with small letters.
    region = _region(values).lower().replace(" ", "")
    cap = _price(at(values, "billingProfile.maxPrice"))
    size = str(at(values, "hardwareProfile.vmSize"))
    return Machine("azure", size, region, "", values.get("priority") == "Spot", cap if cap and cap > 0 else None)


def _gcp(values: Values) -> Machine:
    zone = str(values.get("zone") or "")
    spot = at(values, "scheduling.provisioningModel") == "SPOT" or at(values, "scheduling.preemptible") is True
    return Machine("gcp", str(values.get("machineType")), zone.rpartition("-")[0], zone, spot, None)


def _price(value: object) -> float | None:
    try:
        return float(str(value)) if value is not None else None
    except ValueError:
        return None


_MACHINES: Final = {
    "aws:ec2/instance:Instance": _aws,
    "azure-native:compute:VirtualMachine": _azure,
    "gcp:compute/instance:Instance": _gcp,
}
_ADDRESSES: Final = {
    "aws:ec2/eip:Eip": "aws",
    "azure-native:network:PublicIPAddress": "azure",
    "gcp:compute/address:Address": "gcp",
}
