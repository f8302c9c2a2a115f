"""Machines of launches that nobody owns any more, found by the clouds' own listings and not by what anybody remembers.

A machine is a stray if this control plane has made it, by its tag, and
- its launch has ended, and has no node that is to live, or one whose take-down failed; or
- its launch is not known, which is so after a database was lost; or
- its launch has a node, and the state of its stack knows another machine.
A launch that has not ended is its conductor's own business. What carries another control plane's tag, or none (a stack
that a person drives), is left alone unless this database knows its launch.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stray:
    """A machine that nobody owns.

    Attributes:
        launch_id: the launch that it was made for.
        why: how it is known that nobody owns it.
        is_last: whether its launch has no other machine.
        remove: deletes it, and returns once it has gone; raises `Refused`.
    """

    machine: sweep.Machine
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
            machines = cloud.machines(marks)
        except Refused as error:
            log.warning("%s %s can't be listed: %s: %s", provider, region, error.code, error)
            continue
        yield from _of(machines, provider, cloud, _Books(template, launches, nodes, plane))


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

    def why(self, stack: str, machines: int, marked: str) -> str | None:
        """Return why all machines of a stack are strays; an empty text where only some are; None where none is."""
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
        return "" if machines > 1 else None

    def known(self, stack: str) -> set[str] | None:
        """Return the ids that a stack's state has; None where it can't be read now."""
        try:
            with Session(self.template.folder_of(stack), stack, Interrupts(), _Silent()) as session:
                return lost.known(session)
        except (Stopped, OSError) as error:
            log.warning("the state of %s can't be read: %s", stack, error)
            return None


def _of(machines: list[sweep.Machine], provider: str, cloud: sweep.Cloud, books: _Books) -> Iterator[Stray]:
    by_stack: dict[str, list[sweep.Machine]] = {}
    for machine in machines:
        by_stack.setdefault(machine.tags.get(tags.STACK, ""), []).append(machine)
    for stack, found in by_stack.items():
        why = books.why(stack, len(found), found[0].tags.get(tags.PLANE, ""))
        strays = found
        if why is None:
            continue
        if not why:
            known = books.known(stack)
            if known is None:
                continue
            strays, why = sweep.without(found, known), "the state of its launch knows another machine"
            if len(strays) == len(found):
                # The node answers from one of them: a state that knows none is not to be believed.
                log.error("the state of %s knows none of %s", stack, ", ".join(one.id for one in found))
                continue
        is_last = len(strays) == len(found)
        for machine in strays:
            yield Stray(machine, provider, stack, why, is_last, partial(cloud.delete, machine))


class _Silent:
    """A reporter that tells nobody."""

    def status(self, status: Status, elapsed: float) -> None:
        """Tell nobody."""

    def note(self, text: str) -> None:
        """Tell nobody."""
