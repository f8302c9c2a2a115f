"""A control group of its own for each machine: its limits, and the surest way to find every process of it."""

import contextlib
from pathlib import Path
from typing import Final

_MOUNT: Final = Path("/sys/fs/cgroup")
_CPU_PERIOD: Final = 100_000
"""Microseconds; the kernel's own default."""
_UNLIMITED_V1: Final = ("memory", "cpu", "pids", "systemd", "unified")


def folders(name: str) -> list[Path]:
    """Return the machine's folders: one with cgroup v2, one in each hierarchy with v1."""
    if (_MOUNT / "cgroup.controllers").exists():
        return [_MOUNT / "liftoff" / name]
    return [_MOUNT / part / "liftoff" / name for part in _UNLIMITED_V1 if (_MOUNT / part).is_dir()]


def make(name: str) -> list[Path]:
    """Make the machine's control group and return its folders."""
    for folder in folders(name):
        folder.mkdir(parents=True, exist_ok=True)
    if _is_v2():
        for folder in (_MOUNT, _MOUNT / "liftoff"):
            with contextlib.suppress(OSError):
                (folder / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    return folders(name)


def limit(name: str, memory_bytes: int, cpus: float) -> None:
    """Set the limits of a machine's memory, in bytes, and processors."""
    quota = int(cpus * _CPU_PERIOD)
    for folder in folders(name):
        if _is_v2():
            (folder / "memory.max").write_text(str(memory_bytes))
            (folder / "cpu.max").write_text(f"{quota} {_CPU_PERIOD}")
        elif folder.is_relative_to(_MOUNT / "memory"):
            (folder / "memory.limit_in_bytes").write_text(str(memory_bytes))
        elif folder.is_relative_to(_MOUNT / "cpu"):
            (folder / "cpu.cfs_period_us").write_text(str(_CPU_PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))


def members(name: str) -> set[int]:
    """Return the numbers of all processes in a machine's control group and below it."""
    found: set[int] = set()
    for folder in folders(name):
        for path in [folder / "cgroup.procs", *folder.rglob("cgroup.procs")]:
            with contextlib.suppress(OSError):
                found.update(int(line) for line in path.read_text().split())
    return found


def remove(name: str) -> None:
    """Remove the control group of a machine that has no process any more."""
    for folder in folders(name):
        below = sorted((path for path in folder.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
        for path in [*below, folder]:
            with contextlib.suppress(OSError):
                path.rmdir()
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def names() -> set[str]:
    """Return the machines that have a control group."""
    parents = {folder.parent for folder in folders("any")}
    return {path.name for parent in parents if parent.is_dir() for path in parent.iterdir() if path.is_dir()}


def _is_v2() -> bool:
    return (_MOUNT / "cgroup.controllers").exists()
