"""How often an address may give a wrong token."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MOST: Final = 20
_SECONDS: Final = 60.0
_ADDRESSES: Final = 10_000


class Guesses:
    """The wrong tokens of the last minute, by address; the same one again is no further guess.

    So a page or a script that goes on with a revoked token locks nobody out, and whoever tries many waits.
    """

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._wrong: OrderedDict[str, dict[bytes, float]] = OrderedDict()
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str) -> float:
        """Return for how long no token of an address is looked at; 0 where it is."""
        with self._lock:
            times = sorted(self._of(address).values())
        return 0.0 if len(times) < self._most else times[-self._most] + _SECONDS - self._clock()

    def add(self, address: str, token: str) -> None:
        """Keep that an address gave a wrong token."""
        with self._lock:
            # As a digest: what was given may be a right token with a slip in it.
            self._of(address)[hashlib.sha256(token.encode("utf-8", "replace")).digest()] = self._clock()
            self._wrong.move_to_end(address)
            while len(self._wrong) > _ADDRESSES:
                self._wrong.popitem(last=False)

    def _of(self, address: str) -> dict[bytes, float]:
        now = self._clock()
        recent = {token: at for token, at in self._wrong.get(address, {}).items() if now - at < _SECONDS}
        self._wrong[address] = recent
        return recent
