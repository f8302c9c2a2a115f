"""Processes of this host, told apart from others that may get the same number later."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A process: its number and when it was started, in clock ticks since the host's start."""

    pid: int
    started: int


def identify(pid: int) -> Identity:
    """Return the identity of a running process.

    Raises:
        ProcessLookupError: there is none of that number.
    """
    fields = _stat(pid)
    if fields is None:
        raise ProcessLookupError(f"no process {pid}")
    return Identity(pid, int(fields[19]))


def detached(process: subprocess.Popen[bytes]) -> Identity:
    """Let a process live on after this one, and return its identity."""
    identity = identify(process.pid)
    # Python warns about a child that it forgets while it is running; this one is meant to.
    process.returncode = 0
    return identity


def is_alive(identity: Identity) -> bool:
    """Tell whether this very process is still running; one that has ended and was not collected is not."""
    fields = _stat(identity.pid)
    return fields is not None and int(fields[19]) == identity.started and fields[0] not in "ZX"


def is_first_of_namespace(pid: int) -> bool:
    """Tell whether a process is number 1 in a namespace of its own: a machine's init."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


def end(identities: Iterable[Identity], first: signal.Signals | int, *, seconds: float) -> bool:
    """Send a signal, wait so many seconds, and kill what is left; return whether the first signal was enough."""
    waiting = [identity for identity in identities if is_alive(identity)]
    for identity in waiting:
        _send(identity, first)
    if _gone(waiting, seconds):
        return True
    for identity in waiting:
        _send(identity, signal.SIGKILL)
    _gone(waiting, 5)
    return False


def _send(identity: Identity, number: signal.Signals | int) -> None:
    if is_alive(identity):
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def _gone(identities: list[Identity], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_alive(identity) for identity in identities):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on; the name before them may hold any character."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
