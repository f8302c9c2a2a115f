"""A launch in a person's own stack is recorded as a server's is, whatever becomes of the command that asks for it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS

from automation.errors import Kind, Stopped
from automation.launch import LaunchRequest
from automation.preview.gate import Gate
from automation.session import Interrupts
from automation.worker import Result
from control_plane import presence, stack_launch
from control_plane.audience import Audience
from control_plane.own_stack import OwnStack
from control_plane.request import LOCAL_OFFER
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launch, Launches
from control_plane.store.nodes import Node, Nodes
from provider import places
from provider.status import Stage
from tests.unit.automation.conftest import FAILED_BOOT, MACHINE, Engine, Listener, engine, event, project

__all__ = ["engine", "project"]

OUTPUTS = {"endpoint": "https://198.51.100.7", "certificate": "PEM", "expiresAt": "2999-01-01T00:00:00+00:00"}


class Desk:
    """A person with a stack."""

    def __init__(self, project: Path, engine: Engine) -> None:
        self.project, self.engine = project, engine
        self.listener, self.interrupts = Listener(), Interrupts()
        self.database = Database(sqlite_url(places.state_folder() / stack_launch.DATABASE))
        self.database.migrate()
        self.launches, self.nodes = Launches(self.database), Nodes(self.database)
        engine.plays["up"] = ([], Result(ok=True, outputs=OUTPUTS))

    def launch(self, **more: Any) -> Any:
        try:
            request = LaunchRequest(self.project, "dev", **more)
            return stack_launch.of_settings(request, Audience(self.listener, self.interrupts, Gate()))
        finally:
            DBOS.destroy(workflow_completion_timeout_sec=0)

    def recorded(self) -> list[Launch]:
        """Return the launches of the stack, newest first."""
        return self.launches.of_stack(str(self.project.resolve()), "dev")

    def node(self, launch: Launch) -> Node:
        found = self.nodes.of_launch(launch.id)
        assert found is not None
        return found

    def interrupted(self, *, tried: bool = True) -> str:
        """Record a launch whose command has died."""
        with presence.held() as name:
            pass
        (places.state_folder() / "commands" / name).touch()
        own = OwnStack.of(LaunchRequest(self.project, "dev")).model_dump(mode="json")
        asked = {"model_name": "some-model", "provider": "local"}
        launch_id, _ = self.launches.add("launch-before", asked, None, stack=own, server=name)
        if tried:
            self.launches.begin(launch_id, name)
            self.launches.start_attempt(launch_id, LOCAL_OFFER)
        return launch_id


@pytest.fixture
def desk(engine: Engine, project: Path) -> Iterator[Desk]:
    made = Desk(project, engine)
    yield made
    made.database.close()


def test_a_launch_that_goes_well_is_recorded_with_its_node_and_shown_as_it_goes(desk: Desk) -> None:
    result = desk.launch()
    assert (result.failure, result.outputs["endpoint"]) == (None, OUTPUTS["endpoint"])
    (launch,) = desk.recorded()
    assert (launch.id, launch.status) == (result.launch_id, "succeeded")
    assert (launch.request["model_name"], launch.request["provider"]) == ("some-model", "local")
    assert [attempt.state for attempt in desk.launches.attempts_of(launch.id)] == ["succeeded"]
    assert (desk.node(launch).endpoint, desk.node(launch).state) == (OUTPUTS["endpoint"], "healthy")
    assert [status.stage for status in desk.listener.statuses] == [Stage.VALIDATE, Stage.REGISTER]


def test_a_boot_that_failed_is_recorded_with_its_reason_and_what_was_made_is_taken_down(desk: Desk) -> None:
    desk.engine.plays["up"] = (FAILED_BOOT, Result(ok=False, text="update failed"))
    desk.engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))
    desk.engine.plays["destroy"] = ([event("outputs", "LocalMachine", op="delete")], Result(ok=True))
    result = desk.launch()
    assert result.cleanup.outcome == "removed"
    (launch,) = desk.recorded()
    assert launch.status == "failed"
    assert launch.error is not None
    assert (launch.error["kind"], launch.error["code"]) == ("boot", "serve_failed")
    assert desk.launches.logs_of(launch.id, "node") == ["last", "words"]
    assert desk.nodes.of_launch(launch.id) is None


def test_what_could_not_be_taken_down_stands_in_the_record(desk: Desk) -> None:
    desk.engine.plays["up"] = (FAILED_BOOT, Result(ok=False, text="update failed"))
    desk.engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))
    desk.engine.plays["destroy"] = ([], Result(ok=False, text="error: no", resources=(MACHINE,)))
    desk.launch()
    assert "could not be taken down: dev-machine" in desk.recorded()[0].message


def test_settings_that_can_not_be_used_are_refused_before_anything_is_recorded(desk: Desk) -> None:
    with pytest.raises(Stopped, match="memoryMiB"):
        desk.launch(config={"memoryMiB": "12"})
    assert desk.recorded() == []


def test_launched_again_the_stack_has_one_node(desk: Desk) -> None:
    desk.launch()
    desk.launch()
    new, old = desk.recorded()
    assert (desk.node(old).state, desk.node(new).state) == ("gone", "healthy")
    assert new.id in desk.node(old).state_reason


def test_a_stack_that_is_taken_down_has_no_node_any_more(desk: Desk) -> None:
    desk.launch()
    stack_launch.gone(desk.project, "another")
    assert desk.node(desk.recorded()[0]).state == "healthy"
    stack_launch.gone(desk.project, "dev")
    assert desk.node(desk.recorded()[0]).state == "gone"


def test_the_users_interrupt_and_somebody_elses_wish_both_cancel(desk: Desk) -> None:
    desk.engine.plays["up"] = ([], Result(ok=False, cancelled="user"))
    desk.engine.during["up"] = desk.interrupts.press
    assert desk.launch().failure.kind is Kind.CANCELLED
    assert desk.recorded()[0].status == "cancelled"
    desk.interrupts = Interrupts()

    def by_another_command() -> None:
        (running,) = desk.launches.open()
        desk.launches.ask_to_cancel(running.id)
        until(lambda: desk.interrupts.count == 1)

    desk.engine.during["up"] = by_another_command
    assert desk.launch().failure.kind is Kind.CANCELLED
    assert desk.recorded()[0].status == "cancelled"


def test_a_launch_that_is_cancelled_in_the_moment_in_which_it_is_ready_leaves_nothing(desk: Desk) -> None:
    desk.engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))

    def by_another_command() -> None:
        (running,) = desk.launches.open()
        desk.launches.ask_to_cancel(running.id)

    desk.engine.during["up"] = by_another_command
    with pytest.raises(Stopped, match="cancelled"):
        desk.launch()
    (launch,) = desk.recorded()
    assert (launch.status, launch.message) == ("cancelled", "cancelled; nothing is left")
    assert desk.nodes.of_launch(launch.id) is None
    assert desk.engine.asked[-1] == "destroy"


def test_a_stack_that_is_taken_down_ends_what_a_dead_command_left(desk: Desk) -> None:
    before = desk.interrupted()
    stack_launch.gone(desk.project, "dev")
    assert desk.launches.get(before).status == "failed"


def test_a_launch_takes_over_what_a_dead_command_made(desk: Desk) -> None:
    before = desk.interrupted()
    result = desk.launch()
    assert result.failure is None
    assert desk.engine.asked == ["resources", "up"]
    dead = desk.launches.get(before)
    assert (dead.status, dead.error and dead.error["code"]) == ("failed", "interrupted")
    assert [attempt.state for attempt in desk.launches.attempts_of(before)] == ["failed"]
    assert presence.dead() == []


def test_what_a_dead_command_made_goes_with_the_launch_that_took_it_over(desk: Desk) -> None:
    desk.interrupted()
    made_before = MACHINE.model_copy(update={"created": "2026-01-01T00:00:00Z"})
    desk.engine.plays["resources"] = ([], Result(ok=True, resources=(made_before,)))
    assert desk.launch().failure is None
    since = desk.recorded()[0].stack
    assert since is not None
    assert since["since"] == desk.recorded()[1].created_at
    assert since["after"] == "node"


def test_a_launch_of_a_living_command_is_left_to_it(desk: Desk) -> None:
    own = OwnStack.of(LaunchRequest(desk.project, "dev")).model_dump(mode="json")
    with presence.held() as name:
        other, _ = desk.launches.add("launch-other", {"model_name": "m"}, None, stack=own, server=name)
        desk.launch()
        assert not desk.launches.get(other).has_ended
        assert presence.dead() == []


def until(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit, "the condition was not met in time"
        time.sleep(0.02)
