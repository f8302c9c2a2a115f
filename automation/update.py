"""The worker: one engine operation in a process of its own (`python -m automation.update`, or forked).

Updates of several stacks do not share a process, since the SDKs import lazily and not thread-safely. The request is the
first line of standard input, as JSON. Later lines are commands: `cancel` ends the operation cleanly, `kill` at once.
When standard input ends, whoever asked is dead, and the operation is cancelled, so that no lock and no half-written
state is left. Standard output has one JSON object per line: events, and last the result.
"""

import contextlib
import gc
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, NoReturn, TextIO

from pulumi import automation as auto
from pulumi.automation import errors as engine_errors
from semver import VersionInfo

from automation import attached, backend, difference, program, stack_file, state_files
from automation.preview import recording
from automation.preview.recording import masked
from automation.worker import ENGINE_DIED, LOOKS, Cancelled, Request

_GRACE_SECONDS: Final = 120.0
"""How long a cancelled operation may take to finish what is in flight, before it is ended at once."""
_LAST_GRACE_SECONDS: Final = 3.0
_END_SECONDS: Final = 60.0
"""How long the engine may take to end after its last event, with all of its state written. Interrupted in a bad moment
it says something more after it, waits for ever for somebody to hear that, and keeps its lock
(https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/backend/display/display.go, `startEventLogger`)."""
_PREVIEWS: Final = frozenset({"preview", "preview-destroy"})


