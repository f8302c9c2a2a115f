"""The way back: what was made for a node that never came, or is no longer wanted, is deleted and looked for."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from automation import backend, lost, pending, stages
from automation.errors import Kind, LaunchFailure, Stopped
from automation.session import Interrupts, Reporter, Session, judge
from automation.stages import Event
from automation.worker import Resource, Result
from provider.status import Stage

_DESTROY_SECONDS: Final = 1800.0
_RESOURCES_SECONDS: Final = 120.0


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
class DestroyResult:
    """How a destroy ended: what was deleted, what is left if it failed, and the command that tries it again."""

    stack: str
    seconds: float
    deleted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    failure: LaunchFailure | None = None
    again: str = ""


def destroy(
    project: Path,
    stack: str,
    reporter: Reporter,
    interrupts: Interrupts,
    *,
    remove: bool = False,
    on_event: Callable[[Event], None] = lambda _: None,
    launch_id: str | None = None,
) -> DestroyResult:
    """Delete everything that the stack has, and look that it is gone; `on_event` is told what the engine says.

    Its journal is that of the launch, where one is named.

    Raises:
        Stopped: it can't begin.
    """
    began = time.monotonic()
    with Session(project, stack, interrupts, reporter, launch_id) as session:
        # A machine that no state knows would keep its network from being deleted.
        state = pending.resolve(session)
        if not state.pending:
            lost.delete_if_listed(session, state)
        deleted, failure, left = take_down(session, remove=remove, on_event=on_event)
    again = f"liftoff destroy --stack {stack}"
    return DestroyResult(stack, round(time.monotonic() - began, 3), deleted, left, failure, again)


def clean_up(session: Session, since: float, *, keep: bool, unsure: bool = False) -> Cleanup:
    """Delete what was made after `since` (seconds since 1970), unless it is to be kept or something older is there.

    `unsure` says that something that is paid for was asked for, and nobody knows what became of it.
    """
    command = f"liftoff destroy --stack {session.stack}"
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
    unseen = tuple(stages.name_of(one.urn) for one in found.pending)
    problem = _settle(session, found, unsure=unsure)
    if problem:
        return Cleanup("left", names or unseen, problem, command)
    if not names and not unseen:
        return Cleanup("nothing", (), "the launch failed before anything was made")
    if keep:
        return Cleanup("kept", names, "--keep was given", command)
    older = [stages.name_of(resource.urn) for resource in found.resources if _made(resource) < since]
    if older:
        return Cleanup("kept", names, f"the stack had {', '.join(older)} before this launch", command)
    session.reporter.note(f"Taking down what this launch made: {', '.join(names) or ', '.join(unseen)}")
    deleted, failure, left = take_down(session)
    if failure is None and not left:
        return Cleanup("removed", deleted or unseen)
    return Cleanup("left", left or names, failure.message if failure else "the engine kept them in its state", command)


def _settle(session: Session, state: Result, *, unsure: bool) -> str:
    """Find out what became of creates whose end nobody saw; return what could not be found out."""
    try:
        if state.pending:
            pending.settle(session, state)
        elif unsure:
            lost.delete(session, state, patient=True)
    except Stopped as error:
        return f"{error}; {error.hint}"
    return ""


def take_down(
    session: Session,
    *,
    remove: bool = False,
    only_types: frozenset[str] = frozenset(),
    on_event: Callable[[Event], None] = lambda _: None,
) -> tuple[tuple[str, ...], LaunchFailure | None, tuple[str, ...]]:
    """Delete what is in the stack, or only resources of some types and what depends on them.

    Returns:
        What was deleted, why it failed, and what is left.

    Raises:
        Stopped: there is no such stack.
    """
    deleted: list[str] = []
    failing: list[Event] = []

    def take(event: Event) -> None:
        on_event(event)
        ours = stages.is_resource(event.type) and event.op == "delete"
        if event.kind == "pre" and ours:
            session.reporter.note(f"Deleting {event.name}")
        elif event.kind == "outputs" and ours:
            deleted.append(event.name)
        elif event.kind == "failed" or (event.kind == "diagnostic" and event.severity == "error"):
            failing.append(event)

    result = session.run("destroy", _DESTROY_SECONDS, take, remove=remove, only_types=only_types)
    refuse_missing(session, result)
    failure = None if result.ok else judge(result, failing, Stage.VALIDATE)
    return tuple(deleted), failure, tuple(stages.name_of(resource.urn) for resource in result.resources)


def refuse_missing(session: Session, result: Result) -> None:
    """Refuse to go on where the stack does not exist.

    Raises:
        Stopped: there is no such stack.
    """
    if not result.ok and result.error == "StackNotFoundError":
        raise Stopped(
            Kind.CONFIGURATION,
            "stack_missing",
            f"there is no stack {session.stack!r} in {_backend_of(session)}",
            'see which there are: eval "$(liftoff env)"; pulumi stack ls',
        )


def _backend_of(session: Session) -> str:
    return backend.url_of_user(os.environ) or session.environment["PULUMI_BACKEND_URL"]


def _made(resource: Resource) -> float:
    """Return when a resource was made, in seconds since 1970; 0 where the engine does not know."""
    return datetime.fromisoformat(resource.created).timestamp() if resource.created else 0.0
