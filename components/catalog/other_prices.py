"""What a node pays besides its machine: the address and the disk, where a dated source tells."""

import datetime as dt
from functools import cache
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.catalog import source_files
from components.catalog.source_files import Provider

FILE: Final = "other_prices.yaml"
HOURS_PER_MONTH: Final = 730
"""As the clouds' own calculators count: https://aws.amazon.com/calculator/calculator-assumptions/."""

Unit = Literal["hour", "gib-month", "mibps-month", "iops-month"]


class OtherPrice(BaseModel):
    """The price of one unit of one thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider
    what: str = Field(min_length=1)
    """`public-ipv4`, or the kind of a disk by the cloud's own name."""
    regions: tuple[str, ...] = Field(min_length=1)
    """Where; `*` is every region."""
    unit: Unit
    usd: float = Field(gt=0)
    """USD for each unit."""
    included: float = Field(default=0, ge=0)
    """So many units cost nothing."""
    source: str = Field(pattern=r"^https://")
    date: dt.date
    """The day on which the source says so."""
    note: str = ""

    def hourly(self, units: float) -> float:
        """Return what so many units cost in USD/hour."""
        price = max(0.0, units - self.included) * self.usd
        return price if self.unit == "hour" else price / HOURS_PER_MONTH


@cache
def _all() -> tuple[OtherPrice, ...]:
    return tuple(OtherPrice.model_validate(entry) for entry in source_files.document(FILE))


def other_price(provider: str, what: str, region: str, unit: Unit) -> OtherPrice | None:
    """Return a price, or None where no source is known; a region's own counts before that of every region."""
    asked = (provider, what, unit)
    found = [row for row in _all() if (row.provider, row.what, row.unit) == asked and {region, "*"} & {*row.regions}]
    return min(found, key=lambda row: "*" in row.regions, default=None)