class Engine(auto.PulumiCommand):
    """The CLI as the Automation API runs it, with the one thing that the API hides: its process, to be interrupted."""

    umask = -1
    """Of the engine's files; negative where it is this process's own."""

    def __init__(self, folder: Path, version: str) -> None:
        # The base class asks the executable for its version; the folder it was installed in says it already.
        self.command = str(folder / "pulumi")
        self.version = VersionInfo.parse(version)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.cancelled: Cancelled | None = None
        """Why the operation was ended, if it was."""
        self.complaint = ""
        """What the command that failed wrote."""
        self.died = False
        """Whether the command was killed: by a signal, and not by us."""

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> auto.CommandResult:
        """Run one command to its end.

        Raises:
            CommandError: it failed.
        """
        # A pipe would end it with this process (SIGPIPE), in the middle of what it asks of a cloud.
        with _file() as out, _file() as err:
            code = self._run(args, cwd, additional_env, out, err)
            result = auto.CommandResult(_text(out), _text(err), code)
        if code != 0:
            self.complaint = result.stderr.strip() or result.stdout.strip()
            self.died = code < 0 and self.cancelled is None
            raise engine_errors.create_command_error(result)
        return result

    def _run(self, args: list[str], cwd: str, additional_env: Mapping[str, str], out: IO[bytes], err: IO[bytes]) -> int:
        """Run one command to its end, and return its exit code."""
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        with self._lock:
            if self.cancelled is not None:
                raise engine_errors.CommandError(auto.CommandResult("", f"not started: {self.cancelled}", 1))
            # A group of its own: a signal to it reaches nothing but the CLI, which ends its plugins in order.
            process = subprocess.Popen(
                [self.command, "--non-interactive", *args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env=environment,
                process_group=0,
                umask=self.umask,
            )
            self._process = process
        code = process.wait()
        with self._lock:
            self._process = None
        return code

    def interrupt(self, reason: Cancelled) -> None:
        """Let what is in flight finish and begin nothing more; a second time, end at once."""
        with self._lock:
            self.cancelled = self.cancelled or reason
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the CLI without its consent, and the plugins of its group."""
        with self._lock:
            self._kill(self._process)

    def expect_end(self, seconds: float) -> None:
        """Kill the CLI unless it ends within so many seconds; it has said its last word."""
        with self._lock:
            timer = threading.Timer(seconds, self._kill, (self._process,))
        timer.daemon = True
        timer.start()

    def _kill(self, process: "subprocess.Popen[bytes] | None") -> None:
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _file() -> IO[bytes]:
    """Return a file without a name: in memory where there is such a thing, since a stack's outputs have secrets."""
    return os.fdopen(os.memfd_create("engine"), "w+b") if sys.platform == "linux" else tempfile.TemporaryFile()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").rstrip("\n")


class _Workspace(auto.LocalWorkspace):
    """A workspace whose updates set config values as `pulumi up --config` does, in one CLI call instead of two."""

    def __init__(self, config: Mapping[str, str], **options: Any) -> None:  # noqa: ANN401 - the base class's own
        super().__init__(**options)
        self._config = config

    def serialize_args_for_op(self, stack_name: str) -> list[str]:
        pairs = [part for key, value in self._config.items() for part in ("--config", f"{key}={value}")]
        nested = ["--config-path"] if any(char in key for key in self._config for char in "[.") else []
        return [*pairs, *nested]


class _Stack(auto.Stack):
    """A stack without the CLI calls whose answers are known from the events: 0.1 to 0.4 s each."""

    workspace: _Workspace

    def __init__(self, name: str, workspace: _Workspace) -> None:
        # The base class selects the stack, which also changes what the user's own `pulumi` commands work on.
        self.name = name
        self.workspace = workspace

    def outputs(self) -> auto.OutputMap:
        return {}

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:
        return auto.UpdateSummary("update", datetime.now(UTC), "", {}, {}, "succeeded")


class Update:
    """One operation and what is known of it so far."""

    def __init__(self, request: Request, say: Callable[[dict[str, Any]], None]) -> None:
        self._request = request
        self._say = say
        self._events: queue.SimpleQueue[tuple[float, auto.EngineEvent] | None] = queue.SimpleQueue()
        self._outputs: dict[str, Any] | None = None
        self._changes: dict[str, int] = {}
        self._drift: list[dict[str, Any]] = []
        self.engine = Engine(request.engine, request.version)

    def run(self) -> None:
        """Carry the operation out and say its result."""
        began = time.monotonic()
        speaker = threading.Thread(target=self._speak, name="events")
        speaker.start()
        try:
            found = self._operate()
        except (engine_errors.CommandError, RuntimeError, OSError) as error:
            self._finish(speaker)
            self._say(self._failed(error, time.monotonic() - began))
            return
        self._finish(speaker)
        seconds = round(time.monotonic() - began, 3)
        known = {"outputs": self._outputs or {}, "changes": self._changes, "drift": self._drift}
        self._say({"result": {"ok": True, "seconds": seconds, **known, **found}})

    def _operate(self) -> dict[str, Any]:
        if self._request.operation == "resources":
            return self._resources(self._stack(self._request.environment))
        if self._request.operation == "forget":
            return self._forget(self._stack(self._request.environment))
        with attached.attached(self._request.environment) as environment:
            return self._drive(self._stack(environment))

    def _stack(self, environment: Mapping[str, str]) -> "_Stack":
        request = self._request
        workspace = _Workspace(
            request.config,
            work_dir=str(request.project),
            pulumi_command=self.engine,
            env_vars=environment,
        )
        return _Stack(request.stack, workspace)

    def _drive(self, stack: "_Stack") -> dict[str, Any]:
        request, workspace = self._request, stack.workspace
        if request.operation == "up":
            run = program.of(request.project)
            self._with_stack(workspace, lambda: stack.up(program=run, on_event=self._take, suppress_progress=True))
        elif request.operation == "preview":
            run = program.of(request.project)
            self._with_stack(workspace, lambda: stack.preview(program=run, on_event=self._take, suppress_progress=True))
        elif request.operation == "preview-destroy":
            stack.preview_destroy(on_event=self._take, suppress_progress=True)
        elif request.operation == "refresh":
            stack.refresh(on_event=self._take, suppress_progress=True)
        elif request.operation == "drift":
            stack.preview_refresh(on_event=self._take, suppress_progress=True)
        else:
            targets: list[str] | None = None
            if request.only_types:
                found = self._resources(stack)
                targets = [item["urn"] for item in found["resources"] if item["type"] in request.only_types]
                if not targets and not found["pending"]:
                    return found
            stack.destroy(
                on_event=self._take, suppress_progress=True, target=targets, target_dependents=bool(targets) or None
            )
            found = self._resources(stack)
            if request.remove and not found["resources"]:
                workspace.remove_stack(request.stack, preserve_config=True)
            return found
        return {}

    def _with_stack(self, workspace: auto.LocalWorkspace, work: Callable[[], object]) -> None:
        try:
            self._refuse_missing()
            work()
        except engine_errors.StackNotFoundError:
            workspace.create_stack(self._request.stack)
            try:
                work()
            finally:
                if self._request.operation == "preview" and self._request.remove:
                    workspace.remove_stack(self._request.stack, preserve_config=True)

    def _resources(self, stack: auto.Stack) -> dict[str, Any]:
        deployment: Mapping[str, Any] | None = self._read_state()
        if deployment is None:
            deployment = stack.export_stack().deployment or {}
        return held(deployment)

    def _read_state(self) -> dict[str, Any] | None:
        """Return what the state's own file holds; None where the engine has to be asked, or to say what is wrong.

        The engine takes a third of a second to say the same, for the key of secrets that nobody asks for here.
        """
        text = self._files.read(state_files.state_name(self._project, self._request.stack)) if self._files else None
        if text is None:
            self._refuse_missing()
            return None
        return state_files.deployment(text)

    def _refuse_missing(self) -> None:
        """Say that there is no such stack, where that is known without asking the engine."""
        stack = self._request.stack
        if self._files is not None and state_files.is_missing(self._files, self._project, stack):
            raise engine_errors.StackNotFoundError(
                auto.CommandResult("", f"error: no stack named '{stack}' found", 255)
            )

    @cached_property
    def _files(self) -> state_files.Place | None:
        """The states' files, where they are files of this host."""
        url = backend.url_of_user(os.environ) or self._request.environment.get("PULUMI_BACKEND_URL", "")
        return state_files.place_of(url) if url.startswith("file:") else None

    @cached_property
    def _project(self) -> str:
        return stack_file.project_name(self._request.project)

    def _forget(self, stack: auto.Stack) -> dict[str, Any]:
        state = stack.export_stack()
        # The engine keeps creates through every update and destroy; all others it drops itself.
        state.deployment = {**(state.deployment or {}), "pending_operations": []}
        stack.import_stack(state)
        return {}

    def _failed(self, error: Exception, seconds: float) -> dict[str, Any]:
        result = {
            "ok": False,
            "error": ENGINE_DIED if self.engine.died else type(error).__name__,
            "text": self.engine.complaint or str(error),
            "cancelled": self.engine.cancelled,
            "changes": self._changes,
            "drift": self._drift,
            "seconds": round(seconds, 3),
        }
        return {"result": result}

    def _take(self, event: auto.EngineEvent) -> None:
        if event.cancel_event is not None:
            self.engine.expect_end(_END_SECONDS)
        # A slow receiver delays the update's end: only note the time and hand it on.
        self._events.put((time.monotonic(), event))

    def _finish(self, speaker: threading.Thread) -> None:
        self._events.put(None)
        speaker.join()

    def _speak(self) -> None:
        while (item := self._events.get()) is not None:
            moment, event = item
            if event.summary_event is not None:
                self._changes = {
                    str(getattr(op, "value", op)): n for op, n in event.summary_event.resource_changes.items()
                }
            if event.res_outputs_event is not None:
                self._note_outputs(event.res_outputs_event.metadata)
                self._note_drift(event.res_outputs_event.metadata)
            if event.resource_pre_event is not None and self._request.operation in _PREVIEWS:
                self._say({"step": recording.record(event.resource_pre_event.metadata)})
            record = plain(event)
            if record is not None:
                self._say({"event": {"sequence": event.sequence, "time": round(moment, 3), **record}})

    def _note_outputs(self, metadata: auto.StepEventMetadata) -> None:
        if metadata.type == "pulumi:pulumi:Stack" and metadata.new is not None and metadata.new.outputs:
            self._outputs = {name: masked(value) for name, value in metadata.new.outputs.items()}

    def _note_drift(self, step: auto.StepEventMetadata) -> None:
        if self._request.operation != "drift" or step.type.startswith("pulumi:"):
            return
        old, new = _sides(step.old), _sides(step.new)
        paths = tuple(step.detailed_diff or step.diffs or ())
        found = difference.of_step(step.urn, step.type, step.op.value, old, new, paths)
        if found is not None:
            self._drift.append(found.model_dump(mode="json"))


def _sides(state: auto.StepEventStateMetadata | None) -> tuple[dict[str, Any], dict[str, Any]]:
    return (masked(state.inputs or {}), masked(state.outputs or {})) if state else ({}, {})


def plain(event: auto.EngineEvent) -> dict[str, Any] | None:
    """Return the fields of an event that a launch needs, or None; inputs and outputs of resources stay here."""
    steps = (
        ("pre", event.resource_pre_event),
        ("outputs", event.res_outputs_event),
        ("failed", event.res_op_failed_event),
    )
    for kind, step in steps:
        if step is not None:
            of = step.metadata
            return {"kind": kind, "urn": of.urn, "type": of.type, "op": of.op.value}
    told = event.diagnostic_event
    if told is None or told.severity == "debug" or not told.message.strip():
        return None
    return {
        "kind": "diagnostic",
        "urn": told.urn or "",
        "message": told.message.rstrip(),
        "severity": told.severity,
        "ephemeral": bool(told.ephemeral),
    }


def held(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state's resources, and the creates whose end it does not know.

    Whatever else was cut off, the engine does again by itself: what it was to change or to delete has its id.
    """
    return {
        "resources": [
            {
                "urn": item["urn"],
                "type": item["type"],
                "id": item.get("id", ""),
                "created": item.get("created", ""),
            }
            for item in deployment.get("resources") or []
            if item.get("custom") and not item["type"].startswith("pulumi:")
        ],
        "pending": [
            {
                "urn": operation["resource"]["urn"],
                "type": operation["resource"]["type"],
                "names": _names(operation["resource"].get("inputs") or {}),
            }
            for operation in deployment.get("pending_operations") or []
            if operation["type"] == "creating"
        ],
    }


def _names(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value
        for key, value in inputs.items()
        if isinstance(value, str) and (key == "region" or key.lower().endswith("name"))
    }


def _watch(commands: TextIO, engine: Engine) -> None:
    for line in commands:
        if line.strip() == "kill":
            engine.interrupt("user")
            time.sleep(_LAST_GRACE_SECONDS)
            engine.kill()
        elif line.strip() == "cancel":
            engine.interrupt("user")
    engine.interrupt("orphaned")


def _limit(engine: Engine, seconds: float, ended: threading.Event) -> None:
    for wait in (seconds, _GRACE_SECONDS):
        if ended.wait(wait):
            return
        engine.interrupt("time_limit")
    if not ended.wait(_LAST_GRACE_SECONDS):
        engine.kill()


def main(modules: Sequence[str], commands: TextIO) -> NoReturn:
    """Read the request, do it, say the result; these modules are imported first."""
    # Nothing else may write between our lines: what prints to standard output goes to standard error.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(record: dict[str, Any]) -> None:
        with lock:
            try:
                channel.write(json.dumps(record, separators=(",", ":"), default=str) + "\n")
            except BrokenPipeError:
                update.engine.interrupt("orphaned")

    gc.disable()
    # What the plugin makes is for nobody else to read; the engine's own files are as the user has them.
    Engine.umask = os.umask(0o077)
    for module in modules:
        # What is wrong with it is told when the program needs it.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.enable()
    while line := commands.readline():
        request = Request.model_validate_json(line)
        update = Update(request, say)
        ended = threading.Event()
        if request.operation not in LOOKS:
            threading.Thread(target=_watch, args=(commands, update.engine), daemon=True).start()
        threading.Thread(target=_limit, args=(update.engine, request.limit_seconds, ended), daemon=True).start()
        update.run()
        ended.set()
        if request.operation not in LOOKS:
            break
    sys.stderr.flush()
    # The thread that reads commands may hold its lock: leave without the interpreter's own tidying.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin)
