"""Wakes whoever waits for news of a launch, in the same process and at once."""

import asyncio
import threading
from collections import defaultdict


class Bell:
    """One bell for each launch; rung from any thread, heard by tasks of one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ring(self, launch_id: str) -> None:
        """Wake everybody who waits for a launch."""
        with self._lock:
            waiting, loop = list(self._waiting.get(launch_id, ())), self._loop
        if loop is not None and waiting and not loop.is_closed():
            for event in waiting:
                loop.call_soon_threadsafe(event.set)

    async def wait(self, launch_id: str, heard: asyncio.Event, seconds: float) -> None:
        """Wait until it rings, at most so many seconds; `heard` is the one that `listen` gave."""
        try:
            await asyncio.wait_for(heard.wait(), seconds)
        except TimeoutError:
            return
        finally:
            heard.clear()

    def listen(self, launch_id: str) -> asyncio.Event:
        """Begin to listen; whoever does has to end it with `leave`."""
        heard = asyncio.Event()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._waiting[launch_id].add(heard)
        return heard

    def leave(self, launch_id: str, heard: asyncio.Event) -> None:
        """End to listen."""
        with self._lock:
            self._waiting[launch_id].discard(heard)
            if not self._waiting[launch_id]:
                del self._waiting[launch_id]
