"""What the API is asked for: one launch."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from automation.offers import Market, Offer, Wanted
from automation.stack_file import Values

Provider = Literal["aws", "azure", "gcp", "local"]

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=NAME_PATTERN)]


class LaunchAsked(BaseModel):
    """A launch as it is asked for; what is left out is Liftoff's to choose."""

    # Strict: a number in quotes is no number.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())

    model_name: Name = Field(description="name of the model, as on Hugging Face")
    provider: Provider | None = Field(default=None, description="one cloud, or this host; left out, any cloud")
    region: Name | None = Field(default=None, description="the cloud's name of a region")
    instance_type: Name | None = Field(default=None, description="the cloud's name of a machine's size")
    market: Market = Field(default="spot", description="auto tries every spot offer first")
    max_price: float | None = Field(default=None, gt=0, le=10_000, description="the most to pay, in USD/hour")
    max_model_len: int | None = Field(default=None, gt=0, le=100_000_000, description="tokens that must fit")
    idle_minutes: float | None = Field(
        default=None, gt=0, le=100_000, description="the node is taken down when nobody has asked it for so long"
    )
    lifetime_hours: float | None = Field(default=None, gt=0, le=10_000, description="the node then ends itself")
    keep: bool = Field(default=False, description="launch again when the cloud takes the node back")

    def wanted(self) -> Wanted:
        """Return which offers will do."""
        return Wanted(
            providers=frozenset({self.provider} if self.provider else ()),
            regions=frozenset({self.region} if self.region else ()),
            instance_types=frozenset({self.instance_type} if self.instance_type else ()),
            max_price=self.max_price,
            market=self.market,
        )

    def config(self, template: Values) -> dict[str, str]:
        """Return the stack's config values that it sets, whatever the offer."""
        found = {"model": self.model_name, "weights": weights_of(self.model_name, template)}
        if self.max_model_len is not None:
            found["maxModelLen"] = str(self.max_model_len)
        if self.lifetime_hours is not None:
            found["lifetimeSeconds"] = str(round(self.lifetime_hours * 3600))
        if self.provider == "local":
            found["provider"] = "local"
        return found


def weights_of(model: str, template: Values) -> str:
    """Return where a model's weights are: beside the template's own, under the model's name in lower case."""
    weights = template.get("weights") or ""
    if model == template.get("model"):
        return weights
    return f"{weights.rstrip('/').rpartition('/')[0]}/{model.rpartition('/')[2].lower()}"


LOCAL_OFFER = Offer(
    provider="local",
    region="",
    zone="",
    instance_type="this host",
    gpu="none",
    spot=False,
    price=0.0,
    source="this host",
    seen=None,
)
"""What the provider `local` has to offer: one machine of this host, for nothing."""
