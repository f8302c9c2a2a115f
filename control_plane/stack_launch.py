"""A launch in a person's own stack: recorded and carried out as a server's is, and shown by the command that asks."""

import logging
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from automation import launch as launching
from automation import plan, stack_file
from automation.errors import Stopped
from automation.failover import PlanResult
from automation.launch import LaunchRequest, LaunchResult
from automation.offers import Offer
from control_plane import own_stack, presence
from control_plane.audience import Audience
from control_plane.conductor import Conductor
from control_plane.own_stack import OwnStack
from control_plane.project import Template
from control_plane.store.blocks import Blocks
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launch, Launches
from control_plane.store.nodes import Nodes
from control_plane.workflows import Workflows
from provider import places

DATABASE: Final = "control-plane.sqlite"


def of_settings(request: LaunchRequest, audience: Audience) -> LaunchResult:
    """Bring a stack to its settings, and return how it ended.

    Raises:
        Stopped: it can't begin; what it had made is taken down.
    """
    ended = _carry_out(request, (), audience)
    assert isinstance(ended, LaunchResult)
    return ended


def of_offers(request: LaunchRequest, offers: Sequence[Offer], audience: Audience) -> PlanResult:
    """Try offers in an empty stack, and return how it ended.

    Raises:
        Stopped: there is no offer, or it can't begin; what it had made is taken down.
    """
    plan.require(offers)
    ended = _carry_out(request, offers, audience)
    assert isinstance(ended, PlanResult)
    return ended


def _carry_out(request: LaunchRequest, offers: Sequence[Offer], audience: Audience) -> object:
    first = stack_file.overrides(request.project, offers[0].config()) if offers else {}
    given = launching.validate(request.project, request.stack, {**launching.overrides(request), **first})
    asked = own_stack.asked(given, offers)
    own = OwnStack.of(request)
    state = places.state_folder()
    # A library's warnings are no part of what a command shows.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    database = Database(sqlite_url(state / DATABASE))
    database.migrate()
    launches = Launches(database)
    with presence.held() as name:
        interrupted = _end_interrupted(launches, own.project, own.stack)
        if interrupted is not None:
            own = own.taking_over(interrupted)
        launch_id, _ = launches.add(
            f"launch-{uuid.uuid4()}",
            asked.model_dump(mode="json"),
            None,
            stack=own.model_dump(mode="json"),
            server=name,
            plan=offers,
        )
        template = Template(request.project, request.stack, state / "launch-projects")
        conductor = Conductor(launches, Nodes(database), Blocks(database), template, name, audience=audience)
        Workflows(conductor, launches, sqlite_url(state / "workflows.sqlite"), name, engines=1).carry_out(launch_id)
    database.close()
    ended = audience.ended
    if isinstance(ended, Stopped):
        raise ended
    return ended


def gone(project: Path, stack: str) -> None:
    """Keep that a person's own stack has been taken down."""
    file = places.state_folder() / DATABASE
    if not file.exists():
        return
    database = Database(sqlite_url(file))
    database.migrate()
    launches, nodes = Launches(database), Nodes(database)
    _end_interrupted(launches, str(project.resolve()), stack)
    own = {launch.id for launch in launches.of_stack(str(project.resolve()), stack)}
    for node in nodes.all(gone=False):
        if node.launch_id in own:
            nodes.set_state(node.id, "gone", "its stack was taken down")
    for launch_id in own:
        launches.machines.gone(launch_id)
    database.close()


def _end_interrupted(launches: Launches, project: str, stack: str) -> Launch | None:
    """End the launches of a stack whose command has died, and return the latest of them, if there is one."""
    dead = set(presence.dead())
    found = [launch for launch in launches.of_stack(project, stack) if launch.server in dead]
    interrupted = [launch for launch in found if not launch.has_ended]
    for launch in interrupted:
        launches.end_interrupted(launch.id)
    presence.forget({str(launch.server) for launch in found})
    return interrupted[0] if interrupted else None
