"""vLLM is started only when the GPUs answer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from boot import gpu
from boot.failure import BootFailed

from provider import certificate

from .test_serve import settings_of


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A program of that name on PATH that does what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(body: str) -> None:
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)

    return write


def never(_: float) -> bool:
    return False


def test_the_gpus_are_told_by_name_and_driver(
    nvidia_smi: Callable[[str], None], pair: certificate.KeyPair, tmp_path: Path
) -> None:
    nvidia_smi("echo 'NVIDIA L4, 580.65.06, 23034 MiB'; echo 'NVIDIA L4, 580.65.06, 23034 MiB'")
    settings = settings_of(pair, tmp_path, 443)
    found = gpu.ready(settings, print, never)
    assert found == "NVIDIA L4, 580.65.06, 23034 MiB; NVIDIA L4, 580.65.06, 23034 MiB"


def test_a_driver_that_comes_up_late_is_waited_for(
    nvidia_smi: Callable[[str], None], pair: certificate.KeyPair, tmp_path: Path
) -> None:
    nvidia_smi("echo 'NVIDIA-SMI has failed' >&2; exit 9")
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        if len(waited) == 3:
            nvidia_smi("echo 'NVIDIA A10-24Q, 570.211.01, 24512 MiB'")
        return False

    assert gpu.ready(settings_of(pair, tmp_path, 443), print, wait).startswith("NVIDIA A10")
    assert len(waited) == 3


def test_a_machine_without_a_gpu_ends_the_boot(
    nvidia_smi: Callable[[str], None], pair: certificate.KeyPair, tmp_path: Path
) -> None:
    nvidia_smi("exit 6")
    now = [0.0]

    def wait(seconds: float) -> bool:
        now[0] += seconds
        return False

    with pytest.raises(BootFailed, match="no GPU in 600 s") as caught:
        gpu.ready(settings_of(pair, tmp_path, 443), print, wait, lambda: now[0])
    assert caught.value.code == "gpu_missing"
