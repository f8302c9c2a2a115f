"""Wakes whoever waits for news of a launch, in the same process and at once."""

import asyncio
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Ear:
    """Somebody who listens, in an event loop of theirs."""

    loop: asyncio.AbstractEventLoop
    heard: asyncio.Event

    async def wait(self, seconds: float) -> None:
        """Wait until it rings, at most so many seconds."""
        try:
            await asyncio.wait_for(self.heard.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self.heard.clear()


class Bell:
    """One bell for each launch; rung from any thread, heard in any event loop."""

    def __init__(self) -> None:
        self._ears: dict[str, set[Ear]] = defaultdict(set)
        self._rung: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ring(self, launch_id: str) -> None:
        """Wake everybody who listens for a launch."""
        with self._lock:
            self._rung[launch_id] += 1
            ears = list(self._ears.get(launch_id, ()))
        for ear in ears:
            if not ear.loop.is_closed():
                ear.loop.call_soon_threadsafe(ear.heard.set)

    def times_rung(self, launch_id: str) -> int:
        """Return how often it has rung for a launch."""
        return self._rung[launch_id]

    def listen(self, launch_id: str) -> Ear:
        """Begin to listen; whoever does has to end it with `leave`."""
        ear = Ear(asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._ears[launch_id].add(ear)
        return ear

    def leave(self, launch_id: str, ear: Ear) -> None:
        """End to listen."""
        with self._lock:
            self._ears[launch_id].discard(ear)
            if not self._ears[launch_id]:
                del self._ears[launch_id]
