"""A worker's process that is forked from one that has imported everything already: it begins in milliseconds.

For a server, which starts several for each launch: where each is a new Python, its imports take half a second to a
second of a processor every time. All of them, with their engines, are in one session: Linux shares processors among
sessions first, so that the server has as much as all of its engines together, however many they are.
"""

import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Final, TextIO, cast

from automation import worker

_CONTEXT: Final = multiprocessing.get_context("forkserver")


def fork_workers() -> None:
    """Let this process fork its workers from now on; what they are forked from begins to import (`automation.warm`)."""
    _CONTEXT.set_forkserver_preload(["automation.warm"])
    forkserver.ensure_running()
    worker.start = Forked


class Forked:
    """A worker's process, with the pipes to it; of the form of `subprocess.Popen`."""

    def __init__(self, log: Path, modules: Sequence[str] = ()) -> None:
        taken, given = _CONTEXT.Pipe(duplex=False)
        told, tells = _CONTEXT.Pipe(duplex=False)
        with taken, given, told, tells:
            self.stdin: IO[str] | None = _opened(given, "w")
            self.stdout: IO[str] | None = _opened(told, "r")
            # A daemon: whoever starts it ends without waiting for it.
            self._process = _CONTEXT.Process(target=_work, args=(taken, tells, log, tuple(modules)), daemon=True)
            self._process.start()

    @property
    def returncode(self) -> int | None:
        """The process's exit code, negative for a signal; None while it lives."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return its exit code, or None while it lives."""
        return self.returncode

    def wait(self) -> int | None:
        """Return its exit code, once it has ended."""
        self._process.join()
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def _opened(end: Connection, mode: str) -> TextIO:
    return cast("TextIO", os.fdopen(os.dup(end.fileno()), mode, encoding="utf-8"))


def _work(taken: Connection, tells: Connection, log: Path, modules: Sequence[str]) -> None:
    """Do in the forked process what `python -m automation.update` does."""
    errors = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(tells.fileno(), 1)
    os.dup2(errors, 2)
    tells.close()
    os.close(errors)
    from automation import update

    update.main(modules, _opened(taken, "r"))
