"""Nodes are looked after: the idle and the old are taken down, the evicted noticed and, where asked for, replaced."""

import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from automation import outputs
from automation.errors import Kind, Stopped
from control_plane import presence
from control_plane.own_stack import OwnStack
from control_plane.probe import Health
from control_plane.registry import Registry
from control_plane.services import Services
from control_plane.store.launches import UnknownLaunch
from control_plane.store.tables import launches, nodes
from provider import places
from tests.unit.control_plane.conftest import Noted
from tests.unit.control_plane.story import Story

IDLE = Health("", requests=0.0, done=5.0)
SILENT = Health("ConnectError: refused")


class Round:
    """Rounds of a registry whose node answers what a test says."""

    def __init__(self, services: Services, launch_id: str) -> None:
        self.services = services
        self.launch_id = launch_id
        self.health = IDLE
        self.registry = Registry(services, lambda _node: self.health)

    def look(self) -> str:
        self.registry.look_at_nodes()
        found = self.services.nodes.of_launch(self.launch_id)
        assert found is not None
        return found.state

    def past(self, **values: Any) -> None:
        """Let the node have been so for some time."""
        with self.services.database.transaction() as connection:
            connection.execute(update(nodes).values(**values))


@pytest.fixture
def round_(services: Services, story: Story) -> Round:
    return Round(services, story.succeeded())


def test_a_node_that_answers_is_healthy_again(round_: Round) -> None:
    round_.past(state="unhealthy")
    assert round_.look() == "healthy"


def test_a_node_that_nobody_has_asked_for_its_idle_time_is_taken_down(round_: Round, queue: Noted) -> None:
    assert round_.look() == "healthy"
    round_.past(idle_since=time.time() - 29 * 60)
    assert round_.look() == "healthy"
    round_.past(idle_since=time.time() - 31 * 60)
    assert round_.look() == "terminating"
    assert queue.taken_down == [round_.launch_id]


@pytest.mark.parametrize("busy", [replace(IDLE, requests=1.0), replace(IDLE, done=6.0)])
def test_a_node_that_works_or_has_worked_since_is_not_idle(round_: Round, queue: Noted, busy: Health) -> None:
    round_.look()
    round_.past(idle_since=time.time() - 31 * 60)
    round_.health = busy
    assert round_.look() == "healthy"
    found = round_.services.nodes.of_launch(round_.launch_id)
    assert found is not None
    assert found.idle_since is None
    assert queue.taken_down == []


def test_a_node_whose_lifetime_is_over_is_taken_down(round_: Round, queue: Noted) -> None:
    round_.past(expires_at=time.time() - 1)
    assert round_.look() == "terminating"
    assert queue.taken_down == [round_.launch_id]


def test_a_short_silence_is_no_eviction(round_: Round, queue: Noted) -> None:
    round_.health = SILENT
    assert round_.look() == "unhealthy"
    assert queue.taken_down == []


def test_a_spot_node_that_stays_silent_was_taken_back_and_what_is_left_of_it_goes(round_: Round, queue: Noted) -> None:
    round_.health = SILENT
    round_.past(last_healthy_at=time.time() - 121)
    assert round_.look() == "evicted"
    assert (queue.taken_down, queue.submitted) == ([round_.launch_id], [])


def test_an_on_demand_node_that_stays_silent_is_left_alone(round_: Round, queue: Noted) -> None:
    round_.health = SILENT
    found = round_.services.nodes.of_launch(round_.launch_id)
    assert found is not None
    round_.past(last_healthy_at=time.time() - 3600, offer={**found.offer, "spot": False})
    assert round_.look() == "unhealthy"
    assert queue.taken_down == []


def test_an_evicted_node_is_launched_again_once_where_that_was_asked_for(round_: Round, queue: Noted) -> None:
    services = round_.services
    request = {**services.launches.get(round_.launch_id).request, "keep": True}
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(request=request))
    round_.health = SILENT
    for _ in range(2):
        round_.past(last_healthy_at=time.time() - 121, state="unhealthy")
        assert round_.look() == "evicted"
    again = set(queue.submitted)
    assert len(again) == 1
    assert services.launches.get(again.pop()).request == request


