"""Which zones sell which machines, which images there are, and the quotas: what tests may change.

AWS's offerings, vCPUs and GPUs are AWS's own answers as the installed `moto` carries them. What is said of Azure and
GCP here is unverified zone by zone, and only what tests need: `sell` and `stop_selling` change it.
"""

import functools
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import moto

_MOTO: Final = Path(moto.__file__).parent / "ec2" / "resources"


@dataclass(frozen=True)
class Machine:
    """A size of machine: its vCPUs, its GPUs by the cloud's name (empty: none), and the family that quotas count."""

    vcpus: int
    gpu: str = ""
    gpus: int = 0
    family: str = ""
    spot: bool = True


@functools.cache
def _aws_types() -> dict[str, Any]:
    return dict(json.loads(gzip.decompress((_MOTO / "instance_types.json.gz").read_bytes())))


@functools.cache
def _aws_offerings(region: str) -> dict[str, frozenset[str]]:
    path = _MOTO / "instance_type_offerings" / "availability-zone" / f"{region}.json.gz"
    if not path.exists():
        return {}
    sold: dict[str, set[str]] = {}
    for offering in json.loads(gzip.decompress(path.read_bytes())):
        sold.setdefault(offering["InstanceType"], set()).add(offering["Location"])
    return {name: frozenset(zones) for name, zones in sold.items()}


_AZURE: Final = {
    "Standard_NC4as_T4_v3": Machine(4, "T4", 1, "Standard NCASv3_T4 Family Cores"),
    "Standard_NC8as_T4_v3": Machine(8, "T4", 1, "Standard NCASv3_T4 Family Cores"),
    "Standard_NC64as_T4_v3": Machine(64, "T4", 4, "Standard NCASv3_T4 Family Cores"),
    "Standard_NV36ads_A10_v5": Machine(36, "A10", 1, "Standard NVADSA10v5 Family Cores"),
    "Standard_NV72ads_A10_v5": Machine(72, "A10", 2, "Standard NVADSA10v5 Family Cores"),
    "Standard_NC24ads_A100_v4": Machine(24, "A100", 1, "Standard NCADS_A100_v4 Family Cores"),
    "Standard_NC48ads_A100_v4": Machine(48, "A100", 2, "Standard NCADS_A100_v4 Family Cores"),
    "Standard_NC96ads_A100_v4": Machine(96, "A100", 4, "Standard NCADS_A100_v4 Family Cores"),
    "Standard_NC40ads_H100_v5": Machine(40, "H100", 1, "Standard NCadsH100v5 Family Cores"),
    "Standard_D2s_v5": Machine(2, "", 0, "standardDSv5Family Cores"),
    "Standard_B1s": Machine(1, "", 0, "standardBSFamily Cores", spot=False),
}
_AZURE_ZONES: Final = dict.fromkeys(
    ("eastus", "eastus2", "southcentralus", "westus2", "westus3", "westeurope"), ("1", "2", "3")
)

_GCP: Final = {
    "g2-standard-4": Machine(4, "nvidia-l4", 1),
    "g2-standard-8": Machine(8, "nvidia-l4", 1),
    "g2-standard-12": Machine(12, "nvidia-l4", 1),
    "g2-standard-16": Machine(16, "nvidia-l4", 1),
    "g2-standard-24": Machine(24, "nvidia-l4", 2),
    "g2-standard-48": Machine(48, "nvidia-l4", 4),
    "a2-highgpu-1g": Machine(12, "nvidia-tesla-a100", 1),
    "a2-ultragpu-1g": Machine(12, "nvidia-a100-80gb", 1),
    "a3-highgpu-1g": Machine(26, "nvidia-h100-80gb", 1),
    "a3-highgpu-8g": Machine(208, "nvidia-h100-80gb", 8),
    "a4-highgpu-8g": Machine(224, "nvidia-b200", 8),
    "n1-standard-4": Machine(4),
    "n1-standard-8": Machine(8),
    "n2-standard-2": Machine(2),
    "e2-micro": Machine(2),
}
_GCP_ZONES: Final = {
    "us-central1": ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"),
    "us-east1": ("us-east1-b", "us-east1-c", "us-east1-d"),
    "us-east4": ("us-east4-a", "us-east4-b", "us-east4-c"),
    "us-west1": ("us-west1-a", "us-west1-b", "us-west1-c"),
    "us-west4": ("us-west4-a", "us-west4-b", "us-west4-c"),
    "europe-west1": ("europe-west1-b", "europe-west1-c", "europe-west1-d"),
    "europe-west4": ("europe-west4-a", "europe-west4-b", "europe-west4-c"),
    "asia-southeast1": ("asia-southeast1-a", "asia-southeast1-b", "asia-southeast1-c"),
}
_GCP_GPU_ZONES: Final = {
    "nvidia-l4": (
        "us-central1-a us-central1-b us-central1-c us-east1-b us-east1-c us-east1-d us-east4-a us-east4-c "
        "us-west1-a us-west1-b "
        "us-west1-c us-west4-a us-west4-c europe-west1-b europe-west1-c europe-west4-a europe-west4-b europe-west4-c "
        "asia-southeast1-a asia-southeast1-b asia-southeast1-c"
    ),
    "nvidia-tesla-t4": (
        "us-central1-a us-central1-b us-central1-c us-central1-f us-east1-c us-east1-d us-east4-a us-east4-b "
        "us-east4-c "
        "us-west1-a us-west1-b europe-west1-b europe-west1-c europe-west1-d europe-west4-a europe-west4-b "
        "europe-west4-c "
        "asia-southeast1-a asia-southeast1-b asia-southeast1-c"
    ),
    "nvidia-tesla-a100": (
        "us-central1-a us-central1-b us-central1-c us-central1-f us-east1-b us-west1-b europe-west4-a europe-west4-b"
    ),
    "nvidia-a100-80gb": "us-central1-a us-central1-c us-east4-c europe-west4-a asia-southeast1-c",
    "nvidia-h100-80gb": (
        "us-central1-a us-central1-c us-east4-a us-east4-b us-west1-a us-west4-a europe-west4-b europe-west4-c"
    ),
    "nvidia-b200": "us-central1-b us-east1-b us-east4-b us-west4-a europe-west4-b",
}


