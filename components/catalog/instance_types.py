"""Instance types with GPUs of AWS, Azure and GCP, and what a machine of each needs to be told."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.catalog import source_files
from components.catalog.source_files import PROVIDERS, Provider

_FILE: Final = "instance_types.yaml"
REGIONS_FILE: Final = "regions.yaml"
"""Where there is one, written by `liftoff catalog update`: the regions of some types, in place of those of the other
file, whose families and comments stay as they were written by hand."""


class InstanceType(BaseModel):
    """One size of machine that one cloud sells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider
    name: str = Field(min_length=1)
    """The cloud's own name for it."""
    gpu: str
    """Name of the GPU in this catalog."""
    gpu_count: int = Field(gt=0)
    vcpus: int = Field(gt=0)
    memory_gib: float = Field(gt=0)
    """Host RAM in GiB."""
    local_nvme_gib: int = Field(default=0, ge=0)
    """Local SSD that comes with the machine in GiB, 0 = none. NVMe unless `note` says otherwise."""
    network_gbps: float = Field(gt=0)
    """Sustained network bandwidth in Gbit/s. What leaves the cloud may be capped lower."""
    vgpu: bool = False
    """The GPU is a virtual one."""
    driver: Literal["datacenter", "grid"] = "datacenter"
    """Which of NVIDIA's drivers it needs; `grid` is that of virtual GPUs."""
    cuda: str = Field(pattern=r"^\d+\.\d+$")
    """CUDA version of the driver of the boot image. It decides which wheel of vLLM can run."""
    accelerator: str | None = None
    """GCP's guest accelerator, for the types that do not carry their GPUs; else None."""
    architecture: Literal["x86_64"] = "x86_64"
    regions: tuple[str, ...] = Field(min_length=1)
    source: str = Field(min_length=1)
    date: dt.date
    """When the source was looked up."""
    note: str = ""
    """What is not verified, and what else is to be known."""


@cache
def _by_provider() -> Mapping[str, Mapping[str, InstanceType]]:
    families: dict[str, list[dict[str, Any]]] = source_files.document(_FILE)
    read: dict[str, dict[str, dict[str, list[str]]]] = source_files.document_if_any(REGIONS_FILE)
    return MappingProxyType(
        {
            provider: MappingProxyType(
                {
                    name: InstanceType.model_validate(
                        {**shared, **size, "provider": provider, "name": name}
                        | ({"regions": regions} if regions else {})
                    )
                    for family in families[provider]
                    for shared in [{key: value for key, value in family.items() if key != "sizes"}]
                    for name, size in family["sizes"].items()
                    for regions in [read.get(provider, {}).get("types", {}).get(name)]
                }
            )
            for provider in PROVIDERS
        }
    )


def instance_types(provider: str | None = None) -> tuple[InstanceType, ...]:
    """Return the instance types of one provider, or of all.

    Raises:
        UnknownName: the catalog has no such provider.
    """
    types = _by_provider()
    chosen = types.values() if provider is None else (source_files.find("provider", provider, types),)
    return tuple(found for names in chosen for found in names.values())


def instance_type(provider: str, name: str) -> InstanceType:
    """Return one instance type.

    Raises:
        UnknownName: the catalog has no such provider, or the provider no such instance type.
    """
    names = source_files.find("provider", provider, _by_provider())
    return source_files.find(f"instance type of {provider}", name, names)
