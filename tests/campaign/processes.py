"""The processes of one launch, found in /proc, and ended as `kill -9` does."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    command: tuple[str, ...]


def kill_engine(stack: str) -> bool:
    """Kill the engine that works on a stack; tell whether there was one."""
    return _kill([one.pid for one in _engines(stack)])


def kill_worker(stack: str) -> bool:
    """Kill the process that drives the engine of a stack."""
    return _kill([one.parent for one in _engines(stack)])


def _engines(stack: str) -> list[_Process]:
    return [one for one in _all() if one.command and Path(one.command[0]).name == "pulumi" and stack in one.command]


def _all() -> list[_Process]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = tuple((folder / "cmdline").read_bytes().decode(errors="replace").split("\0"))
            # The name, in parentheses, may hold spaces.
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found.append(_Process(int(folder.name), int(parent), command))
    return found


def _kill(pids: list[int]) -> bool:
    done = False
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        done = True
    return done
