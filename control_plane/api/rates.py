"""How often a caller may ask: a minute's worth at once, and then as often as the minute is long.

Not the package `limits`: its memory has no bound on how many callers there are, which whoever has many addresses may
choose, and it starts a thread for each burst.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from control_plane.api import problems
from control_plane.api.callers import address_of
from control_plane.api.problems import Problem

if TYPE_CHECKING:
    from starlette.datastructures import State

_MINUTE: Final = 60.0
_CALLERS: Final = 10_000
_FREE: Final = "/healthz"
"""What restarts a server when it fails: whoever asks too often must not end it so."""


class Rates:
    """A bucket for each caller, by the generic cell rate algorithm: one number says when it would be full again.

    Args:
        per_minute: requests of one caller; 0 sets no limit.
        clock: in seconds, never going back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._apart = _MINUTE / per_minute if per_minute else 0.0
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str) -> float:
        """Count a request; return in how many seconds it may be sent again, 0 where it may go on."""
        if not self._apart:
            return 0.0
        with self._lock:
            now = self._clock()
            full_at = max(self._full_at.get(caller, now), now)
            too_early = full_at - now - (_MINUTE - self._apart)
            # A refused request costs nothing, so that whoever goes on asking is let in again.
            if too_early <= 0:
                self._full_at[caller] = full_at + self._apart
                self._full_at.move_to_end(caller)
            while len(self._full_at) > _CALLERS:
                self._full_at.popitem(last=False)
        return max(0.0, too_early)


def refuse(seconds: float, who: str) -> Problem:
    """Return the problem of a caller who has to wait for so many seconds."""
    wait = str(max(1, math.ceil(seconds)))
    text = f"too many requests came from {who}"
    return Problem(429, "throttled", "too_many_requests", text, f"wait {wait} s", headers={"Retry-After": wait})


class AddressRates:
    """Counts each request by the address that it came from, before anything else is done for it."""

    def __init__(self, app: ASGIApp, state: "State") -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] == "http" and scope["path"] != _FREE:
            rates: Rates = self._state.address_rates
            address = address_of(HTTPConnection(scope))
            seconds = rates.take(address)
            if seconds > 0:
                await problems.answer(refuse(seconds, address))(scope, receive, send)
                return
        await self._app(scope, receive, send)
