"""GPUs: how much memory they report, and what they can compute in."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from components.catalog import source_files

_FILE: Final = "gpus.yaml"


class Gpu(BaseModel):
    """One kind of GPU, or one profile of a virtual one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    memory_mib: int = Field(gt=0)
    """Total memory as nvidia-smi reports it, in MiB."""
    compute_capability: str = Field(pattern=r"^\d+\.\d$")
    bfloat16: bool
    """Whether its cores compute in bfloat16."""
    fp8: bool
    """Whether its cores compute in fp8. Without them fp8 weights still work, weight-only."""
    source: str = Field(min_length=1)
    date: dt.date
    """When the source was looked up."""

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability in a form that can be compared."""
        major, minor = self.compute_capability.split(".")
        return int(major), int(minor)


@cache
def gpus() -> Mapping[str, Gpu]:
    """Return all GPUs by name."""
    found = [Gpu.model_validate(entry) for entry in source_files.document(_FILE)]
    return MappingProxyType({gpu.name: gpu for gpu in found})


def gpu(name: str) -> Gpu:
    """Return one GPU.

    Raises:
        UnknownName: the catalog has none of this name.
    """
    return source_files.find("GPU", name, gpus())
