"""The plan of a boot: install and weights side by side, then serve; all of it before the deadline."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from typing import TYPE_CHECKING

from boot import gpu, install, serve, weights
from boot.failure import BootFailed

if TYPE_CHECKING:
    from pathlib import Path

    from boot.board import Board
    from boot.services import Services
    from boot.settings import Settings

VENV = "/opt/liftoff/venv"
WEIGHTS = "/srv/liftoff/weights"
_STATE = "/var/lib/liftoff"


def started_at(settings: Settings) -> float:
    """Return when this boot began for the first time, in seconds since 1970; a reboot does not begin it anew."""
    path = settings.at(f"{_STATE}/started-{settings.run_id}")
    try:
        return float(path.read_text())
    except (FileNotFoundError, ValueError):
        now = time.time()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(repr(now))
        return now


def note_ready(settings: Settings) -> None:
    """Remember that this node has been ready once."""
    _ready_file(settings).touch()


def deadline_begins(settings: Settings, began: float) -> float:
    """Return from when the boot's deadline counts, in seconds since 1970.

    A node that was ready may be started again days later, as one that the cloud had stopped: it gets the time anew.
    """
    return time.time() if _ready_file(settings).exists() else began


def _ready_file(settings: Settings) -> Path:
    return settings.at(f"{_STATE}/ready-{settings.run_id}")


class Boot:
    """One boot. Every phase may be run again: what it finds done already it leaves."""

    def __init__(self, settings: Settings, session: weights.Session, board: Board, control: Services) -> None:
        self._session = session
        self._settings = settings
        self._board = board
        self._control = control
        self._cancelled = threading.Event()

    def run(self, *, overlap: bool = True) -> None:
        """Go through the phases; `overlap=False` runs them one after the other, for comparison.

        Raises:
            BootFailed: a phase failed.
        """
        with concurrent.futures.ThreadPoolExecutor(2 if overlap else 1) as pool:
            phases = [pool.submit(self._install), pool.submit(self._weights)]
            try:
                for phase in concurrent.futures.as_completed(phases):
                    phase.result()
            except BaseException:
                self.cancel()
                raise
        serve.run(self._settings, self._settings.at(WEIGHTS), self._board, self._control)

    def cancel(self) -> None:
        """Let downloads and waits end."""
        self._cancelled.set()

    def _weights(self) -> None:
        folder = self._settings.at(WEIGHTS)
        folder.parent.mkdir(parents=True, exist_ok=True)
        weights.Download(self._session, folder, self._settings.storage_ca, self._board, self._cancelled).run()

    def _install(self) -> None:
        board, requirements = self._board, self._session.requirements
        board.begin("install", 0, "packages", "looking at what is installed")
        missing = install.missing_packages(self._settings.packages) if self._settings.on_machine else []
        venv = self._settings.at(VENV)
        ready = install.is_installed(venv, requirements)
        total = len(missing) + (0 if ready else len(install.wanted(requirements)))
        board.begin("install", total, "packages")
        if missing:
            install.install_packages(missing, lambda line: board.say(f"install: {line}"), self._cancelled.wait)
            board.advance("install", len(missing))
        if not ready:
            install.install_environment(
                venv,
                requirements,
                lambda line: board.say(f"install: {line}"),
                lambda done, _: board.advance("install", len(missing) + done),
            )
        found = ""
        if self._settings.gpu_driver:
            found = gpu.ready(self._settings, lambda line: board.say(f"install: {line}"), self._cancelled.wait)
            board.say(f"install: {found}")
        board.finish("install", found or ("was in the image" if total == 0 else ""))


class Deadline:
    """Ends a boot that takes too long, whatever it hangs in."""

    def __init__(self, settings: Settings, board: Board, began: float) -> None:
        self._settings = settings
        self._board = board
        self._left = began + settings.boot_deadline_seconds - time.time()

    @property
    def seconds_left(self) -> float:
        """How long the boot may still take."""
        return max(0.0, self._left)

    def failure(self) -> BootFailed:
        """Return what is told when it has passed."""
        phase = self._board.running()
        where = (
            f"{phase} had been running for {self._board.seconds_in(phase):.0f} s" if phase else "nothing was running"
        )
        return BootFailed(
            "deadline_exceeded",
            phase,
            f"the boot took longer than {self._settings.boot_deadline_seconds} s; {where}",
            "look at the last lines; raise bootDeadlineSeconds if it was still making progress",
        )
