"""What a row of the price file must not be: the tests hold the file to it, and a refresh its new rows."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

from components.catalog.price_file import Key, Row

JUMP: Final = 5.0
"""A price that changes by more than this factor is taken for an error of its source."""
MOST: Final = 150.0
"""USD/hour: more than any machine of the catalog costs."""

Sold = Mapping[tuple[str, str], Iterable[str]]
"""The regions that sell an instance type, by provider and name."""

_Market = Literal["spot", "on_demand"]
_MARKETS: Final[tuple[_Market, ...]] = get_args(_Market)
_AWS_ZONE: Final = re.compile(r"^(?P<code>[a-z]+\d+)-az\d+$")
_SHORT: Final = {
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "central": "c",
    "northeast": "ne",
    "northwest": "nw",
    "southeast": "se",
    "southwest": "sw",
}


def problem(row: Row, sold: Sold) -> str | None:
    """Return what is wrong with a row, in words; None where nothing is."""
    prices = [price for market in _MARKETS if (price := row.price(market)) is not None]
    regions = sold.get((row.provider, row.instance_type))
    if not prices:
        return "it has no price"
    if not all(0 < price < MOST for price in prices):
        return f"a price is not between 0 and {MOST:g} USD/hour: {', '.join(map(str, prices))}"
    if row.spot is not None and row.on_demand is not None and row.spot >= row.on_demand:
        return f"the spot price, {row.spot}, is not below the on-demand price, {row.on_demand}"
    if regions is None:
        return "the catalog has no such instance type"
    if row.region not in regions:
        return f"{row.region} does not sell it"
    if row.zone and not is_zone_of(row.provider, row.zone, row.region):
        return f"{row.zone} is no zone of {row.region}"
    return None


def is_zone_of(provider: str, zone: str, region: str) -> bool:
    """Tell whether a zone is one of a region: on AWS a zone's ID (use1-az1), elsewhere a name such as us-east1-b."""
    if provider != "aws":
        return zone.startswith(f"{region}-")
    found = _AWS_ZONE.match(zone)
    area, direction, number = [*region.rsplit("-", 2), "", ""][:3]
    return found is not None and found["code"] == f"{area}{_SHORT.get(direction, '?')}{number}"


def twice(rows: Iterable[Row]) -> list[Key]:
    """Return what there is more than one row for."""
    return [key for key, count in Counter(row.key for row in rows).items() if count > 1]


def jump(before: Row, after: Row) -> str | None:
    """Return which price changed by more than five times, in words; None where none did."""
    for market in _MARKETS:
        old, new = before.price(market), after.price(market)
        if old is not None and new is not None and not old / JUMP <= new <= old * JUMP:
            return f"the {market.replace('_', '-')} price changed by more than {JUMP:g} times, from {old} to {new}"
    return None
