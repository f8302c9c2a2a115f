"""The rows of the price file, as text and as values."""

import csv
import io
from collections.abc import Iterable
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.catalog.source_files import Provider

NAME: Final = "prices.csv"

Key = tuple[str, str, str, str]
"""Provider, instance type, region and zone: what a row is for."""


class Row(BaseModel):
    """One row: what an instance type costs in one region, or in one zone of it, in USD/hour."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider
    instance_type: str
    region: str = Field(min_length=1)
    zone: str = ""
    """Empty where the price is the whole region's; on AWS the zone's ID."""
    spot: float | None = None
    on_demand: float | None = None
    source: str
    """A name in price_sources.yaml."""
    on_demand_source: str = ""
    """The same for the on-demand price; empty where it is from `source`, too."""

    @field_validator("spot", "on_demand", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def key(self) -> Key:
        """What the row is for."""
        return self.provider, self.instance_type, self.region, self.zone

    def price(self, market: Literal["spot", "on_demand"]) -> float | None:
        """Return the price of one market in USD/hour."""
        return self.spot if market == "spot" else self.on_demand

    def __str__(self) -> str:
        return f"{self.provider} {self.instance_type} {self.zone or self.region}"


def rows(text: str) -> tuple[Row, ...]:
    """Return the rows of a price file."""
    return tuple(Row.model_validate(row) for row in csv.DictReader(text.splitlines()))


def render(kept: Iterable[Row]) -> str:
    """Return rows as the text of a price file, in the order of what they are for."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    for row in sorted(kept, key=lambda row: row.key):
        writer.writerow(row.model_dump())
    return out.getvalue()
