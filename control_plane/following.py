"""One launch followed from wherever it is kept to its end, over lost connections and restarts of its server."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from typing import Any, Final

from automation.errors import Kind, Stopped
from automation.session import Reporter
from control_plane import told_events
from control_plane.client import Silent
from control_plane.plane import Plane
from control_plane.told_events import Told
from provider.status import Stage, Status

PATIENCE_SECONDS: Final = 600.0
"""For how long a server may be away before following it is given up; the launch goes on there."""
_PAUSE_SECONDS: Final = 1.0
_MOMENT_SECONDS: Final = 2.0
_STAGES: Final = {stage.title: stage for stage in Stage}


class Left(Exception):  # noqa: N818 - named after what happened
    """The user does not wait for the end any more.

    Attributes:
        cancelled: whether whoever works on the launch has taken the wish to cancel it.
    """

    def __init__(self, *, cancelled: bool) -> None:
        self.cancelled = cancelled
        super().__init__()


@dataclass(frozen=True)
class _Press:
    """Somebody pressed Ctrl-C."""


@dataclass(frozen=True)
class _Broken:
    """Following failed."""

    error: BaseException


class Inbox:
    """What whoever follows a launch has to react to: its events, and the user's Ctrl-C."""

    def __init__(self) -> None:
        # Of all queues this one may be put to from a signal handler that interrupts its own `get`.
        self._items: SimpleQueue[Told | _Press | _Broken | str] = SimpleQueue()

    def press(self) -> None:
        """Tell of a Ctrl-C; may be called from a signal handler."""
        self._items.put(_Press())

    def follow(self, plane: Plane, job_id: str, view: Reporter, patience: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Show a launch until it has ended, and return it. The first Ctrl-C cancels it, the second leaves it.

        Raises:
            Left: at the second Ctrl-C.
            Stopped: the launch is not known, or nobody answered for too long.
        """
        listener = threading.Thread(target=self._listen, args=(plane, job_id, patience), name="events", daemon=True)
        listener.start()
        presses, cancelled = 0, threading.Event()
        shown = _Shown(view)
        while True:
            item = self._items.get()
            if isinstance(item, _Press):
                presses += 1
                if presses > 1:
                    # The wish may be under way just now.
                    raise Left(cancelled=cancelled.wait(_MOMENT_SECONDS))
                view.note("Cancelling: what is in flight is finished, then taken down. Ctrl-C again leaves it to that")
                asking = (plane, job_id, patience, cancelled)
                threading.Thread(target=self._cancel, args=asking, name="cancel", daemon=True).start()
            elif isinstance(item, _Broken):
                raise item.error
            elif isinstance(item, str):
                view.note(item)
            elif item.kind == told_events.END:
                listener.join()
                return patiently(lambda: plane.status(job_id), patience)
            else:
                shown.take(item)

    def _listen(self, plane: Plane, job_id: str, patience: float) -> None:
        try:
            for told in events(plane, job_id, patience, self._items.put):
                self._items.put(told)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._items.put(_Broken(error))

    def _cancel(self, plane: Plane, job_id: str, patience: float, cancelled: threading.Event) -> None:
        try:
            patiently(lambda: plane.cancel(job_id), patience)
            cancelled.set()
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._items.put(_Broken(error))


def events(
    plane: Plane,
    job_id: str,
    patience: float,
    tell: Callable[[str], None],
    after: int = 0,
    pause: float = _PAUSE_SECONDS,
) -> Iterator[Told]:
    """Yield each event of a launch once, `end` last; over a new connection where one is lost.

    Raises:
        Stopped: nobody answered for so long, or the launch is not known.
    """
    away_since: float | None = None
    while True:
        lost = Silent("the stream of events ended")
        try:
            for told in plane.events(job_id, after):
                if away_since is not None:
                    away_since = None
                    tell("The server answers again")
                if told.kind == told_events.OPEN:
                    continue
                after = told.id
                yield told
                if told.kind == told_events.END:
                    return
        except Silent as error:
            lost = error
        if away_since is None:
            away_since = time.monotonic()
            tell(f"The server does not answer ({lost}); the launch goes on there, and so does following it")
        if time.monotonic() - away_since > patience:
            raise _given_up(plane, job_id, lost, patience) from lost
        time.sleep(pause)


def patiently(ask: Callable[[], dict[str, Any]], patience: float) -> dict[str, Any]:
    """Ask until there is an answer.

    Raises:
        Stopped: there was none for so long, or it is a refusal.
    """
    limit = time.monotonic() + patience
    while True:
        try:
            return ask()
        except Stopped as error:
            if error.code != "server_silent" or time.monotonic() > limit:
                raise
        time.sleep(_PAUSE_SECONDS)


def _given_up(plane: Plane, job_id: str, lost: Silent, patience: float) -> Stopped:
    return Stopped(
        Kind.UNKNOWN,
        "server_silent",
        f"the server has not answered for {patience:.0f} s: {lost}; the launch may go on there",
        f"look later: liftoff status {job_id}{plane.option}",
    )


class _Shown:
    """Shows events through the views of a launch on its own."""

    def __init__(self, view: Reporter) -> None:
        self._view = view
        self._created: datetime | None = None
        self._status = ""

    def take(self, told: Told) -> None:
        data = told.data
        if told.kind == "launch":
            self._created = datetime.fromisoformat(data["created_at"])
            self._of_launch(data)
        elif told.kind == "status" and data["stage"] in _STAGES:
            status = Status(float(data["percentage"]), _STAGES[data["stage"]], str(data["message"]))
            self._view.status(status, self._elapsed(data))
        elif told.kind == "note":
            self._view.note(str(data["text"]))
        elif told.kind == "attempt":
            self._of_attempt(data)

    def _elapsed(self, data: Mapping[str, Any]) -> float:
        if self._created is None:
            return 0.0
        # Both are the server's clock: this host's may be another.
        return max(0.0, (datetime.fromisoformat(data["at"]) - self._created).total_seconds())

    def _of_launch(self, data: Mapping[str, Any]) -> None:
        # Each such event tells the launch as it is now: what happened before is told again with its present status.
        before, self._status = self._status, str(data["status"])
        if self._status == before:
            return
        if data["status"] == "queued" and data.get("waiting_before"):
            self._view.note(f"{data['job_id']} waits: {data['waiting_before']} launches are before it")
        elif data["status"] == "cancelling":
            self._view.note("The launch is being cancelled")

    def _of_attempt(self, data: Mapping[str, Any]) -> None:
        offer = data["offer"]
        name = f"{offer['instance_type']} at {offer['provider']} {offer['zone'] or offer['region']}".rstrip()
        if data["state"] == "skipped":
            self._view.note(f"Not tried: {name}: {data['reason']}")
        elif data["state"] == "failed":
            error = data["error"]
            first = (str(error["message"]).splitlines() or [""])[0]
            self._view.note(f"{name}: {error['kind']} ({error['code']}): {first}")
