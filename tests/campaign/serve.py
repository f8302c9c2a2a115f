"""Starts `liftoff serve` with a clock that may jump, and without one of its safeguards where the campaign wants that.

What is switched off here is switched off nowhere else: it shows that the campaign notices.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

CLOCK: Final = "CAMPAIGN_CLOCK"
"""Names the file that holds by how many seconds the clock is wrong."""
WITHOUT: Final = "CAMPAIGN_WITHOUT"
_LOOK_SECONDS: Final = 0.2


def _let_the_clock_jump(path: Path) -> None:
    true, looked, wrong = time.time, 0.0, 0.0

    def told() -> float:
        nonlocal looked, wrong
        now = time.monotonic()
        if now - looked > _LOOK_SECONDS:
            looked = now
            try:
                wrong = float(path.read_text() or 0)
            except (OSError, ValueError):
                wrong = 0.0
        return true() + wrong

    time.time = told


def _without_recovery() -> None:
    from automation import lost

    def look_nowhere(*_: Any, **__: Any) -> tuple[str, ...]:
        return ()

    lost.delete = look_nowhere


def _without_sweep() -> None:
    from control_plane import strays

    def find_nothing(*_: Any, **__: Any) -> Iterator[strays.Stray]:
        return iter(())

    strays.look = find_nothing


SWITCHES: Final[dict[str, Callable[[], None]]] = {"recovery": _without_recovery, "sweep": _without_sweep}


def main() -> None:
    """Serve."""
    if path := os.environ.get(CLOCK):
        _let_the_clock_jump(Path(path))
    for name in filter(None, os.environ.get(WITHOUT, "").split(",")):
        SWITCHES[name]()
    from automation.__main__ import main as liftoff

    sys.argv = ["liftoff", "serve", *sys.argv[1:]]
    liftoff()


if __name__ == "__main__":
    main()
