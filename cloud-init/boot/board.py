"""What the boot is doing right now, for whoever looks: phases, progress, log. Safe to use from several threads."""

from __future__ import annotations

import collections
import re
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from boot.failure import BootFailed
    from boot.notices import Notice

PHASES = ("install", "weights", "serve")
_LOG_LINES = 60
_LINE_CHARACTERS = 400
_SIGNATURE = re.compile(r"(X-Amz-[A-Za-z-]+=)[^&\s\"']+")


class Board:
    """The state of one boot."""

    def __init__(
        self,
        run_id: str,
        secrets: Iterable[str],
        started_at: float,
        clock: Callable[[], float] = time.time,
        instance_id: str = "",
    ) -> None:
        self._instance_id = instance_id
        self._run_id = run_id
        self._secrets = tuple(secrets)
        self._clock = clock
        self._started_at = started_at
        self._state = "booting"
        self._error: dict[str, str] | None = None
        self._notice: dict[str, Any] | None = None
        self._log: collections.deque[str] = collections.deque(maxlen=_LOG_LINES)
        self._phases: dict[str, dict[str, Any]] = {
            name: {
                "name": name,
                "state": "pending",
                "started_at": None,
                "ended_at": None,
                "done": 0,
                "total": 0,
                "unit": "steps",
                "message": "",
            }
            for name in PHASES
        }
        self._sequence = 0
        self.changed = threading.Condition()
        self.version = 0
        """Counts the changes."""

    def begin(self, phase: str, total: int = 0, unit: str = "steps", message: str = "") -> None:
        """Say that a phase has begun, or knows better now how much there is to do."""
        with self.changed:
            entry = self._phases[phase]
            entry.update(state="running", total=total, unit=unit, message=self._clean(message))
            entry["started_at"] = entry["started_at"] or self._clock()
            self._bump()

    def advance(self, phase: str, done: int, message: str | None = None) -> None:
        """Say how much of a phase is done; it never goes back."""
        with self.changed:
            entry = self._phases[phase]
            entry["done"] = max(entry["done"], done)
            if message is not None:
                entry["message"] = self._clean(message)
            self._bump()

    def finish(self, phase: str, message: str = "") -> None:
        """Say that a phase is done."""
        with self.changed:
            entry = self._phases[phase]
            entry.update(state="done", done=entry["total"], ended_at=self._clock(), message=self._clean(message))
            self._bump()

    def say(self, line: str) -> None:
        """Add a line to the log, here and on standard output."""
        clean = self._clean(line)[:_LINE_CHARACTERS]
        print(clean, flush=True)
        with self.changed:
            self._log.append(clean)
            self._bump()

    def ready(self) -> None:
        """Say that the node has answered a completion."""
        self._end("ready")

    def stopped(self) -> None:
        """Say that the node was told to stop; a reason that was told before stays."""
        self._end("stopped", ("booting", "ready"))

    def noticed(self, notice: Notice) -> None:
        """Say what the cloud announced; whatever it is, the state stays."""
        with self.changed:
            self._notice = {
                "kind": notice.kind,
                "action": notice.action,
                "noticed_at": notice.noticed_at,
                "deadline": notice.deadline,
                "drained_at": None,
                "all_answered": None,
            }
            self._bump()

    def interrupted(self, notice: Notice) -> None:
        """Say that the cloud takes this machine back, and that it takes no new requests."""
        with self.changed:
            self.noticed(notice)
            self._end("interrupted", ("ready",))

    def drained(self, *, all_answered: bool) -> None:
        """Say that nothing is waited for any more: every request in flight was answered, or the time is over."""
        with self.changed:
            if self._notice is not None:
                self._notice.update(drained_at=self._clock(), all_answered=all_answered)
            self._bump()

    @property
    def state(self) -> str:
        """The state that the next letter tells."""
        return self._state

    def fail(self, failure: BootFailed) -> None:
        """Say why the boot has ended."""
        with self.changed:
            phase = failure.phase or self.running()
            if phase in self._phases:
                self._phases[phase].update(state="failed", ended_at=self._clock())
            self._error = {
                "code": failure.code,
                "phase": phase,
                "message": self._clean(failure.message),
                "hint": self._clean(failure.hint),
            }
        self._end("failed")

    def running(self) -> str:
        """Return the name of the first phase that is running, or an empty text."""
        return next((name for name, entry in self._phases.items() if entry["state"] == "running"), "")

    def seconds_in(self, phase: str) -> float:
        """Return for how long a phase has been running."""
        began = self._phases[phase]["started_at"] if phase in self._phases else None
        return self._clock() - began if began else 0.0

    def snapshot(self) -> dict[str, Any]:
        """Return the mailbox's next letter."""
        with self.changed:
            now = self._clock()
            # A reboot starts this program anew; milliseconds keep the letters in order across it.
            self._sequence = max(self._sequence + 1, int(now * 1000))
            return {
                "version": 1,
                "run_id": self._run_id,
                "sequence": self._sequence,
                "written_at": now,
                "started_at": self._started_at,
                "instance_id": self._instance_id,
                "state": self._state,
                "phases": [dict(entry) for entry in self._phases.values()],
                "error": self._error,
                "notice": None if self._notice is None else dict(self._notice),
                "log": list(self._log),
            }

    def _end(self, state: str, begins: tuple[str, ...] = ("booting",)) -> None:
        with self.changed:
            if self._state in begins:
                self._state = state
            self._bump()

    def _bump(self) -> None:
        self.version += 1
        self.changed.notify_all()

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return _SIGNATURE.sub(r"\1[secret]", text)