def test_what_ended_launches_left_is_deleted_and_nothing_that_another_database_may_know(
    services: Services, story: Story, queue: Noted
) -> None:
    failed, running, with_node = story.failed(), story.running(), story.succeeded()
    for name in (failed, running, with_node, "launch-of-another-database"):
        services.template.folder_of(name).mkdir(parents=True)
    Registry(services).sweep()
    assert queue.taken_down == [failed]


def test_a_launch_is_not_forgotten_while_something_of_it_may_be_left(services: Services, story: Story) -> None:
    left, gone = story.failed(), story.cancelled()
    services.template.folder_of(left).mkdir(parents=True)
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(ended_at=1.0))
    Registry(services).sweep()
    assert services.launches.get(left).status == "failed"
    with pytest.raises(UnknownLaunch):
        services.launches.get(gone)


def test_a_launch_is_forgotten_with_its_node_once_that_has_gone(services: Services, story: Story) -> None:
    there, gone = story.succeeded(), story.succeeded()
    node = services.nodes.of_launch(gone)
    assert node is not None
    services.nodes.set_state(node.id, "gone", "taken down")
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(ended_at=1.0))
    Registry(services).sweep()
    assert [node.launch_id for node in services.nodes.all()] == [there]
    with pytest.raises(UnknownLaunch):
        services.launches.get(gone)


@pytest.fixture
def own(services: Services, story: Story, monkeypatch: pytest.MonkeyPatch) -> Round:
    """A node in a person's own stack, which the stack's state still has."""
    launch_id = story.succeeded()
    stack = OwnStack(project="/tmp", stack="dev", model=None, config={}, keep=False).model_dump(mode="json")
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(stack=stack))
    made = Round(services, launch_id)
    made.health = SILENT
    node = services.nodes.of_launch(launch_id)
    assert node is not None
    monkeypatch.setattr(outputs, "read", lambda *_, **__: {"endpoint": node.endpoint})
    return made


def test_a_node_of_a_persons_own_stack_is_that_persons_to_take_down(own: Round, queue: Noted) -> None:
    own.past(expires_at=time.time() - 1, last_healthy_at=time.time() - 3600)
    assert own.look() == "unhealthy"
    node = own.services.nodes.of_launch(own.launch_id)
    assert node is not None
    assert "liftoff destroy --stack dev" in node.state_reason
    assert queue.taken_down == []
    own.health = IDLE
    assert own.look() == "healthy"


@pytest.mark.parametrize("code", ["stack_missing", "no_node"])
def test_a_node_that_its_stack_has_no_more_has_gone(own: Round, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def read(*_: object, **__: object) -> dict[str, str]:
        raise Stopped(Kind.CONFIGURATION, code, "nothing there", "launch it")

    monkeypatch.setattr(outputs, "read", read)
    assert own.look() == "gone"


def test_a_node_in_whose_place_its_stack_has_another_has_gone(own: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "read", lambda *_, **__: {"endpoint": "https://192.0.2.1"})
    assert own.look() == "gone"


def test_what_a_command_of_this_host_left_when_it_died_is_gone_on_with(
    services: Services, story: Story, queue: Noted
) -> None:
    with presence.held() as alive:
        with presence.held() as dead:
            pass
        (places.state_folder() / "commands" / dead).touch()
        stack = OwnStack(project="/tmp", stack="dev", model=None, config={}, keep=False).model_dump(mode="json")
        request = services.launches.get(story.queued()).request
        for server in (alive, dead):
            services.launches.add(f"launch-of-{server}", request, None, stack=stack, server=server)
        Registry(services).look_at_servers()
        assert queue.submitted == [f"launch-of-{dead}"]
        assert queue.adopted == [dead]
        Registry(services).look_at_servers()
        assert queue.adopted == [dead]


def test_of_two_launches_of_one_stack_the_earlier_is_not_carried_out_any_more(services: Services, story: Story) -> None:
    stack = OwnStack(project="/tmp", stack="dev", model=None, config={}, keep=False).model_dump(mode="json")
    request = services.launches.get(story.queued()).request
    for name in ("launch-old", "launch-new"):
        services.launches.add(name, request, None, stack=stack, server="command-x")
        time.sleep(0.001)
    services.conductor.carry_out("launch-old")
    ended = services.launches.get("launch-old")
    assert (ended.status, ended.error and ended.error["code"]) == ("failed", "interrupted")
    assert not services.launches.get("launch-new").has_ended
