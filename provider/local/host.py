"""Running programs on this host, and the locks that keep two updates out of each other's way."""

import fcntl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from provider.resource import Refused

RUNTIME: Final = Path("/run/liftoff")
"""What describes this host's own network; gone after a restart, as the network itself is."""


def run(arguments: Sequence[str | Path], *, text: str | None = None, check: bool = True) -> str:
    """Run a program and return what it printed.

    Raises:
        Refused: it failed; the message has its name and its last words.
    """
    try:
        done = subprocess.run(list(arguments), input=text, capture_output=True, text=True, check=False, timeout=600)
    except FileNotFoundError as error:
        raise Refused(
            "configuration",
            "program_missing",
            f"{arguments[0]} is not installed on this host",
            hint="install what local machines need: make packages",
        ) from error
    if check and done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise Refused(
            "unknown",
            "host_command_failed",
            f"{' '.join(str(part) for part in arguments[:4])} ended with {done.returncode}: {' | '.join(words)}",
            hint="look at the message; what was half made is removed by: liftoff local sweep",
        )
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for as long as the block runs; waits for whoever holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