def _gcp_images() -> dict[str, set[str]]:
    return {
        "deeplearning-platform-release": {
            "common-cu129-ubuntu-2204-nvidia-580",
            "common-cu129-ubuntu-2404-nvidia-580",
        },
        "debian-cloud": {"debian-12", "debian-13"},
        "ubuntu-os-cloud": {"ubuntu-2204-lts", "ubuntu-2404-lts-amd64"},
    }


@dataclass
class Market:
    """What can be bought where; everything may be changed by a test before its update.

    Attributes:
        quotas: limits by (provider, region, family): vCPUs for AWS (`g-spot`, `g-on-demand`, …), cores for Azure
            (`LowPriorityCores`, a family, `Total Regional Cores`), GPUs for GCP (`PREEMPTIBLE_NVIDIA_L4_GPUS`, …, and
            region `global` with `GPUS_ALL_REGIONS`). What is not there is not limited.
        prices: current spot prices in USD/hour by (provider, size); a lower maximum is refused.
        gcp_images: image families and images by project.
        amis: AMI ids that exist in every region beside those of the emulated parameters and searches.
    """

    quotas: dict[tuple[str, str, str], int] = field(default_factory=dict)
    prices: dict[tuple[str, str], float] = field(default_factory=dict)
    gcp_images: dict[str, set[str]] = field(default_factory=_gcp_images)
    amis: set[str] = field(default_factory=set)
    _extra: dict[tuple[str, str], Machine] = field(default_factory=dict)
    _sold: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _not_sold: set[tuple[str, str, str]] = field(default_factory=set)

    def sell(self, provider: str, size: str, zones: Iterable[str], machine: Machine | None = None) -> None:
        """Sell a size in these zones (Azure: regions), and say what it is where nobody knows."""
        self._sold.setdefault((provider, size), set()).update(zones)
        if machine is not None:
            self._extra[provider, size] = machine

    def stop_selling(self, provider: str, size: str, zone: str) -> None:
        """Sell a size no longer in one zone (Azure: region)."""
        self._not_sold.add((provider, size, zone))

    def machine(self, provider: str, size: str) -> Machine | None:
        """Return what a size is, or None where there is no such size."""
        if (provider, size) in self._extra:
            return self._extra[provider, size]
        if provider == "azure-native":
            return _AZURE.get(size)
        if provider == "gcp":
            return _GCP.get(size)
        found = _aws_types().get(size)
        if found is None:
            return None
        gpus = (found.get("GpuInfo") or {}).get("Gpus") or []
        vcpus = int(found["VCpuInfo"]["DefaultVCpus"])
        return Machine(vcpus, gpus[0]["Name"] if gpus else "", int(gpus[0]["Count"]) if gpus else 0, aws_family(size))

    def azure_sizes(self) -> dict[str, Machine]:
        """Return Azure's sizes."""
        return {**_AZURE, **{size: machine for (of, size), machine in self._extra.items() if of == "azure-native"}}

    def zones(self, provider: str, region: str) -> tuple[str, ...]:
        """Return a region's zones."""
        if provider == "aws":
            return tuple(sorted({zone for zones in _aws_offerings(region).values() for zone in zones}))
        return (_AZURE_ZONES if provider == "azure-native" else _GCP_ZONES).get(region, ())

    def gpu_zones(self, gpu: str) -> set[str]:
        """Return the zones of GCP that have a GPU."""
        return set(_GCP_GPU_ZONES.get(gpu, "").split())

    def selling(self, provider: str, size: str, region: str) -> set[str]:
        """Return the zones of a region that sell a size (Azure: the region itself)."""
        sold = {zone for zone in self._sold.get((provider, size), set()) if zone.startswith(region)}
        if provider == "aws":
            sold |= _aws_offerings(region).get(size, frozenset())
        elif provider == "azure-native" and size in _AZURE and region in _AZURE_ZONES:
            sold.add(region)
        elif provider == "gcp" and size in _GCP:
            gpu = _GCP[size].gpu
            sold |= {zone for zone in self.zones("gcp", region) if not gpu or zone in self.gpu_zones(gpu)}
        return {zone for zone in sold if (provider, size, zone) not in self._not_sold}


def aws_family(size: str) -> str:
    """Return the group of instance types that AWS counts together.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html: G and VT, P, standard.
    """
    letter = size[0]
    return letter if letter in "gp" else "standard"
