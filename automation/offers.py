"""Offers, each a concrete thing to buy at a price, in the order in which they are tried. Pure: prices come as data."""

import bisect
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Market = Literal["spot", "on-demand", "auto"]
"""What may be bought; `auto` tries every spot offer before the first on-demand one."""

LIVE: Final = "live"
"""The source of a price that the cloud itself has just told."""

_POOR_SCORE: Final = 2
"""At this placement score and below, a request for spot capacity is likely to fail."""
_WORTH: Final = 1.1
"""How much dearer a likely machine may be and still be tried before an unlikely one: a failed attempt costs minutes."""


class Listing(BaseModel):
    """What a cloud asks for one instance type in one place, in USD/hour; None where it is not sold there or not known.

    Attributes:
        zone: empty where the price is the whole region's and the cloud chooses the zone.
        source: `live`, or which public catalog the price is from.
        seen: the day of the price; None where the catalog does not say.
        read_at: when a live price was read; None for a price of the catalog.
        placement_score: AWS's guess, 1 to 10, of how likely spot capacity is in the zone; None where it is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    region: str
    zone: str = ""
    instance_type: str
    gpu: str
    spot: float | None = Field(default=None, gt=0)
    on_demand: float | None = Field(default=None, gt=0)
    source: str
    seen: date | None
    read_at: AwareDatetime | None = None
    placement_score: int | None = Field(default=None, ge=1, le=10)


class Offer(BaseModel):
    """One concrete thing to buy, at `price` USD/hour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    region: str
    zone: str
    instance_type: str
    gpu: str
    spot: bool
    price: float
    source: str
    seen: date | None
    read_at: AwareDatetime | None = None
    placement_score: int | None = None

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return f"{self.provider} {self.zone or self.region}".strip()

    def __str__(self) -> str:
        if self.price == 0:
            return f"{self.instance_type}, free"
        market = "spot" if self.spot else "on-demand"
        return f"{self.instance_type} ({self.gpu}) at {self.place}, {market}, {self.price:.4g} USD/hour"

    def config(self) -> dict[str, str]:
        """Return the stack's config values that make a launch buy this offer."""
        return {
            "provider": self.provider,
            "region": self.region,
            "zone": self.zone,
            "instanceType": self.instance_type,
            "spot": str(self.spot).lower(),
        }


class Wanted(BaseModel):
    """What the user fixed; empty means anything will do.

    Attributes:
        max_price: the most to pay, in USD/hour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    providers: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    instance_types: frozenset[str] = frozenset()
    gpus: frozenset[str] = frozenset()
    max_price: float | None = Field(default=None, gt=0)
    market: Market = "spot"

    def allows(self, listing: Listing) -> bool:
        """Tell whether a listing is among what was asked for, its price aside."""
        pairs = (
            (self.providers, listing.provider),
            (self.regions, listing.region),
            (self.instance_types, listing.instance_type),
            (self.gpus, listing.gpu),
        )
        return all(not allowed or value in allowed for allowed, value in pairs)


def offers(listings: Iterable[Listing], wanted: Wanted) -> tuple[Offer, ...]:
    """Return the offers that are wanted, in the order in which they are tried: cheapest first, see `in_order`."""
    found = [offer for listing in listings if wanted.allows(listing) for offer in _offers(listing, wanted)]
    spot = in_order(offer for offer in found if offer.spot)
    return (*spot, *in_order(offer for offer in found if not offer.spot))


def in_order(found: Iterable[Offer]) -> tuple[Offer, ...]:
    """Return offers of one market by price, but one with a placement score of 1 or 2 after the likelier ones near it.

    Such an offer goes behind every offer that is at most 10 % dearer and has a better known score. A score that is not
    known moves nothing. Names break a tie, so that the same prices give the same plan.
    """
    by_price = sorted(found, key=_names_by_price)
    likely = [offer.price for offer in by_price if (offer.placement_score or 0) > _POOR_SCORE]

    def order(offer: Offer) -> tuple[object, ...]:
        last = offer.price
        near = bisect.bisect_right(likely, offer.price * _WORTH) if _is_poor(offer) else 0
        if near:
            last = max(offer.price, likely[near - 1])
        return (last, _is_poor(offer), *_names_by_price(offer))

    return tuple(sorted(by_price, key=order))


def _is_poor(offer: Offer) -> bool:
    return offer.placement_score is not None and offer.placement_score <= _POOR_SCORE


def _offers(listing: Listing, wanted: Wanted) -> Iterator[Offer]:
    for spot, price in ((True, listing.spot), (False, listing.on_demand)):
        market_fits = wanted.market == "auto" or (wanted.market == "spot") is spot
        if market_fits and price is not None and (wanted.max_price is None or price <= wanted.max_price):
            common = listing.model_dump(exclude={"spot", "on_demand", "placement_score"})
            # A placement score is one of spot capacity.
            score = listing.placement_score if spot else None
            yield Offer(**common, spot=spot, price=price, placement_score=score)


def _names_by_price(offer: Offer) -> tuple[object, ...]:
    return (offer.price, offer.provider, offer.region, offer.zone, offer.instance_type)
