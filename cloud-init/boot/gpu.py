"""The GPU: its driver answers before vLLM is started, and is installed where the image has none."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from boot import curl
from boot.failure import BootFailed
from boot.install import follow, install_packages, missing_packages

if TYPE_CHECKING:
    from collections.abc import Callable

    from boot.settings import Settings

_WAIT_SECONDS = 600.0
"""Some images install their driver at the first boot: https://cloud.google.com/compute/docs/gpus/install-drivers-gpu"""
_LOOK_SECONDS = 2.0

GRID_URL = "/".join(
    (
        "https://download.microsoft.com/download/2a04ca6a-9eec-40d9-9564-9cdea1ab795f",
        "NVIDIA-Linux-x86_64-570.211.01-grid-azure.run",
    )
)
"""vGPU 18.6, the release for these machines in https://learn.microsoft.com/azure/virtual-machines/linux/n-series-driver-setup"""
_BUILD_PACKAGES = ("build-essential", "dkms")
_GRID_CONFIG = "/etc/nvidia/gridd.conf"


def ready(
    settings: Settings,
    say: Callable[[str], None],
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Wait until every GPU answers, after installing the driver of a virtual one; return what they are.

    Raises:
        BootFailed: there is no GPU, or its driver does not answer.
    """
    if settings.gpu_driver == "grid" and seen() is None:
        _install_grid(settings, say, wait)
    end = clock() + _WAIT_SECONDS
    while True:
        found = seen()
        if found:
            return found
        if clock() > end:
            raise BootFailed(
                "gpu_missing",
                "install",
                f"nvidia-smi found no GPU in {_WAIT_SECONDS:.0f} s",
                "the image's driver and the instance type do not fit: try another instance type, and report this",
            )
        if wait(_LOOK_SECONDS):
            raise BootFailed("gpu_missing", "install", "the boot was stopped", "launch again")


def seen() -> str | None:
    """Return names and driver of the GPUs as nvidia-smi tells them, or None where it does not."""
    if shutil.which("nvidia-smi") is None:
        return None
    done = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return "; ".join(lines) if done.returncode == 0 and lines else None


def _install_grid(settings: Settings, say: Callable[[str], None], wait: Callable[[float], bool]) -> None:
    """Install NVIDIA's driver for virtual GPUs, whose licence comes with the machine.

    https://learn.microsoft.com/azure/virtual-machines/linux/n-series-driver-setup
    """
    kernel = Path("/proc/sys/kernel/osrelease").read_text().strip()
    needed = missing_packages((*_BUILD_PACKAGES, f"linux-headers-{kernel}"))
    if needed:
        install_packages(needed, say, wait)
    program = settings.at("/var/lib/liftoff/grid.run")
    program.parent.mkdir(parents=True, exist_ok=True)
    _fetch(GRID_URL, program)
    say(f"install: {urllib.parse.urlsplit(GRID_URL).path.rpartition('/')[2]}, SHA-256 {_digest(program)}")
    code, words = follow(["sh", str(program), "--silent", "--disable-nouveau", "--dkms"], say)
    if code != 0:
        raise BootFailed(
            "gpu_missing",
            "install",
            f"the GRID driver could not be installed: {words}",
            "read the last lines; Secure Boot has to be off, and the image's kernel one that the driver knows",
        )
    settings.at(_GRID_CONFIG).parent.mkdir(parents=True, exist_ok=True)
    settings.at(_GRID_CONFIG).write_text("IgnoreSP=FALSE\nEnableUI=FALSE\nFeatureType=0\n")
    program.unlink()


def _fetch(url: str, goal: Path) -> None:
    for attempt in range(3):
        with goal.open("wb", buffering=0) as file:
            answer = curl.fetch(url, 0, 2 << 30, file, None, lambda _: True)
        if not answer.failure:
            return
        time.sleep(5.0 * (attempt + 1))
    raise BootFailed(
        "gpu_missing", "install", f"the driver could not be fetched: {answer.failure}", "check that the node reaches it"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else "not computed"
