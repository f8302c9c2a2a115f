"""Prices that were true on some day: good for an order of offers, not for a bill."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from components.catalog import price_file, source_files
from components.catalog.instance_types import instance_type as _instance_type
from components.catalog.source_files import Provider

SOURCES_FILE: Final = "price_sources.yaml"


class PriceSource(BaseModel):
    """Where prices come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https://")
    license: str
    read: dt.date
    """When the prices were read there."""
    date: dt.date | None
    """When the source says that they were made. None where it does not say: then `note` tells what is known."""
    note: str = ""


class Price(BaseModel):
    """What an instance type costs in one region, or in one zone of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider
    instance_type: str
    region: str = Field(min_length=1)
    zone: str | None
    """The zone that the spot price is for; None = the whole region. On AWS the zone's ID (use1-az1), which is the same
    for every account; its name (us-east-1a) is not."""
    spot: float | None = Field(gt=0)
    """USD/hour, or None where the source has none."""
    on_demand: float | None = Field(gt=0)
    """USD/hour, or None where the source has none."""
    source: PriceSource
    on_demand_source: PriceSource | None = None
    """Where the on-demand price is from if not from `source`: AWS's API for spot prices tells no others."""

    @field_validator("zone", "spot", "on_demand", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("on_demand")
    @classmethod
    def _spot_is_cheaper(cls, value: float | None, info: ValidationInfo) -> float | None:
        spot = info.data.get("spot")
        if value is not None and spot is not None and spot > value:
            raise ValueError(f"at least the spot price, {spot}")
        return value


@cache
def price_sources() -> Mapping[str, PriceSource]:
    """Return the sources by the name that the price file gives them."""
    entries = source_files.document(SOURCES_FILE)
    return MappingProxyType({name: PriceSource.model_validate(entry) for name, entry in entries.items()})


@cache
def _by_instance_type() -> Mapping[tuple[str, str], tuple[Price, ...]]:
    found: dict[tuple[str, str], tuple[Price, ...]] = {}
    sources = price_sources()
    for row in price_file.rows(source_files.text(price_file.NAME)):
        named = {"source": sources[row.source], "on_demand_source": sources.get(row.on_demand_source)}
        price = Price.model_validate({**row.model_dump(), **named})
        key = (price.provider, price.instance_type)
        found[key] = (*found.get(key, ()), price)
    return MappingProxyType(found)


def prices(provider: str, instance_type: str) -> tuple[Price, ...]:
    """Return what is known of an instance type's prices, a row for each region or zone; may be empty.

    Raises:
        UnknownName: the catalog has no such provider or instance type.
    """
    return _by_instance_type().get((provider, _instance_type(provider, instance_type).name), ())


def cheapest(provider: str, instance_type: str) -> float | None:
    """Return the lowest price in any region in USD/hour, spot or on-demand; None where no price is known.

    Raises:
        UnknownName: the catalog has no such provider or instance type.
    """
    known = [
        price for row in prices(provider, instance_type) for price in (row.spot, row.on_demand) if price is not None
    ]
    return min(known, default=None)
