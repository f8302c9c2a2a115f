"""A launch from request to endpoint, for one machine that the stack's settings name."""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from automation import pending, stack_file, stages
from automation.checks.checker import Checker, Stack
from automation.errors import Kind, LaunchFailure, Stopped
from automation.preview.gate import Gate
from automation.session import Interrupts, Reporter, Session, judge
from automation.stages import Event, Progress
from automation.takedown import Cleanup, clean_up
from automation.unheard import Unheard
from components import settings
from provider.status import Stage

_MARGIN_SECONDS: Final = 900.0
"""What an update may take beside the boot: a cloud's own creation times (Azure: about 6 minutes)."""


@dataclass(frozen=True)
class LaunchRequest:
    """What the user asked for.

    Attributes:
        project: folder of the Pulumi program.
        stack: the stack that the node is or will be in.
        model: name under which the model is served; None takes the stack's.
        config: values that override the stack's.
        keep: leave what was made when the launch fails.
        secrets_of: project and name of a stack that has the same secrets; None where the stack itself is there.
    """

    project: Path
    stack: str
    model: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    secrets_of: tuple[Path, str] | None = None


@dataclass(frozen=True)
class Recorded:
    """A launch that is recorded elsewhere, so that another process can go on with it.

    Attributes:
        launch_id: the launch's id, under which its journal is.
        since: when it was begun first, in seconds since 1970: what is in the stack since then is the launch's own.
        on_event: is told each event of the engine's.
        begun: whether another process has begun it, and died.
    """

    launch_id: str
    since: float
    on_event: Callable[[Event], None]
    begun: bool


@dataclass(frozen=True)
class Span:
    """A stage with its beginning and end, in seconds after the launch's beginning."""

    stage: Stage
    began: float
    ended: float


@dataclass(frozen=True)
class LaunchResult:
    """How a launch ended. `failure` and `cleanup` are None when it went well.

    Attributes:
        launch_id: its id; the stack of a control plane's launch has the same name.
        events_file: everything that happened; None where a control plane keeps it.
        server: URL of the server that carried it out; empty where it was this host.
    """

    launch_id: str
    stack: str
    seconds: float
    timeline: tuple[Span, ...]
    events_file: Path | None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, int] = field(default_factory=dict)
    failure: LaunchFailure | None = None
    cleanup: Cleanup | None = None
    server: str = ""

    @property
    def take_down_command(self) -> str:
        """The command that deletes what it made."""
        if self.events_file is None:
            return f"liftoff destroy {self.launch_id}{self._option}"
        return f"liftoff destroy --stack {self.stack}"

    @property
    def story(self) -> str:
        """Where everything that happened is told."""
        return f"liftoff logs {self.launch_id}{self._option}" if self.events_file is None else str(self.events_file)

    @property
    def _option(self) -> str:
        return f" --server {self.server}" if self.server else ""


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


class _Shown:
    """How far an update is, and what its engine said of failures."""

    def __init__(self, reporter: Reporter) -> None:
        self.began = time.monotonic()
        self.failing: list[Event] = []
        self.progress = Progress()
        self.timeline = _Timeline(self.began)
        self.unheard = Unheard()
        self._reporter = reporter
        self._show(self.progress, self.began)

    def take(self, event: Event) -> None:
        self._show(stages.step(self.progress, event), event.time)
        self.unheard.take(event)
        if event.kind == "failed" or (event.kind == "diagnostic" and event.severity == "error"):
            self.failing.append(event)

    def registered(self, endpoint: str) -> None:
        self._show(stages.registered(self.progress, endpoint), time.monotonic())

    def _show(self, following: Progress, now: float) -> None:
        if following.status != self.progress.status or now == self.began:
            self.timeline.enter(following.status.stage, now)
            self._reporter.status(following.status, now - self.began)
        self.progress = following


