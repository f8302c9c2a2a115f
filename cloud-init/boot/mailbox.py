"""The mailbox: one object in the bucket that this node overwrites, so that somebody can see how far it is."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING

from boot import https

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from boot.board import Board

_INTERVAL_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_LONGEST_RETRY_SECONDS = 60.0
_HEARTBEAT_SECONDS = 30.0


class Mailbox:
    """Writes the board's state in a thread of its own; the work never waits for it.

    At most once a second, and every 30 seconds where nothing has changed, for as long as the node lives.
    """

    def __init__(
        self, url: str, trusted: ssl.SSLContext, board: Board, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._board = board
        self._clock = clock
        self._connection = https.Connection(trusted)
        self._written = -1
        self._tried = -1
        self._last = float("-inf")
        self._closing = False
        self._retry = _RETRY_SECONDS
        self._thread = threading.Thread(target=self._run, name="mailbox", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, seconds: float) -> bool:
        """Write what has not been written yet, for so many seconds at most; return whether the last letter arrived."""
        with self._board.changed:
            self._closing = True
            self._board.changed.notify_all()
        self._thread.join(seconds)
        return self._written >= self._board.version

    def due(self) -> float:
        """Return in how many seconds the next letter may be written."""
        return max(0.0, self._last + _INTERVAL_SECONDS - self._clock())

    def _beat(self) -> float:
        """Return in how many seconds a letter is written though nothing has changed."""
        return max(0.0, self._last + _HEARTBEAT_SECONDS - self._clock())

    def _run(self) -> None:
        try:
            self._write_until_closed()
        finally:
            self._connection.close()

    def _write_until_closed(self) -> None:
        while True:
            with self._board.changed:
                while not self._is_time():
                    if self._closing:
                        return
                    self._board.changed.wait(self.due() or self._beat())
            if self._write():
                self._retry = _RETRY_SECONDS
                continue
            self._pause()
            # The URL of a node that lives longer than 7 days ends before it: nobody is to be asked in vain for ever.
            self._retry = min(self._retry * 2, _LONGEST_RETRY_SECONDS)

    def _pause(self) -> None:
        """Wait until it may be tried again, or there is more to say than what was said in vain."""
        with self._board.changed:
            closing = self._closing
            # What was said while the letter was under way wakes nobody who waits only now.
            self._board.changed.wait_for(
                lambda: self._board.version > self._tried or self._closing != closing,
                _RETRY_SECONDS if closing else self._retry,
            )

    def _is_time(self) -> bool:
        """Tell whether a letter is to be written now."""
        if self._board.version > self._written:
            return self._closing or self.due() == 0
        return not self._closing and self._written >= 0 and self._beat() == 0

    def _write(self) -> bool:
        version = self._tried = self._board.version
        body = json.dumps(self._board.snapshot()).encode()
        self._last = self._clock()
        try:
            response = self._connection.request("PUT", self._url, body, {"Content-Type": "application/json"})
            response.read()
        except (OSError, http.client.HTTPException):
            return False
        if response.status != http.client.OK:
            return False
        self._written = version
        return True
