"""What one cloud told of one region, and how a cloud is asked."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from components.catalog import InstanceType


class Quote(BaseModel):
    """What an instance type costs in one place, in USD/hour; None where the cloud tells no such price.

    Attributes:
        zone: empty where the price is the whole region's. On AWS the zone's ID, such as use1-az1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance_type: str
    region: str
    zone: str = ""
    spot: float | None = Field(default=None, gt=0)
    on_demand: float | None = Field(default=None, gt=0)


class Reading(BaseModel):
    """What a cloud told of one region.

    Attributes:
        quotes: the prices.
        spot: the types whose spot prices were told in full: what has no quote is not sold as spot in the region.
        on_demand: the same for on-demand prices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quotes: tuple[Quote, ...]
    spot: frozenset[str]
    on_demand: frozenset[str]


class Sold(BaseModel):
    """Which region sells what.

    Attributes:
        regions: by the name of an instance type; a type of which the cloud said nothing is not there.
        asked: the regions that were asked; None where the cloud told of all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: dict[str, frozenset[str]]
    asked: frozenset[str] | None = None


class PriceSource(Protocol):
    """One cloud's list of prices. `read` may be called by several threads at once."""

    title: str
    """The cloud's name, for a person."""

    def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
        """Return the prices of these types in one region.

        Raises:
            Refused: the cloud refused, could not be asked, or told nothing that can be used.
        """


class CatalogSource(PriceSource, Protocol):
    """A cloud from which the catalog can be refreshed."""

    url: str
    """Where its prices are described, or are."""

    def sold(self, kinds: Sequence[InstanceType]) -> Sold:
        """Return which regions sell these types.

        Raises:
            Refused: the cloud refused, or could not be asked.
        """


class ScoreSource(Protocol):
    """A cloud that says how likely it is to have spot capacity."""

    def scores(self, regions: Sequence[str], names: Sequence[str]) -> dict[str, int]:
        """Return a score of 1 to 10 by zone for getting one machine of any of these types; no region means all.

        Raises:
            Refused: the cloud refused, or could not be asked.
        """
