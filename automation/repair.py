"""The way back from a state that can't be read: its last whole copy, held against what the clouds really have."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from automation import backend, lost, pending, stack_file, state_files, takedown
from automation.errors import LaunchFailure
from automation.session import Interrupts, Reporter, Session, judge
from provider.status import Stage

_REFRESH_SECONDS: Final = 900.0


@dataclass(frozen=True)
class Repaired:
    """What a repair did.

    Attributes:
        copy: the copy that the state was taken from; empty where the state could be read.
        pending: creates whose end nobody saw, and which are settled now.
        resources: how many the state has now.
        unknown: machines with the stack's tags that the state does not know.
        deleted: those of them that were deleted.
        failure: why the refresh failed.
    """

    stack: str
    copy: str
    pending: int
    resources: int
    unknown: tuple[str, ...]
    deleted: tuple[str, ...]
    failure: LaunchFailure | None = None


def restore_if_broken(project: Path, stack: str) -> str:
    """Take a state that is there and can't be read from its last whole copy; return which, or nothing.

    What is not there stays so: its stack was removed. Nothing may work on the stack.
    """
    place = _place(os.environ)
    name = stack_file.project_name(project)
    if place is None or place.read(state_files.state_name(name, stack)) is None:
        return ""
    return state_files.restore(place, name, stack) or ""


def set_aside(project: Path, stack: str) -> None:
    """Put a state away that can't be read and has no copy, so that the stack can be made anew."""
    place = _place(os.environ)
    if place is not None:
        state_files.set_aside(place, stack_file.project_name(project), stack)


def forget_copies(project: Path, stack: str) -> None:
    """Remove what the engine keeps of the state of a stack that is gone."""
    place = _place(os.environ)
    if place is not None:
        state_files.forget(place, stack_file.project_name(project), stack)


def _place(environment: Mapping[str, str]) -> state_files.Place | None:
    url = backend.url_of_user(environment) or backend.environment(environment)["PULUMI_BACKEND_URL"]
    return state_files.place_of(url) if url.startswith(("file:", "s3:")) else None


def repair(
    project: Path, stack: str, reporter: Reporter, interrupts: Interrupts, *, delete_unknown: bool = False
) -> Repaired:
    """Make a stack's state one that can be read, and that says what there is.

    A state that can't be read is replaced by the engine's last whole copy. Then pending creates are settled, and a
    refresh asks the clouds for everything that the state names. Machines and idle addresses with the stack's tags that
    it does not name are told, since one of the machines may serve, and deleted where that is asked for.

    Raises:
        Stopped: somebody holds the stack, there is no copy, or the cloud can't be asked.
    """
    with Session(project, stack, interrupts, reporter) as session:
        url = backend.url_of_user(os.environ) or session.environment["PULUMI_BACKEND_URL"]
        name = stack_file.project_name(project)
        copy = state_files.restore(state_files.place_of(url), name, stack) or ""
        if copy:
            reporter.note(f"The state could not be read; it is {copy} now, and the broken one is kept beside it")
        unsure = pending.resolve(session).pending
        result = session.run("refresh", _REFRESH_SECONDS)
        takedown.refuse_missing(session, result)
        failure = None if result.ok else judge(result, [], Stage.VALIDATE)
        state = session.run("resources", _REFRESH_SECONDS)
        unknown = lost.find(session, state)
        deleted: tuple[str, ...] = ()
        if delete_unknown and unknown:
            lost.delete(session, state)
            deleted = tuple(sorted({*unknown} - {*lost.find(session, state)}))
        known = lost.known(session, state)
    return Repaired(stack, copy, len(unsure), len(known), unknown, deleted, failure)
