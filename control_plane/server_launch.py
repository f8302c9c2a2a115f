"""Launches of a control plane from the command line: begun, followed and taken down, shown as on one's own."""

import json
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

from automation import server_options
from automation.errors import Kind, Stopped
from automation.session import Interrupts
from automation.views import View
from control_plane import following, outcome, own_take_down
from control_plane.client import Server
from control_plane.following import Inbox, Left
from control_plane.own import Own
from control_plane.plane import Plane
from control_plane.store.nodes import NOT_TAKEN_DOWN

_LOOK_SECONDS: Final = 1.0


def launch(
    url: str, token_file: Path | None, asked: Mapping[str, Any], view: View, *, as_json: bool, detach: bool
) -> int:
    """Ask a server for a launch, follow it to its end unless told not to, and return the exit code.

    Raises:
        Stopped: the server refuses, or does not answer.
    """
    if asked["model_name"] is None:
        text = "MODEL: given nothing; allowed: a model's name, where a server launches"
        raise Stopped(Kind.CONFIGURATION, "model_missing", text, "name one: liftoff offers, or the launch page, tells")
    inbox = Inbox()
    with Server(url, server_options.token(token_file)) as server, interrupts(inbox):
        job_id = str(server.launch(asked, str(uuid.uuid4()))["job_id"])
        if detach:
            print(json.dumps({"type": "job", "job_id": job_id, "server": server.url}) if as_json else job_id)
            return 0
        view.note(f"{job_id} is on its way at {server.url}; Ctrl-C cancels it")
        return follow(server, job_id, inbox, view)


def follow(plane: Plane, job_id: str, inbox: Inbox, view: View) -> int:
    """Show a launch to its end, and return its exit code; the user may leave before."""
    try:
        with view:
            ended = inbox.follow(plane, job_id, view)
    except Left as left:
        what = "is being cancelled" if left.cancelled else "was not reached by the wish to cancel it, and goes on"
        look = f"liftoff {'status' if left.cancelled else 'cancel'} {job_id}{plane.option}"
        view.note(f"{job_id} {what}: {look}")
        return Kind.CANCELLED.exit_code
    return outcome.show(ended, plane.url, view)


def destroy(where: tuple[str, Path | None, str], job_id: str, view: View, *, as_json: bool, detach: bool) -> int:
    """Take a launch down, by the server that is named or on one's own, and return the exit code.

    Raises:
        Stopped: the launch is not known, it can't be taken down now, or the server does not answer.
    """
    url, token_file, database = where
    if url:
        with Server(url, server_options.token(token_file)) as server:
            return _destroy_by(server, job_id, view, as_json=as_json, detach=detach)
    found = Interrupts()

    def press(_signal: int, _frame: FrameType | None) -> None:
        found.press()

    with _handled(press), Own(database) as own, view:
        result = own_take_down.destroy(own, job_id, view, found)
    if result is None:
        view.note(f"{job_id} is being cancelled; a running `liftoff serve` carries it out: liftoff status {job_id}")
        return 0
    view.destroyed(result)
    if result.failure is not None:
        return result.failure.kind.exit_code
    return Kind.UNKNOWN.exit_code if result.left else 0


def _destroy_by(server: Server, job_id: str, view: View, *, as_json: bool, detach: bool) -> int:
    began = time.monotonic()
    launch = server.destroy(job_id)
    had_node = launch["node"] is not None
    if detach:
        done, ok = "is asked to go: see liftoff nodes", True
    else:
        view.note(f"{job_id} is being taken down; Ctrl-C leaves it to the server")
        try:
            while (ended := _gone(launch, had_node=had_node)) is None:
                time.sleep(_LOOK_SECONDS)
                # A launch that came to its node just before it could be cancelled is asked for once more.
                late = launch["node"] is not None and not had_node
                had_node = had_node or late
                ask = partial(server.destroy if late else server.status, job_id)
                launch = following.patiently(ask, following.PATIENCE_SECONDS)
        except KeyboardInterrupt:
            view.note(f"{job_id} goes on being taken down: liftoff status {job_id}{server.option}")
            return Kind.CANCELLED.exit_code
        done, ok = ended
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        told = {"operation": "destroy", "ok": ok, "stack": job_id, "server": server.url, "seconds": seconds}
        print(json.dumps({"type": "result", **told, "message": done}))
    else:
        view.note(f"{job_id} {done}")
    return 0 if ok else Kind.UNKNOWN.exit_code


def _gone(launch: Mapping[str, Any], *, had_node: bool) -> tuple[str, bool] | None:
    """Return what became of a launch that is taken down, and whether nothing is left; None while it goes on."""
    node = launch["node"]
    if launch["ended_at"] is None:
        return None
    if node is None:
        clean = launch["status"] == "cancelled"
        return (str(launch["message"]) or "cancelled; nothing is left", True) if clean else _without_node(launch)
    if node["state"] == "gone":
        return "is gone: its node is deleted, and verified so", True
    waits = node["state"] == "terminating" and not str(node["state_reason"]).startswith(NOT_TAKEN_DOWN)
    if waits or not had_node:
        return None
    return f"may not be gone: {node['state_reason']}", False


def _without_node(launch: Mapping[str, Any]) -> tuple[str, bool]:
    left = (launch["error"] or {}).get("code") == "left_behind"
    return f"has no node: {launch['message']}", not left


@contextmanager
def interrupts(inbox: Inbox) -> Iterator[None]:
    """Pass Ctrl-C on to whoever follows a launch."""
    with _handled(lambda _signal, _frame: inbox.press()):
        yield


@contextmanager
def _handled(press: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
