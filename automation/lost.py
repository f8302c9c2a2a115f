"""Machines that a stack's cloud has and its state does not: looked for by their tags, and deleted.

A create whose answer was lost (a connection that was reset, a plugin or an engine that was killed, a state that could
not be written) leaves such a machine. No token of ours can keep it from coming: the plugins send one of their own with
each create, which a create of the next engine does not know. So whoever asks again, or takes down, looks first.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from automation import stack_file
from automation.cloud_api.refused import Refused
from automation.errors import Kind, Stopped
from automation.session import Session

if TYPE_CHECKING:
    from automation.sweep import Cloud, Machine

_SECONDS: Final = 120.0
_CLOUDS: Final = frozenset({"aws", "azure", "gcp"})
_LISTED_SECONDS: Final = 15.0
"""For how long a machine that was just made is looked for. Listings lag by seconds, seldom by more, which a later sweep
finds: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
_AGAIN_SECONDS: Final = 2.0


def find(session: Session) -> tuple[str, ...]:
    """Return the ids of the stack's machines that its state does not know.

    Raises:
        Stopped: the cloud can't be asked, or the state can't be read.
    """
    found: list[str] = []
    _each(session, lambda _, machine: found.append(machine.id))
    return tuple(found)


def delete(session: Session, *, patient: bool = False) -> tuple[str, ...]:
    """Delete the stack's machines that its state does not know, and return their ids.

    Args:
        session: the stack's; nothing else may work on it.
        patient: a create may just have been asked for: look more than once.

    Raises:
        Stopped: the cloud can't be asked, or the state can't be read.
    """
    deleted: list[str] = []

    def remove(cloud: "Cloud", machine: "Machine") -> None:
        session.reporter.note(f"Deleting {machine.id}, which no state knows")
        cloud.delete(machine)
        deleted.append(machine.id)

    end = time.monotonic() + (_LISTED_SECONDS if patient else 0.0)
    while _each(session, remove) and time.monotonic() < end and session.interrupts.count < 2:
        time.sleep(_AGAIN_SECONDS)
    return tuple(deleted)


def delete_if_listed(session: Session) -> None:
    """Delete them where the cloud can be asked; elsewhere say so and go on: nothing tells that there are any."""
    try:
        delete(session)
    except Stopped as error:
        session.reporter.note(f"{error}; {error.hint}")


def known(session: Session) -> set[str]:
    """Return the ids that a stack's state has; none where there is no such stack.

    Raises:
        Stopped: the state can't be read.
    """
    found = session.run("resources", _SECONDS)
    if not found.ok and found.error != "StackNotFoundError":
        text = f"the state of stack {session.stack!r} can't be read: {found.text}"
        raise Stopped(Kind.UNKNOWN, "state_unreadable", text, f"liftoff repair --stack {session.stack}")
    return {resource.id for resource in found.resources}


def _each(session: Session, act: Callable[["Cloud", "Machine"], None]) -> bool:
    """Do something with each machine that the state does not know; tell whether the stack is at a cloud at all."""
    # They need the SDKs, which nothing else on the way to a launch does.
    from automation import sweep
    from automation.checks import stack_values
    from components import tags

    values = stack_values.of_clouds(session.project, session.stack)
    provider, region = values.get("provider"), values.get("region")
    if provider not in _CLOUDS:
        # A machine of this host goes by its name: the next create, or delete, finds it.
        return False
    marks = tags.of_stack(stack_file.project_name(session.project), session.stack)
    try:
        cloud = sweep.connect(provider, region, values.environment(os.environ))
        found = cloud.machines(marks)
        for machine in sweep.without(found, known(session)) if found else ():
            act(cloud, machine)
    except Refused as error:
        text = f"what {provider} has of stack {session.stack!r} can't be looked up: {error.code}: {error}"
        hint = f"look there for machines with the tag liftoff-stack={session.stack}, and delete them"
        raise Stopped(Kind.UNKNOWN, "pending_unknown", text, hint) from error
    return True
