"""A launch from request to endpoint, and its way back: what was made for a node that never came is taken down again."""

import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

from automation import backend, errors, stack_file, stages
from automation.errors import Kind, LaunchFailure, Stopped
from automation.journal import Journal
from automation.stages import Event, Progress
from automation.worker import Operation, Request, Resource, Result, Worker
from components import settings
from provider.status import Stage, Status

_MARGIN_SECONDS: Final = 900.0
"""What an update may take beside the boot: a cloud's own creation times (Azure: about 6 minutes)."""
_DESTROY_SECONDS: Final = 1800.0
_RESOURCES_SECONDS: Final = 120.0


class Reporter(Protocol):
    """Who is told how it goes. Called from one thread."""

    def status(self, status: Status, elapsed: float) -> None:
        """Show how far the launch is, `elapsed` seconds after its beginning."""

    def note(self, text: str) -> None:
        """Show a line that stays."""


@dataclass(frozen=True)
class LaunchRequest:
    """What the user asked for.

    Attributes:
        project: folder of the Pulumi program.
        stack: the stack that the node is or will be in.
        model: name under which the model is served; None takes the stack's.
        config: values that override the stack's.
        keep: leave what was made when the launch fails.
    """

    project: Path
    stack: str
    model: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False


@dataclass(frozen=True)
class Span:
    """A stage with its beginning and end, in seconds after the launch's beginning."""

    stage: Stage
    began: float
    ended: float


@dataclass(frozen=True)
class Cleanup:
    """What became of what a failed launch had made.

    Attributes:
        outcome: `nothing` had been made; all was `removed`; it was `kept` as asked or because the stack had
            resources before; or something may be `left`.
        resources: the names concerned.
        reason: why it is so.
        command: what removes it by hand; empty where nothing is to be done.
    """

    outcome: Literal["nothing", "removed", "kept", "left"]
    resources: tuple[str, ...] = ()
    reason: str = ""
    command: str = ""


@dataclass(frozen=True)
class LaunchResult:
    """How a launch ended. `failure` and `cleanup` are None when it went well."""

    launch_id: str
    stack: str
    seconds: float
    timeline: tuple[Span, ...]
    events_file: Path
    outputs: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, int] = field(default_factory=dict)
    failure: LaunchFailure | None = None
    cleanup: Cleanup | None = None


@dataclass(frozen=True)
class DestroyResult:
    """How a destroy ended: what was deleted, and what is left if it failed."""

    stack: str
    seconds: float
    deleted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    failure: LaunchFailure | None = None


class Interrupts:
    """The user's Ctrl-C: the first ends cleanly, the second at once. `press` may be called from a signal handler."""

    def __init__(self) -> None:
        self.count = 0
        self._worker: Worker | None = None

    def press(self) -> None:
        """Pass one more interrupt on to the operation that runs."""
        self.count += 1
        if self._worker is not None:
            self._pass_on(self._worker)

    def watch(self, worker: Worker | None) -> None:
        """Say which operation runs; one that begins after the second interrupt is ended, too."""
        self._worker = worker
        if worker is not None and self.count > 1:
            worker.kill()

    def _pass_on(self, worker: Worker) -> None:
        if self.count == 1:
            worker.cancel()
        else:
            worker.kill()


class _Timeline:
    def __init__(self, began: float) -> None:
        self._began = began
        self._spans: list[Span] = []

    def enter(self, stage: Stage, now: float) -> None:
        at = round(now - self._began, 3)
        if self._spans and self._spans[-1].stage is stage:
            return
        self.close(now)
        self._spans.append(Span(stage, at, at))

    def close(self, now: float) -> None:
        if self._spans:
            last = self._spans[-1]
            self._spans[-1] = Span(last.stage, last.began, round(now - self._began, 3))

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(self._spans)


