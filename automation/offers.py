"""Offers, each a concrete thing to buy at a price, in the order in which they are tried. Pure: prices come as data."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Market = Literal["spot", "on-demand", "auto"]
"""What may be bought; `auto` tries every spot offer before the first on-demand one."""


class Listing(BaseModel):
    """What a cloud asks for one instance type in one place, in USD/hour; None where it is not sold there or not known.

    Attributes:
        zone: empty where the price is the whole region's and the cloud chooses the zone.
        source: `live`, or which public catalog the price is from.
        seen: the day of the price; None where the catalog does not say.
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

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return f"{self.provider} {self.zone or self.region}"

    def __str__(self) -> str:
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
    """Return the offers that are wanted, in the order in which they are tried: cheapest first."""
    found = [offer for listing in listings if wanted.allows(listing) for offer in _offers(listing, wanted)]
    return tuple(sorted(found, key=lambda offer: _order(offer, wanted)))


def _offers(listing: Listing, wanted: Wanted) -> Iterator[Offer]:
    for spot, price in ((True, listing.spot), (False, listing.on_demand)):
        market_fits = wanted.market == "auto" or (wanted.market == "spot") is spot
        if market_fits and price is not None and (wanted.max_price is None or price <= wanted.max_price):
            common = listing.model_dump(exclude={"spot", "on_demand"})
            yield Offer(**common, spot=spot, price=price)


def _order(offer: Offer, wanted: Wanted) -> tuple[object, ...]:
    """Names break a tie, so that the same prices give the same plan."""
    later = wanted.market == "auto" and not offer.spot
    return (later, offer.price, offer.provider, offer.region, offer.zone, offer.instance_type, not offer.spot)
