"""A refresh of the catalog's prices and regions from what the clouds tell. Pure: what was read comes as data."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from automation.prices.reading import Quote, Reading, Sold
from components.catalog import InstanceType, checks
from components.catalog.price_file import Row

ChangeKind = Literal["new", "gone", "price", "sold", "not_sold"]
"""`sold` and `not_sold` are of a region, the others of a row."""


@dataclass(frozen=True)
class Told:
    """What one cloud told.

    Attributes:
        source: name under which its prices stand in price_sources.yaml.
        sold: None where it did not say which region sells what.
        readings: by region.
    """

    source: str
    sold: Sold | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What a refresh changes in one place; prices in USD/hour, None where there is none."""

    kind: ChangeKind
    provider: str
    instance_type: str
    place: str
    market: str = ""
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        what = f"{self.provider} {self.instance_type} {self.place} {self.market}".rstrip()
        if self.before is not None and self.after is not None:
            return f"{what}: {self.before:.4g} to {self.after:.4g} USD/hour ({self.after / self.before - 1:+.0%})"
        words = {"new": "new", "gone": "gone", "sold": "now sold", "not_sold": "no longer sold"}
        price = self.after if self.after is not None else self.before
        return f"{what}: {words.get(self.kind, self.kind)}" + (f", {price:.4g} USD/hour" if price is not None else "")


@dataclass(frozen=True)
class Refused:
    """A row that a cloud told and that is not taken; the row that was there stays."""

    row: Row
    reason: str

    def __str__(self) -> str:
        return f"{self.row}: refused, {self.reason}"


@dataclass(frozen=True)
class Refresh:
    """The catalog after a refresh, and what is different.

    Attributes:
        regions: of every type that a cloud told, by provider and name.
    """

    rows: tuple[Row, ...]
    regions: Mapping[tuple[str, str], tuple[str, ...]]
    changes: tuple[Change, ...]
    refused: tuple[Refused, ...]


def refresh(rows: Iterable[Row], kinds: Iterable[InstanceType], told: Mapping[str, Told]) -> Refresh:
    """Return the rows with what was told in place of what was known; a cloud that told nothing keeps its rows."""
    before = list(rows)
    kinds = list(kinds)
    regions: dict[tuple[str, str], tuple[str, ...]] = {(kind.provider, kind.name): kind.regions for kind in kinds}
    regions |= dict(_regions(kinds, told))
    changes = list(_region_changes(kinds, regions))
    kept = [row for row in before if row.provider not in told]
    refused: list[Refused] = []
    for provider, cloud in told.items():
        own = {row.key: row for row in before if row.provider == provider}
        for key, row in _rows(own, provider, cloud, regions):
            known = own.get(key)
            reason = row and (checks.problem(row, regions) or (known and checks.jump(known, row)))
            if row is not None and reason:
                refused.append(Refused(row, reason))
            after = known if reason else row
            if after is not None:
                kept.append(after)
            changes += _row_changes(known, after)
    ordered = tuple(sorted(kept, key=lambda row: row.key))
    return Refresh(ordered, regions, tuple(changes), tuple(refused))


def _regions(
    kinds: Iterable[InstanceType], told: Mapping[str, Told]
) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """A region that was not asked stays as it was; a type that would be sold nowhere stays as a whole."""
    for kind in kinds:
        sold = told[kind.provider].sold if kind.provider in told else None
        here = sold.regions.get(kind.name) if sold else None
        if sold is None or here is None:
            continue
        unasked = frozenset() if sold.asked is None else frozenset(kind.regions) - sold.asked
        if here | unasked:
            # The order of the file is a person's; only what is new comes behind it.
            stay = [region for region in kind.regions if region in here | unasked]
            yield (kind.provider, kind.name), (*stay, *sorted(here - frozenset(stay)))


def _region_changes(
    kinds: Iterable[InstanceType], regions: Mapping[tuple[str, str], tuple[str, ...]]
) -> Iterator[Change]:
    for kind in kinds:
        before, after = frozenset(kind.regions), frozenset(regions[kind.provider, kind.name])
        for region in sorted(after - before):
            yield Change("sold", kind.provider, kind.name, region)
        for region in sorted(before - after):
            yield Change("not_sold", kind.provider, kind.name, region)


def _rows(
    own: Mapping[tuple[str, str, str, str], Row],
    provider: str,
    cloud: Told,
    regions: Mapping[tuple[str, str], tuple[str, ...]],
) -> Iterator[tuple[tuple[str, str, str, str], Row | None]]:
    """Return each row that a cloud has or had as it is now to be; None where it goes."""
    quotes = {
        (provider, quote.instance_type, quote.region, quote.zone): quote
        for reading in cloud.readings.values()
        for quote in reading.quotes
    }
    for key in sorted(own.keys() | quotes.keys()):
        _, name, region, _ = key
        known, reading = own.get(key), cloud.readings.get(region)
        if known is not None and region not in regions.get((provider, name), ()):
            yield key, None
        elif reading is None:
            yield key, known
        else:
            yield key, _merged(key, known or _like(own, key), quotes.get(key), reading, cloud.source)


def _like(own: Mapping[tuple[str, str, str, str], Row], key: tuple[str, str, str, str]) -> Row | None:
    """Return a row of the same type and region, whose on-demand price a zone that is new has, too."""
    return next((row for row in own.values() if row.key[:3] == key[:3] and row.on_demand is not None), None)


def _merged(
    key: tuple[str, str, str, str], known: Row | None, quote: Quote | None, reading: Reading, source: str
) -> Row | None:
    provider, name, region, zone = key
    spot, spot_source = (known.spot, known.source) if known is not None and known.key == key else (None, "")
    on_demand, on_demand_source = (known.on_demand, known.on_demand_source or known.source) if known else (None, "")
    if name in reading.spot:
        spot, spot_source = (quote.spot if quote else None), source
    if name in reading.on_demand:
        on_demand, on_demand_source = (quote.on_demand if quote else None), source
    if spot is None and on_demand is None:
        return None
    if spot is None:
        spot_source = on_demand_source
    other = on_demand_source if on_demand is not None and on_demand_source != spot_source else ""
    return Row.model_validate(
        {
            "provider": provider,
            "instance_type": name,
            "region": region,
            "zone": zone,
            "spot": spot,
            "on_demand": on_demand,
            "source": spot_source,
            "on_demand_source": other,
        }
    )


def _row_changes(before: Row | None, after: Row | None) -> Iterator[Change]:
    row = after or before
    if row is None:
        return
    for market, words in (("spot", "spot"), ("on_demand", "on-demand")):
        old = getattr(before, market, None)
        new = getattr(after, market, None)
        if old == new:
            continue
        kind: ChangeKind = "new" if old is None else "gone" if new is None else "price"
        yield Change(kind, row.provider, row.instance_type, row.zone or row.region, words, old, new)


def source_name(provider: str, day: dt.date) -> str:
    """Return the name of a source: each day has its own, so that every row tells its date."""
    return f"{provider}-api-{day.isoformat()}"
