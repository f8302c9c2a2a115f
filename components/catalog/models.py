"""The models that people serve first, with what decides whether they fit a GPU."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.catalog import source_files

QuantisationName = Literal["bf16", "fp8", "awq", "mxfp4"]

_FILE: Final = "models.yaml"
_READ: Final = dt.date(2026, 11, 24)


class Quantisation(BaseModel):
    """How weights are stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: QuantisationName
    bytes_per_weight: float = Field(gt=0)
    """Bytes for each quantised weight, scales included."""
    minimum_compute_capability: str = Field(pattern=r"^\d+\.\d$")
    group: int = Field(default=1, ge=1)
    """Weights that share a scale. Tensor parallelism can't cut through a group."""

    @property
    def capability(self) -> tuple[int, int]:
        """The least compute capability in a form that can be compared."""
        major, minor = self.minimum_compute_capability.split(".")
        return int(major), int(minor)


class SlidingWindow(BaseModel):
    """Layers that look back over a window only, and keep no more of it in the KV cache."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int = Field(gt=0)
    """Tokens."""
    layers: int = Field(gt=0)


class Model(BaseModel):
    """One model, as its config.json on Hugging Face describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """Organisation and name on Hugging Face."""
    kind: Literal["generate", "embed"] = "generate"
    parameters: int = Field(gt=0)
    unquantised: int = Field(ge=0)
    """Parameters that stay at 2 bytes when the rest is quantised."""
    layers: int = Field(gt=0)
    attention_heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    shard: int = Field(gt=0)
    """The dimension that tensor parallelism cuts: intermediate_size, for a mixture of experts that of one expert."""
    context: int = Field(gt=0)
    """Longest context in tokens without rope scaling of one's own."""
    sliding: SlidingWindow | None = None
    quantisations: tuple[QuantisationName, ...] = Field(min_length=1)
    """How its weights are offered; the first is the model's own."""
    gated: bool | None
    """Whether Hugging Face gives it only to accounts that accepted its terms. None: unverified."""
    float16: bool = True
    """Whether vLLM computes it in float16 where a GPU has no bfloat16."""
    source: str = Field(min_length=1)
    date: dt.date
    """When the entry was written. The data file says what of it was verified."""

    def weights_bytes(self, quantisation: Quantisation) -> int:
        """Return the bytes of all weights in this quantisation."""
        quantised = (self.parameters - self.unquantised) * quantisation.bytes_per_weight
        return int(self.unquantised * 2 + quantised)


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = source_files.document(_FILE)
    return found


@cache
def quantisations() -> Mapping[str, Quantisation]:
    """Return all quantisations by name."""
    entries = _document()["quantisations"]
    return MappingProxyType(
        {name: Quantisation.model_validate({"name": name, **entry}) for name, entry in entries.items()}
    )


def quantisation(name: str) -> Quantisation:
    """Return one quantisation.

    Raises:
        UnknownName: the catalog has none of this name.
    """
    return source_files.find("quantisation", name, quantisations())


@cache
def _by_name() -> Mapping[str, Model]:
    found = [
        Model.model_validate(
            {"source": f"https://huggingface.co/{entry['name']}/blob/main/config.json", "date": _READ, **entry}
        )
        for entry in _document()["models"]
    ]
    return MappingProxyType({model.name: model for model in found})


def models() -> tuple[Model, ...]:
    """Return all models."""
    return tuple(_by_name().values())


def model(name: str) -> Model:
    """Return one model by its organisation and name on Hugging Face.

    Raises:
        UnknownName: the catalog has none of this name.
    """
    return source_files.find("model", name, _by_name())