def launch(
    request: LaunchRequest,
    reporter: Reporter,
    interrupts: Interrupts,
    checker: Checker | None = None,
    gate: Gate | None = None,
    *,
    recorded: Recorded | None = None,
) -> LaunchResult:
    """Bring the stack to its settings and wait until its endpoint answers.

    Args:
        request: what the user asked for.
        reporter: is told how it goes.
        interrupts: the user's Ctrl-C.
        checker: looks up first what the launch needs; None looks nothing up.
        gate: holds the update's preview to the rules and to what was reviewed; None lets everything through.
        recorded: where the launch is recorded; None where it is not.

    Raises:
        Stopped: the request can't be used, lacks what only a person can give, or may not be; nothing was made here.
    """
    recorded = recorded or Recorded(f"launch-{uuid.uuid4()}", time.time(), lambda _: None, begun=False)
    shown = _Shown(reporter)
    config = overrides(request)
    asked = validate(request.project, request.stack, config)
    if checker is not None:
        checker.node(Stack(request.project, request.stack, config), asked, reporter.note)
    with Session(request.project, request.stack, interrupts, reporter, recorded.launch_id) as session:
        told = {"stack": request.stack, "config": config, "keep": request.keep, "wall": recorded.since}
        session.journal.write("request", told)
        if recorded.begun:
            pending.resolve(session)
        if gate is not None:
            gate.node(session, asked.provider, config)
        result = _update(session, asked, config, shown, recorded.on_event)
        if result.failure is not None:
            kept = clean_up(session, recorded.since, keep=request.keep, unsure=bool(shown.unheard))
            result = replace(result, cleanup=kept)
    return replace(result, seconds=round(time.monotonic() - shown.began, 3))


def take_back(request: LaunchRequest, recorded: Recorded, reporter: Reporter, interrupts: Interrupts) -> Cleanup:
    """Delete what a launch has made that another process began and that does not go on.

    Raises:
        Stopped: it can't begin.
    """
    with Session(request.project, request.stack, interrupts, reporter, recorded.launch_id) as session:
        pending.resolve(session)
        return clean_up(session, recorded.since, keep=request.keep)


def attempt(
    session: Session, request: LaunchRequest, config: Mapping[str, str], on_event: Callable[[Event], None]
) -> LaunchResult:
    """Run one update of a launch that may have several, and leave what it made.

    Raises:
        Stopped: the settings can't be used.
    """
    shown = _Shown(session.reporter)
    asked = validate(request.project, request.stack, config)
    return _update(session, asked, config, shown, on_event)


def not_begun(session: Session, failure: LaunchFailure) -> LaunchResult:
    """Return the result of an update that failed in its preview: nothing was made."""
    return LaunchResult(session.launch_id, session.stack, 0.0, (), session.journal.events_file, failure=failure)


def overrides(request: LaunchRequest) -> dict[str, str]:
    """Return the config values that the request sets, with full keys.

    Raises:
        Stopped: a key can't be set so.
    """
    model = {"model": request.model} if request.model else {}
    return stack_file.overrides(request.project, {**model, **request.config})


def _update(
    session: Session,
    asked: settings.Settings,
    config: Mapping[str, str],
    shown: _Shown,
    on_event: Callable[[Event], None] = lambda _: None,
) -> LaunchResult:
    prepare(asked, session.reporter)

    def take(event: Event) -> None:
        shown.take(event)
        on_event(event)

    result = session.run("up", asked.boot_deadline_seconds + _MARGIN_SECONDS, take, config=config)
    failure = None
    if result.ok:
        shown.registered(str(result.outputs.get("endpoint", "")))
    else:
        failure = judge(result, shown.failing, shown.progress.status.stage)
    now = time.monotonic()
    shown.timeline.close(now)
    return LaunchResult(
        session.launch_id,
        session.stack,
        round(now - shown.began, 3),
        shown.timeline.spans,
        session.journal.events_file,
        result.outputs,
        result.changes,
        failure,
    )


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
