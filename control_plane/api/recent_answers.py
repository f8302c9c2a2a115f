"""What was just told of a launch, for whoever asks again within a moment and before anything has happened."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from control_plane.bell import Bell

_SECONDS: Final = 0.25
"""What rings no bell here, such as another server's news or a node's health, is told so much later."""
_MOST: Final = 1_000


@dataclass(frozen=True)
class _Kept:
    body: bytes
    rung: int
    until: float


class RecentAnswers:
    """The latest answers, by launch; asked from any thread."""

    def __init__(self, bell: Bell, clock: Callable[[], float] = time.monotonic) -> None:
        self._bell = bell
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def of(self, launch_id: str) -> bytes | None:
        """Return what may be told again of a launch, or None."""
        kept = self._kept.get(launch_id)
        if kept is None or kept.until < self._clock() or kept.rung != self._bell.times_rung(launch_id):
            return None
        return kept.body

    def made(self, launch_id: str, make: Callable[[], bytes]) -> bytes:
        """Make an answer and keep it for a moment."""
        # What happens while it is made may not be in it.
        rung = self._bell.times_rung(launch_id)
        body = make()
        with self._lock:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[launch_id] = _Kept(body, rung, self._clock() + _SECONDS)
        return body
