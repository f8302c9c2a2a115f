"""What launches made and nobody owns any more, found by the clouds' own listings and not by what anybody remembers.

A machine, or an address that nothing uses, is a stray if this control plane has made it, by its tag, and
- its launch has ended, and has no node that is to live, or one whose take-down failed; or
- its launch is not known, which is so after a database was lost; or
- its launch has a node, and the state of its stack does not know it.
A launch that has not ended is its conductor's own business. What carries another control plane's tag, or none (a stack
that a person drives), is left alone unless this database knows its launch.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from automation import lost, stack_file, sweep
from automation.checks import stack_values
from automation.cloud_api.refused import Refused
from automation.errors import Stopped
from automation.session import Interrupts, Session
from components import tags
from control_plane.leftovers import GOING
from control_plane.project import Template
from control_plane.store.launches import Launches, UnknownLaunch
from control_plane.store.nodes import NOT_TAKEN_DOWN, Nodes
from provider.status import Status

_WHOLE_ACCOUNT: Final = frozenset({"azure", "gcp"})
"""Clouds of which one listing tells every region."""

_Found = TypeVar("_Found", bound=sweep.Listed)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stray:
    """A machine or an address that nobody owns.

    Attributes:
        launch_id: the launch that it was made for.
        why: how it is known that nobody owns it.
        is_last: whether it is a machine, and its launch has no other that is to stay.
        remove: deletes it, and returns once it has gone; raises `Refused`.
    """

    found: sweep.Listed
    provider: str
    launch_id: str
    why: str
    is_last: bool
    remove: Callable[[], None]


Connect = Callable[[str, str, Mapping[str, str]], sweep.Cloud]


def look(
    template: Template, launches: Launches, nodes: Nodes, plane: str, connect: Connect = sweep.connect
) -> Iterator[Stray]:
    """Yield the strays at every place where a launch has tried an offer; a cloud that can't be asked is passed over."""
    places = _places(launches)
    if not places:
        return
    project = stack_file.project_name(template.project)
    values = stack_values.of_clouds(template.project, template.stack)
    marks = {tags.PROJECT: tags.value(project)}
    for provider, region in places:
        try:
            cloud = connect(provider, region, values.environment(os.environ))
            machines, addresses = cloud.machines(marks), cloud.idle_addresses(marks)
        except Refused as error:
            log.warning("%s %s can't be listed: %s: %s", provider, region, error.code, error)
            continue
        books = _Books(template, launches, nodes, plane)
        yield from _machines(machines, provider, cloud, books)
        yield from _addresses(addresses, provider, cloud, books)


def _places(launches: Launches) -> list[tuple[str, str]]:
    found = {
        (provider, "" if provider in _WHOLE_ACCOUNT else region)
        for provider, region in launches.places()
        if provider != "local"
    }
    return sorted(found)


@dataclass(frozen=True)
class _Books:
    """What this control plane believes."""

    template: Template
    launches: Launches
    nodes: Nodes
    plane: str

    def why(self, stack: str, marked: str) -> str | None:
        """Return why all that a stack has are strays; an empty text where a node needs some; None where none is."""
        try:
            launch = self.launches.get(stack)
        except UnknownLaunch:
            return "its launch is not known any more" if marked == tags.value(self.plane) else None
        if not launch.has_ended:
            return None
        node = self.nodes.of_launch(stack)
        if node is None:
            return f"its launch has ended: {launch.status}"
        if node.state == "gone":
            return "its node was taken down"
        if node.state in GOING:
            failed = node.state_reason.startswith(NOT_TAKEN_DOWN)
            return "the take-down of its node failed" if failed else None
        return ""

    def known(self, stack: str) -> set[str] | None:
        """Return the ids that a stack's state has; None where it can't be read now."""
        try:
            with Session(self.template.folder_of(stack), stack, Interrupts(), _Silent()) as session:
                return lost.known(session)
        except (Stopped, OSError) as error:
            log.warning("the state of %s can't be read: %s", stack, error)
            return None


def _machines(machines: Sequence[sweep.Machine], provider: str, cloud: sweep.Cloud, books: _Books) -> Iterator[Stray]:
    for stack, found, why in _by_stack(machines, books):
        strays, reason = found, why
        if not reason:
            # The node answers from one of them.
            known = books.known(stack) if len(found) > 1 else None
            if known is None:
                continue
            strays, reason = sweep.without(found, known), "the state of its launch knows another machine"
            if len(strays) == len(found):
                # A state that knows none is not to be believed.
                log.error("the state of %s knows none of %s", stack, ", ".join(one.id for one in found))
                continue
        is_last = len(strays) == len(found)
        for machine in strays:
            yield Stray(machine, provider, stack, reason, is_last, partial(cloud.delete, machine))


def _addresses(addresses: Sequence[sweep.Address], provider: str, cloud: sweep.Cloud, books: _Books) -> Iterator[Stray]:
    for stack, found, why in _by_stack(addresses, books):
        strays, reason = found, why
        if not reason:
            known = books.known(stack)
            if known is None:
                continue
            strays, reason = sweep.without(found, known), "nothing uses it, and the state of its launch knows another"
        for address in strays:
            yield Stray(address, provider, stack, reason, is_last=False, remove=partial(cloud.release, address))


def _by_stack(found: Sequence[_Found], books: _Books) -> Iterator[tuple[str, list[_Found], str]]:
    """Yield each stack that has, or may have, strays, what was found of it, and why all of that are some."""
    by_stack: dict[str, list[_Found]] = {}
    for one in found:
        by_stack.setdefault(one.tags.get(tags.STACK, ""), []).append(one)
    for stack, its in by_stack.items():
        why = books.why(stack, its[0].tags.get(tags.PLANE, ""))
        if why is not None:
            yield stack, its, why


class _Silent:
    """A reporter that tells nobody."""

    def status(self, status: Status, elapsed: float) -> None:
        """Tell nobody."""

    def note(self, text: str) -> None:
        """Tell nobody."""
