"""Runs Pulumi programs as processes of their own and ends them when the update is cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import HostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .environments import PythonEnvironment

BAIL = 32  # the program has shown its error to the user: sdk/python/cmd/pulumi-language-python-exec
KILL_AFTER_SECONDS = 5.0  # after SIGINT, as Pulumi's own host

# An interrupted program ends at once and silently. Python's own handling would print a KeyboardInterrupt, and
# the engine would show it to the user as an error of their program.
_LAUNCH = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


@dataclass(frozen=True)
class Execution:
    """One run of a program, as the engine asked for it."""

    executor: Path
    monitor: str
    engine: str
    project: str
    stack: str
    organization: str
    root: str
    pwd: str
    dry_run: bool
    parallel: int
    program: str
    arguments: Sequence[str]
    config: Mapping[str, str]
    config_secret_keys: Sequence[str]

    def command(self, python: Path) -> list[str]:
        """Return the command line. Configuration is not in it: `ps` shows arguments to all."""
        options = {
            "monitor": self.monitor,
            "engine": self.engine,
            "project": self.project,
            "root_directory": self.root,
            "stack": self.stack,
            "pwd": self.pwd,
            "dry_run": "true" if self.dry_run else "false",
            "parallel": str(self.parallel),
            "organization": self.organization,
        }
        given = [word for name, value in options.items() if value for word in (f"--{name}", value)]
        # -u: what the program prints is seen when it prints it, and is not lost when it is interrupted.
        return [str(python), "-u", "-c", _LAUNCH, str(self.executor), *given, self.program, *self.arguments]

    def variables(self) -> dict[str, str]:
        """Return what the SDK reads from the environment: the stack's configuration, secrets as they are."""
        return {
            "PULUMI_CONFIG": json.dumps(dict(self.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(self.config_secret_keys)),
        }


@dataclass(frozen=True)
class Outcome:
    """How a program ended; `bail` means that the user has been told why it failed."""

    error: str = ""
    bail: bool = False


def outcome_of(returncode: int, *, cancelled: bool) -> Outcome:
    """Tell the engine what an exit status means."""
    if returncode == 0:
        return Outcome()
    if returncode == BAIL or cancelled or returncode == -signal.SIGINT:
        return Outcome(bail=True)
    if returncode < 0:
        return Outcome(error=f"program was ended by signal {_signal_name(-returncode)}")
    return Outcome(error=f"program exited with non-zero exit code: {returncode}")


class Programs:
    """The programs that run now. Safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False

    def run(self, execution: Execution, environment: PythonEnvironment) -> Outcome:
        """Run a program to its end; its output goes to this process's own, which the engine shows.

        Raises:
            HostError: the program's Python can't be started.
        """
        variables = environment.variables(os.environ) | execution.variables()
        with self._lock:
            if self._cancelled:
                return Outcome(bail=True)
            try:
                process = subprocess.Popen(  # in this process group: the engine ends the whole of it
                    execution.command(environment.python), env=variables, stdin=subprocess.DEVNULL
                )
            except OSError as error:
                message = f"{environment.python} does not run: {error}. Run `make setup` to make it again."
                raise HostError(message) from error
            self._running.add(process)
        try:
            returncode = process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
                cancelled = self._cancelled
        return outcome_of(returncode, cancelled=cancelled)

    def cancel(self) -> None:
        """End all programs and start no more; returns at once, those that ignore it are killed later."""
        with self._lock:
            self._cancelled = True
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)
        if running:
            timer = threading.Timer(KILL_AFTER_SECONDS, self._kill)
            timer.daemon = True
            timer.start()

    def _kill(self) -> None:
        with self._lock:
            for process in self._running:
                process.kill()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
