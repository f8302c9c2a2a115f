"""Watches for the cloud's notice, and empties the node when it comes: no new requests, those in flight to their end."""

from __future__ import annotations

import re
import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from boot import notices, proxy
from boot.failure import BootFailed
from boot.metadata import MetadataSilent
from boot.notices import Notice, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from boot.board import Board
    from boot.settings import Settings

CODE = "spot_interrupted"
"""The error code of a boot that the cloud ends."""

_LONGEST_PAUSE = 10.0
_MARGIN_SECONDS = 5.0
"""What is left of the notice's time for the last letter."""
_SHORTEST_NOTICE = 30.0
"""The least that any cloud gives, where it names no time."""
_LOOK_SECONDS = 0.5
_ASK_SECONDS = 5.0
_IN_FLIGHT = re.compile(r"^vllm:num_requests_(?:running|waiting)(?:\{.*\})? (\S+)$", re.MULTILINE)
"""https://docs.vllm.ai/en/latest/usage/metrics/"""


class Watch:
    """Looks for notices in a thread of its own, and hands on each kind once."""

    def __init__(
        self, source: notices.Source | None, say: Callable[[str], None], hand_on: Callable[[Notice], None]
    ) -> None:
        self._source = source
        self._say = say
        self._hand_on = hand_on
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._readable = True
        self.interruption: Notice | None = None
        """The notice that was handed on, once there is one."""

    def start(self) -> None:
        """Begin to look, where there is somebody to ask."""
        if self._source is not None:
            threading.Thread(target=self._run, args=(self._source,), daemon=True, name="notices").start()

    def last_look(self) -> None:
        """Look once more, without waiting: for a machine that is told to stop and does not know why."""
        if self._source is not None:
            self._look(self._source, at_once=True)

    def _run(self, source: notices.Source) -> None:
        pause = source.every_seconds
        while notices.INTERRUPTION not in self._known:
            time.sleep(pause)
            readable = self._look(source)
            pause = source.every_seconds if readable else min(pause * 2, _LONGEST_PAUSE)

    def _look(self, source: notices.Source, *, at_once: bool = False) -> bool:
        try:
            notice = source.look(at_once=at_once)
        except (MetadataSilent, Unreadable) as error:
            if self._readable:
                self._say(f"notices: the metadata service can't be read: {error}")
            self._readable = False
            return False
        if not self._readable:
            self._say("notices: the metadata service answers again")
        self._readable = True
        if notice is not None and self._is_new(notice.kind):
            if notice.kind == notices.INTERRUPTION:
                self.interruption = notice
            self._say(f"notices: {notice.text}")
            self._hand_on(notice)
        return True

    def _is_new(self, kind: str) -> bool:
        with self._lock:
            is_new = kind not in self._known
            self._known.add(kind)
        return is_new


def failure(notice: Notice) -> BootFailed:
    """Return why a boot ends in whose middle the notice comes."""
    return BootFailed(CODE, "", notice.text, "nothing was wrong with it: the next offer is tried, or launch again")


def empty(
    settings: Settings,
    notice: Notice,
    board: Board,
    in_flight: Callable[[], float | None],
    clock: Callable[[], float] = time.time,
    wait: Callable[[float], object] = time.sleep,
) -> bool:
    """Take no new requests, tell so, and wait for those in flight; return whether all came to their end.

    They have the notice's time less a margin, in which the last letter is written.

    Args:
        settings: the node's.
        notice: what the cloud said.
        board: is told at each step.
        in_flight: says how many requests vLLM has; None where it does not say.
        clock: the time in seconds since 1970.
        wait: waits so many seconds.
    """
    proxy.withdraw(settings)
    board.interrupted(notice)
    deadline = notice.noticed_at + _SHORTEST_NOTICE if notice.deadline is None else notice.deadline
    idle = 0
    # Asked twice: a request may be between the proxy and vLLM.
    while idle < 2 and clock() < deadline - _MARGIN_SECONDS:
        idle = idle + 1 if in_flight() == 0 else 0
        if idle < 2:
            wait(_LOOK_SECONDS)
    board.drained(all_answered=idle == 2)
    return idle == 2


def requests_in_flight(settings: Settings, port: int) -> float | None:
    """Return how many requests vLLM works on or keeps waiting, by its own metrics; None where it does not say."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {settings.api_key}"})
        text = connection.getresponse().read().decode(errors="replace")
        numbers = [float(number) for number in _IN_FLIGHT.findall(text)]
    except ConnectionRefusedError:
        # Without vLLM nothing is answered any more.
        return 0.0
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return sum(numbers) if numbers else None