class Session:
    """What every operation on one stack shares: the engine, its environment, the journal, and the interrupts."""

    def __init__(self, project: Path, stack: str, interrupts: Interrupts, reporter: Reporter) -> None:
        self.project = project.resolve()
        self.stack = stack
        self.interrupts = interrupts
        self.reporter = reporter
        self.launch_id = f"launch-{uuid.uuid4()}"
        self.engine = backend.engine_folder()
        self.environment = backend.environment(os.environ)
        self._release_stale_locks()
        self.journal = Journal(self.launch_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()

    def run(
        self,
        operation: Operation,
        limit_seconds: float,
        on_event: Callable[[Event], None] = lambda _: None,
        *,
        config: Mapping[str, str] | None = None,
        remove: bool = False,
    ) -> Result:
        """Run one operation to its end."""
        request = Request(
            project=self.project,
            stack=self.stack,
            operation=operation,
            engine=self.engine,
            version=backend.version(),
            config=dict(config or {}),
            environment=self.environment,
            limit_seconds=limit_seconds,
            remove=remove,
        )
        with stack_file.untouched(self.project, self.stack):
            worker = Worker(request, self.journal.worker_log)
            self.interrupts.watch(worker)
            if operation == "up" and self.interrupts.count == 1:
                # It came while the update was being prepared.
                worker.cancel()
            for event in worker.events():
                self.journal.event(event)
                on_event(event)
            self.interrupts.watch(None)
        result = worker.result()
        self.journal.write("result", {"operation": operation, **result.model_dump(mode="json")})
        return result

    def _release_stale_locks(self) -> None:
        url = backend.url_of_user(os.environ) or self.environment["PULUMI_BACKEND_URL"]
        for lock in backend.release_stale_locks(url, stack_file.project_name(self.project), self.stack):
            self.reporter.note(f"Released the lock of {lock.holder}: that process is dead")


def launch(request: LaunchRequest, reporter: Reporter, interrupts: Interrupts) -> LaunchResult:
    """Bring the stack to its settings and wait until its endpoint answers.

    Raises:
        Stopped: the request can't be used; nothing has been asked of anybody.
    """
    began, wall = time.monotonic(), time.time()
    timeline = _Timeline(began)
    progress = Progress()
    failing: list[Event] = []

    def show(following: Progress, now: float) -> None:
        nonlocal progress
        if following.status != progress.status or now == began:
            timeline.enter(following.status.stage, now)
            reporter.status(following.status, now - began)
        progress = following

    def take(event: Event) -> None:
        show(stages.step(progress, event), event.time)
        if event.kind == "failed" or (event.kind == "diagnostic" and event.severity == "error"):
            failing.append(event)

    show(progress, began)
    config = stack_file.overrides(
        request.project, {**({"model": request.model} if request.model else {}), **request.config}
    )
    asked = validate(request.project, request.stack, config)
    failure = cleanup = None
    with Session(request.project, request.stack, interrupts, reporter) as session:
        session.journal.write("request", {"stack": request.stack, "config": config, "keep": request.keep, "wall": wall})
        prepare(asked, reporter)
        result = session.run("up", asked.boot_deadline_seconds + _MARGIN_SECONDS, take, config=config)
        if result.ok:
            show(stages.registered(progress, str(result.outputs.get("endpoint", ""))), time.monotonic())
        else:
            failure = judge(result, failing, progress.status.stage)
            cleanup = _clean_up(session, request, wall)
    timeline.close(time.monotonic())
    return LaunchResult(
        session.launch_id,
        request.stack,
        round(time.monotonic() - began, 3),
        timeline.spans,
        session.journal.events_file,
        result.outputs,
        result.changes,
        failure,
        cleanup,
    )


def destroy(
    project: Path, stack: str, reporter: Reporter, interrupts: Interrupts, *, remove: bool = False
) -> DestroyResult:
    """Delete everything that the stack has, and look that it is gone.

    Raises:
        Stopped: it can't begin.
    """
    began = time.monotonic()
    with Session(project, stack, interrupts, reporter) as session:
        deleted, failure, left = _take_down(session, remove=remove)
    return DestroyResult(stack, round(time.monotonic() - began, 3), deleted, left, failure)


def validate(project: Path, stack: str, config: Mapping[str, str]) -> settings.Settings:
    """Return the stack's settings before anything is started.

    Raises:
        Stopped: with a line for each setting that can't be used.
    """
    values = stack_file.read(project, stack, config)
    try:
        return settings.load(values, stack, is_encrypted=values.is_encrypted)
    except settings.SettingsRefused as error:
        raise Stopped(
            Kind.CONFIGURATION,
            "settings_refused",
            str(error),
            f"correct {stack_file.path_of(project, stack).name}, or give --config KEY=VALUE",
        ) from error


def prepare(asked: settings.Settings, reporter: Reporter) -> None:
    """Make what the embedded default needs and nobody else would: the tiny model in this host's bucket."""
    from automation import dev_model

    if dev_model.is_wanted(asked):
        dev_model.ensure(asked, reporter.note)


def judge(result: Result, failing: list[Event], stage: Stage) -> LaunchFailure:
    """Return why an operation failed: cancelled, else what the engine said of a resource, else what it wrote."""
    told = [event for event in failing if event.kind == "diagnostic"]
    # The engine's own summary ("update failed") has no resource; a resource's own words say more.
    cause = next((event for event in told if event.urn), None) or next(iter(told), None)
    failed = next((event for event in failing if event.kind == "failed"), None)
    resource = stages.name_of(cause.urn) if cause and cause.urn else failed.name if failed else ""
    own_words = cause is not None and (bool(cause.urn) or errors.is_traceback(cause.message))
    raw = cause.message if cause is not None and own_words else result.text or (cause.message if cause else "")
    failure = errors.classify(raw, stage, resource)
    if result.cancelled == "user":
        return LaunchFailure(
            Kind.CANCELLED, "cancelled", stage, resource, "cancelled", "run the command again", True, raw, failure.log
        )
    if result.cancelled == "time_limit" and failure.kind in {Kind.UNKNOWN, Kind.CANCELLED}:
        return LaunchFailure(
            Kind.BOOT if stage.start >= Stage.INSTALL.start else Kind.CAPACITY,
            "time_limit",
            stage,
            resource,
            f"the update had not ended after {result.seconds:.0f} s and was cancelled",
            "a cloud without capacity may keep an update waiting: try another zone, region or instance type",
            retryable=True,
            raw=raw,
            log=failure.log,
        )
    return failure


def _clean_up(session: Session, request: LaunchRequest, since: float) -> Cleanup:
    command = f"liftoff destroy --stack {request.stack}"
    at_once = Cleanup("left", (), "the second Ctrl-C ended it at once", command)
    if session.interrupts.count > 1:
        return at_once
    found = session.run("resources", _RESOURCES_SECONDS)
    if not found.ok:
        if session.interrupts.count > 1:
            return at_once
        if found.error == "StackNotFoundError":
            return Cleanup("nothing", (), "the stack was not made")
        return Cleanup("left", (), f"the stack's state can't be read: {found.text}", command)
    names = tuple(stages.name_of(resource.urn) for resource in found.resources)
    pending = tuple(stages.name_of(urn) for urn in found.pending)
    if not names and not pending:
        return Cleanup("nothing", (), "the launch failed before anything was made")
    if request.keep:
        return Cleanup("kept", names, "--keep was given", command)
    older = [stages.name_of(resource.urn) for resource in found.resources if _made(resource) < since]
    if older:
        return Cleanup("kept", names, f"the stack had {', '.join(older)} before this launch", command)
    session.reporter.note(f"Taking down what this launch made: {', '.join(names) or ', '.join(pending)}")
    deleted, failure, left = _take_down(session)
    if failure is None and not left:
        reason = f"what became of {', '.join(pending)} was never seen: look for it in the cloud" if pending else ""
        return Cleanup("left" if pending else "removed", pending or deleted, reason)
    return Cleanup("left", left or names, failure.message if failure else "the engine kept them in its state", command)


def _take_down(
    session: Session, *, remove: bool = False
) -> tuple[tuple[str, ...], LaunchFailure | None, tuple[str, ...]]:
    deleted: list[str] = []
    failing: list[Event] = []

    def take(event: Event) -> None:
        ours = stages.is_resource(event.type) and event.op == "delete"
        if event.kind == "pre" and ours:
            session.reporter.note(f"Deleting {event.name}")
        elif event.kind == "outputs" and ours:
            deleted.append(event.name)
        elif event.kind == "failed" or (event.kind == "diagnostic" and event.severity == "error"):
            failing.append(event)

    result = session.run("destroy", _DESTROY_SECONDS, take, remove=remove)
    if not result.ok and result.error == "StackNotFoundError":
        raise Stopped(
            Kind.CONFIGURATION,
            "stack_missing",
            f"there is no stack {session.stack!r} in {_backend_of(session)}",
            'see which there are: eval "$(liftoff env)"; pulumi stack ls',
        )
    failure = None if result.ok else judge(result, failing, Stage.VALIDATE)
    return tuple(deleted), failure, tuple(stages.name_of(resource.urn) for resource in result.resources)


def _backend_of(session: Session) -> str:
    return backend.url_of_user(os.environ) or session.environment["PULUMI_BACKEND_URL"]


def _made(resource: Resource) -> float:
    """Return when a resource was made, in seconds since 1970; 0 where the engine does not know."""
    return datetime.fromisoformat(resource.created).timestamp() if resource.created else 0.0
