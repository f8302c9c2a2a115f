"""The near side of the worker: what is asked of it, and its process."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from automation import difference, stages
from automation.stages import Event

SECRET: Final = difference.SECRET
"""Stands for a secret in outputs; the CLI uses the same text."""

WORKER_DIED: Final = "WorkerDied"
ENGINE_DIED: Final = "EngineDied"
"""Names of errors: the worker's process, or its engine's, was killed."""
DIED: Final = frozenset({WORKER_DIED, ENGINE_DIED})

Operation = Literal["up", "preview", "preview-destroy", "destroy", "refresh", "drift", "resources", "forget"]
LOOKS: Final[frozenset[Operation]] = frozenset({"resources"})
"""Operations that only read the state, in a moment: none is cancelled, and the process stays for the next one."""
Cancelled = Literal["user", "orphaned", "time_limit"]


class Request(BaseModel):
    """What to do.

    Attributes:
        project: folder of the Pulumi program.
        stack: its name; `up` and `preview` create it where it does not exist.
        operation: `drift` is a refresh that only tells what it would write; `resources` lists what the state holds;
            `forget` clears it of pending creates.
        engine: folder of the `pulumi` executable.
        version: the engine's version.
        config: plain config values to set first, saved with the stack as `pulumi up --config` does.
        environment: for the engine, added to this process's own.
        limit_seconds: the operation is cancelled after this time.
        remove: after a destroy, remove the stack itself and its history; after a preview, the stack that it created.
        only_types: a destroy takes resources of these types, with what depends on them; empty means everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: Path
    stack: str
    operation: Operation
    engine: Path
    version: str
    config: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict, repr=False)
    limit_seconds: float = Field(gt=0)
    remove: bool = False
    only_types: frozenset[str] = frozenset()


class Resource(BaseModel):
    """A resource in the stack's state; `created` is RFC 3339, or empty where the engine does not know."""

    model_config = ConfigDict(frozen=True)

    urn: str
    type: str
    id: str = ""
    created: str = ""


class Pending(BaseModel):
    """A create whose end was never seen; `names` are those of its inputs that say by which name, and where."""

    model_config = ConfigDict(frozen=True)

    urn: str
    type: str = ""
    names: Mapping[str, str] = Field(default_factory=dict)


class Result(BaseModel):
    """How an operation ended.

    Attributes:
        ok: whether it did what it was asked to.
        outputs: the stack's, each secret as `[secret]`.
        changes: how many resources per kind of operation.
        seconds: how long it took in the worker.
        resources: what the state holds, after `destroy` and `resources`.
        pending: the creates whose end was never seen.
        drift: the resources that are not as the state says, after `drift`.
        error: the name of the error.
        text: what the engine wrote about it.
        cancelled: why it was ended from outside.
        steps: of a preview, what it would do (`automation.preview.recording`), without secrets; in no journal.
    """

    model_config = ConfigDict(frozen=True)

    ok: bool
    outputs: dict[str, Any] = Field(default_factory=dict)
    changes: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0
    resources: tuple[Resource, ...] = ()
    pending: tuple[Pending, ...] = ()
    drift: tuple[difference.Difference, ...] = ()
    error: str = ""
    text: str = ""
    cancelled: Cancelled | None = None
    steps: tuple[Mapping[str, Any], ...] = Field(default=(), exclude=True, repr=False)


class Process(Protocol):
    """A worker's process, as `subprocess.Popen` is one."""

    @property
    def stdin(self) -> IO[str] | None:
        """Where commands go."""

    @property
    def stdout(self) -> IO[str] | None:
        """Where events and results come from."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it lives."""

    def wait(self) -> int | None:
        """Return its exit code, once it has ended."""

    def kill(self) -> None:
        """End it at once."""


def start_python(log: Path, modules: Sequence[str]) -> Process:
    """Start a worker as a Python of its own, in a session of its own: the terminal's Ctrl-C does not reach it."""
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "automation.update", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )


start: Callable[[Path, Sequence[str]], Process] = start_python
"""How this process starts its workers; a server forks them (`automation.forked`)."""


class Worker:
    """A process for one operation, after any looks at the state.

    It may be started ahead, with the modules that its operation will need.
    """

    def __init__(self, log: Path, modules: Sequence[str] = ()) -> None:
        self._log = log
        self._result: Result | None = None
        self._steps: list[Mapping[str, Any]] = []
        self._looks = False
        self._process = start(log, modules)

    @property
    def lives(self) -> bool:
        """Whether its process is there."""
        return self._process.poll() is None

    def begin(self, request: Request) -> None:
        """Let it do what is asked."""
        self._result, self._steps = None, []
        self._looks = request.operation in LOOKS
        # The passphrase may be in the environment: it goes through the pipe, and never into the process's arguments.
        self._command(request.model_dump_json())

    def dismiss(self) -> None:
        """End a worker that was given nothing to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def abandon(self) -> None:
        """End an operation whose events nobody takes any more: what is in flight is finished, as when we had died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        for _ in self._process.stdout:
            continue
        self._process.wait()

    def events(self) -> Iterator[Event]:
        """Return the engine's events as they come, until the operation has ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            record: Mapping[str, Any] = json.loads(line)
            if "event" in record:
                yield stages.read(record["event"])
            elif "step" in record:
                self._steps.append(record["step"])
            else:
                self._result = Result.model_validate({**record["result"], "steps": self._steps})
                if self._looks:
                    return
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                # A command that came too late may still be in the buffer.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def result(self) -> Result:
        """Return how it ended; call it after the last event."""
        if self._result is None:
            last = self._log.read_text(errors="replace").strip().splitlines()[-15:]
            text = "\n".join([f"the update's process ended with code {self._process.returncode}", *last])
            self._result = Result(ok=False, error=WORKER_DIED, text=text)
        return self._result

    def cancel(self) -> None:
        """Let the engine finish what is in flight and begin nothing more."""
        if not self._looks:
            self._command("cancel")

    def kill(self) -> None:
        """End the engine at once; what is in flight may be left behind."""
        if self._looks:
            self._process.kill()
        else:
            self._command("kill")

    def _command(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            # It has ended by itself: its result, or its lack of one, tells.
            return
