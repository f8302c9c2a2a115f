"""`python3 -m boot SETTINGS SESSION` boots the node; `python3 -m boot install …` only makes the serving environment."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import NoReturn

from boot import https, install, interruption, notices, plan, proxy, serve, services, settings, weights
from boot.board import Board
from boot.failure import BootFailed
from boot.mailbox import Mailbox
from boot.notices import Notice

_LAST_WORDS_SECONDS = 60.0
_FAREWELL_SECONDS = 3.0
_DAY = 86_400.0
"""The longest wait at once: a clock may be set meanwhile."""


def main() -> int:
    """Return the exit code."""
    if sys.argv[1:2] == ["install"]:
        return _install(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="boot")
    parser.add_argument("settings", type=Path, help="what user data wrote")
    parser.add_argument("session", type=Path, help="the session document that the bootstrap has checked")
    parser.add_argument("--in-sequence", action="store_true", help="no overlap, for comparison")
    asked = parser.parse_args()
    os.umask(0o022)
    return _boot(settings.load(asked.settings), asked.session, overlap=not asked.in_sequence)


def _boot(given: settings.Settings, session: Path, *, overlap: bool) -> int:
    began = plan.started_at(given)
    board = Board(given.run_id, given.secrets(), began, instance_id=_instance_id(given))
    mailbox = Mailbox(given.mailbox_url, https.context(given.storage_ca), board)
    mailbox.start()
    control = services.Systemd(given) if given.on_machine else services.Children(given)
    boot = plan.Boot(given, weights.parse(session.read_bytes()), board, control)
    inbox: queue.SimpleQueue[BootFailed | Notice | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            boot.run(overlap=overlap)
            inbox.put(None)
        except BootFailed as failure:
            inbox.put(failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to reach the mailbox
            message = f"{type(error).__name__}: {error}"
            inbox.put(BootFailed("serve_failed", "", message, "report this with the last lines"))

    def hand_on(notice: Notice) -> None:
        board.noticed(notice)
        if notice.kind == notices.INTERRUPTION:
            inbox.put(notice)

    watch = interruption.Watch(notices.of(given), board.say, hand_on)

    def stop(*_: object) -> None:
        boot.cancel()
        _say_why(watch, given, board)
        mailbox.close(_FAREWELL_SECONDS)
        if isinstance(control, services.Children):
            control.stop()
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    deadline = plan.Deadline(given, board, plan.deadline_begins(given, began))
    threading.Thread(target=work, daemon=True, name="boot").start()
    watch.start()
    failure = _outcome(inbox, deadline)
    if failure is None:
        board.say(f"boot: ready after {time.time() - began:.1f} s")
        board.ready()
        plan.note_ready(given)
        _stay(given, board, inbox)
    board.say(f"boot: {failure.code}: {failure.message}")
    board.fail(failure)
    mailbox.close(_LAST_WORDS_SECONDS)
    if isinstance(control, services.Children):
        control.stop()
    # Threads that hang in a read are not waited for.
    sys.stdout.flush()
    os._exit(1)


def _say_why(watch: interruption.Watch, given: settings.Settings, board: Board) -> None:
    """Say why the node is told to stop: at GCP the order and the notice come at the same time."""
    watch.last_look()
    notice = watch.interruption
    if notice is not None and board.state == "booting":
        board.fail(interruption.failure(notice))
    elif notice is not None and board.state == "ready":
        proxy.withdraw(given)
        board.interrupted(notice)
    board.stopped()


def _outcome(inbox: queue.SimpleQueue[BootFailed | Notice | None], deadline: plan.Deadline) -> BootFailed | None:
    """Return why the boot has failed, or None when it is done."""
    try:
        said = inbox.get(timeout=deadline.seconds_left)
    except queue.Empty:
        return deadline.failure()
    return interruption.failure(said) if isinstance(said, Notice) else said


def _instance_id(given: settings.Settings) -> str:
    """Return the machine's id as cloud-init found it; plain processes have none."""
    try:
        return given.at("/var/lib/cloud/data/instance-id").read_text().strip()
    except FileNotFoundError:
        return ""


def _stay(given: settings.Settings, board: Board, inbox: queue.SimpleQueue[BootFailed | Notice | None]) -> NoReturn:
    """Stay until the node's life is over: the mailbox goes on in its thread, and a notice empties the node."""
    end = datetime.strptime(given.expires_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    while True:
        try:
            said = inbox.get(timeout=max(0.0, min(end - time.time(), _DAY)))
        except queue.Empty:
            if time.time() >= end:
                break
            continue
        if isinstance(said, Notice):
            answered = interruption.empty(
                given, said, board, lambda: interruption.requests_in_flight(given, serve.BACKEND_PORT)
            )
            board.say("notices: every request was answered" if answered else "notices: the time for answers is over")
    # A machine is ended by a timer of its own; plain processes have nobody else.
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        signal.pause()


def _install(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="boot install")
    parser.add_argument("--requirements", required=True, type=Path)
    parser.add_argument("--venv", required=True, type=Path)
    asked = parser.parse_args(arguments)
    requirements = asked.requirements.read_text()
    if install.is_installed(asked.venv, requirements):
        print("already installed")
        return 0
    try:
        install.install_environment(
            asked.venv, requirements, print, lambda done, total: print(f"{done} of {total} packages", flush=True)
        )
    except BootFailed as failure:
        print(f"{failure.code}: {failure.message}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
