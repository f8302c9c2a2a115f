"""Machines, idle addresses and cut-off parts of networks that a stack's cloud has and its state does not: all deleted.

A create whose answer was lost (a connection that was reset, a plugin or an engine that was killed, a state that could
not be written) leaves such a machine. No token of ours can keep it from coming: the plugins send one of their own with
each create, which a create of the next engine does not know. So whoever asks again, or takes down, looks first.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from automation import stack_file
from automation.cloud_api.refused import Refused
from automation.errors import Kind, Stopped
from automation.session import Session
from automation.worker import Result

if TYPE_CHECKING:
    from automation.sweep import Address, Cloud, Listed, Machine, Part

_SECONDS: Final = 120.0
_CLOUDS: Final = frozenset({"aws", "azure", "gcp"})
_LISTED_SECONDS: Final = 15.0
"""For how long a machine that was just made is looked for. Listings lag by seconds, seldom by more, which a later sweep
finds: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
_AGAIN_SECONDS: Final = 2.0
_REFUSED_SECONDS: Final = 30.0
"""For how long a cloud that can't be listed is asked again, where a machine may have been made."""

_Answer = TypeVar("_Answer")
_Found = TypeVar("_Found", bound="Listed")


def find(session: Session, state: Result) -> tuple[str, ...]:
    """Return the ids of the stack's machines and idle addresses that its state, as just found, does not know.

    Raises:
        Stopped: the cloud can't be asked, or the state can't be read.
    """
    search = _Search(session, state)
    return tuple(one.id for one in (*search.machines(), *search.addresses()))


def delete(session: Session, state: Result, *, patient: bool = False) -> tuple[str, ...]:
    """Delete the stack's machines that its state does not know, and return their ids; release such addresses, too.

    Args:
        session: the stack's; nothing else may work on it.
        state: what it was just found to hold (`resources`).
        patient: a create may just have been asked for: look more than once.

    Raises:
        Stopped: the cloud can't be asked, or the state can't be read.
    """
    deleted: list[str] = []
    search = _Search(session, state, _REFUSED_SECONDS if patient else 0.0)
    end: float | None = None
    while True:
        found = search.machines()
        # The listing may lag from the moment in which it is answered at all.
        end = end or time.monotonic() + (_LISTED_SECONDS if patient and search.is_at_cloud else 0.0)
        for machine in found:
            session.reporter.note(f"Deleting {machine.id}, which no state knows")
            search.delete(machine)
            deleted.append(machine.id)
        if time.monotonic() >= end or session.interrupts.count >= 2:
            break
        time.sleep(_AGAIN_SECONDS)
    for address in search.addresses():
        session.reporter.note(f"Releasing {address.id}, which no state knows")
        search.release(address)
    return tuple(deleted)


def delete_if_listed(session: Session, state: Result) -> None:
    """Delete them where the cloud can be asked; elsewhere say so and go on: nothing tells that there are any."""
    with _told(session):
        delete(session, state)


def delete_parts(session: Session, state: Result) -> None:
    """Delete the parts of a network whose creates were cut off; they would keep it from going, and from being made.

    They cost nothing: what can't be deleted is said, and left.
    """
    search = _Search(session, state, _REFUSED_SECONDS)
    with _told(session):
        for part in search.parts():
            session.reporter.note(f"Deleting {part.id}, which no state knows")
            search.discard(part)


@contextmanager
def _told(session: Session) -> Iterator[None]:
    """Say what can't be asked or done, and go on."""
    try:
        yield
    except Stopped as error:
        session.reporter.note(f"{error}; {error.hint}")


def known(session: Session, state: Result | None = None) -> set[str]:
    """Return the ids that a stack's state has; none where there is no such stack. It is read unless it is given.

    Raises:
        Stopped: the state can't be read.
    """
    found = session.run("resources", _SECONDS) if state is None else state
    if not found.ok and found.error != "StackNotFoundError":
        text = f"the state of stack {session.stack!r} can't be read: {found.text}"
        raise Stopped(Kind.UNKNOWN, "state_unreadable", text, f"liftoff repair --stack {session.stack}")
    return {resource.id for resource in found.resources}


class _Search:
    """A stack's cloud, asked for what the stack's state does not know."""

    def __init__(self, session: Session, state: Result, patience_seconds: float = 0.0) -> None:
        # It needs what nothing else on the way to a launch does.
        from automation.checks import stack_values

        self._session = session
        self._state = state
        self._values = stack_values.of_clouds(session.project, session.stack)
        self._until = time.monotonic() + patience_seconds

    @property
    def is_at_cloud(self) -> bool:
        """Whether there is a cloud to ask; a machine of this host goes by its name, and the next create finds it."""
        return self._values.get("provider") in _CLOUDS

    def machines(self) -> Sequence["Machine"]:
        """Return the machines that carry the stack's tags, and that its state does not know."""
        return self._unknown(lambda cloud: cloud.machines(self._marks)) if self.is_at_cloud else ()

    def addresses(self) -> Sequence["Address"]:
        """Return the addresses that carry the stack's tags, that nothing uses, and that its state does not know."""
        return self._unknown(lambda cloud: cloud.idle_addresses(self._marks)) if self.is_at_cloud else ()

    def parts(self) -> Sequence["Part"]:
        """Return the parts of a network that pending creates have made, in the order in which they can go."""
        pending = self._state.pending
        return self._unknown(lambda cloud: cloud.parts(self._marks, pending)) if pending and self.is_at_cloud else ()

    def delete(self, machine: "Machine") -> None:
        """Delete one of the machines."""
        self._asked(lambda cloud: cloud.delete(machine))

    def release(self, address: "Address") -> None:
        """Give one of the addresses back."""
        self._asked(lambda cloud: cloud.release(address))

    def discard(self, part: "Part") -> None:
        """Delete one of the parts."""
        self._asked(lambda cloud: cloud.discard(part))

    def _unknown(self, look: Callable[["Cloud"], list[_Found]]) -> list[_Found]:
        from automation import sweep

        found = self._asked(look)
        return sweep.without(found, self._known) if found else []

    @cached_property
    def _marks(self) -> dict[str, str]:
        from components import tags

        return tags.of_stack(stack_file.project_name(self._session.project), self._session.stack)

    @cached_property
    def _cloud(self) -> "Cloud":
        from automation import sweep

        return sweep.connect(
            self._values.get("provider"), self._values.get("region"), self._values.environment(os.environ)
        )

    @cached_property
    def _known(self) -> set[str]:
        return known(self._session, self._state)

    def _asked(self, ask: Callable[["Cloud"], _Answer]) -> _Answer:
        """Return what the cloud answers; a refusal that may be over in a moment is waited out while there is time."""
        while True:
            try:
                return ask(self._cloud)
            except Refused as error:
                if not error.passes or time.monotonic() > self._until or self._session.interrupts.count >= 2:
                    raise self._unknowable(error) from error
            time.sleep(_AGAIN_SECONDS)

    def _unknowable(self, error: Refused) -> Stopped:
        provider, stack = self._values.get("provider"), self._session.stack
        text = f"what {provider} has of stack {stack!r} can't be looked up: {error.code}: {error}"
        hint = f"look there for machines and addresses with the tag liftoff-stack={stack}, and delete them"
        return Stopped(Kind.UNKNOWN, "pending_unknown", text, hint)
