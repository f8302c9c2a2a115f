"""`python3 -m boot SETTINGS SESSION` boots the node; `python3 -m boot install …` only makes the serving environment."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from boot import https, install, plan, services, settings, weights
from boot.board import Board
from boot.failure import BootFailed
from boot.mailbox import Mailbox

_LAST_WORDS_SECONDS = 60.0
_FAREWELL_SECONDS = 3.0


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
    outcome: list[BootFailed | None] = []
    over = threading.Event()

    def work() -> None:
        try:
            boot.run(overlap=overlap)
            outcome.append(None)
        except BootFailed as failure:
            outcome.append(failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to reach the mailbox
            message = f"{type(error).__name__}: {error}"
            outcome.append(BootFailed("serve_failed", "", message, "report this with the last lines"))
        finally:
            over.set()

    def stop(*_: object) -> None:
        boot.cancel()
        board.stopped()
        mailbox.close(_FAREWELL_SECONDS)
        if isinstance(control, services.Children):
            control.stop()
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    deadline = plan.Deadline(given, board, began)
    threading.Thread(target=work, daemon=True, name="boot").start()
    failure = outcome[0] if over.wait(deadline.seconds_left) else deadline.failure()
    if failure is None:
        board.say(f"boot: ready after {time.time() - began:.1f} s")
        board.ready()
    else:
        board.say(f"boot: {failure.code}: {failure.message}")
        board.fail(failure)
    mailbox.close(_LAST_WORDS_SECONDS)
    if failure is None and isinstance(control, services.Children):
        _stay(given)
    elif isinstance(control, services.Children):
        control.stop()
    # Threads that hang in a read are not waited for.
    sys.stdout.flush()
    os._exit(0 if failure is None else 1)


def _instance_id(given: settings.Settings) -> str:
    """Return the machine's id as cloud-init found it; plain processes have none."""
    try:
        return given.at("/var/lib/cloud/data/instance-id").read_text().strip()
    except FileNotFoundError:
        return ""


def _stay(given: settings.Settings) -> None:
    """Stay with the child processes until the node's life is over; a machine's systemd does this by itself."""
    end = datetime.strptime(given.expires_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    while time.time() < end:
        signal.sigtimedwait([], max(0.0, min(end - time.time(), 60.0)))
    os.kill(os.getpid(), signal.SIGTERM)


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
