"""What was just told of a launch, for whoever asks again within a moment and before anything has happened."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from control_plane.bell import Bell

_FRESH_SECONDS: Final = 0.25
"""An answer this old is told again, while the next one is made."""
_SECONDS: Final = 1.0
"""What rings no bell here, such as another server's news or a node's health, is told at most so much later."""
_MOST: Final = 100
"""So many are kept before those go that are told no more: a status is some kilobytes, and there are many launches."""
_AT_ONCE: Final = 4


@dataclass(frozen=True)
class _Kept:
    body: bytes
    rung: int
    made: float


class RecentAnswers:
    """The latest answers, by launch; asked from any event loop, and made once for all who ask at the same time."""

    def __init__(self, bell: Bell, clock: Callable[[], float] = time.monotonic) -> None:
        self._bell = bell
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._making: dict[tuple[str, int], Future[bytes]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="answers")

    async def of(self, launch_id: str, make: Callable[[], bytes]) -> bytes:
        """Return what is to be told of a launch: what was just told, else what `make` returns."""
        # What happens while an answer is made may not be in it: who asks later gets another one.
        rung = self._bell.times_rung(launch_id)
        kept = self._kept.get(launch_id)
        now = self._clock()
        if kept is not None and (kept.rung != rung or now - kept.made >= _SECONDS):
            kept = None
        if kept is not None and now - kept.made < _FRESH_SECONDS:
            return kept.body
        key = (launch_id, rung)
        with self._lock:
            made = self._making.get(key)
            if made is None:
                made = self._making[key] = self._pool.submit(self._make, key, make)
        return kept.body if kept is not None else await asyncio.wrap_future(made)

    def _make(self, key: tuple[str, int], make: Callable[[], bytes]) -> bytes:
        launch_id, rung = key
        began = self._clock()
        try:
            body = make()
            with self._lock:
                if len(self._kept) >= _MOST:
                    self._kept = {id_: kept for id_, kept in self._kept.items() if began - kept.made < _SECONDS}
                self._kept[launch_id] = _Kept(body, rung, began)
            return body
        finally:
            with self._lock:
                self._making.pop(key, None)
