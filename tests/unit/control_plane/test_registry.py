"""Nodes are looked after: the idle and the old are taken down, the evicted noticed and, where asked for, replaced."""

import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from control_plane.probe import Health
from control_plane.registry import Registry
from control_plane.services import Services
from control_plane.store.launches import UnknownLaunch
from control_plane.store.tables import launches, nodes
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
        self.seconds = 0.0
        self.registry = Registry(services, lambda _node: self.health, lambda: self.seconds)

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


def test_a_node_that_is_gone_holds_no_connection(round_: Round) -> None:
    closed: list[str] = []

    class Noted:
        def close(self) -> None:
            closed.append("closed")

    round_.look()
    round_.registry._probes[f"node-of-{round_.launch_id}"] = Noted()  # type: ignore[assignment]
    round_.look()
    assert closed == []
    round_.past(state="gone", ended_at=time.time())
    round_.look()
    round_.look()
    assert closed == ["closed"]


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
    assert round_.look() == "unhealthy"
    round_.seconds += 121
    assert round_.look() == "evicted"
    assert (queue.taken_down, queue.submitted) == ([round_.launch_id], [])


def test_a_node_is_not_taken_for_evicted_because_this_host_slept_or_its_clock_jumped(
    round_: Round, queue: Noted
) -> None:
    round_.health = SILENT
    round_.past(last_healthy_at=time.time() - 7200)
    assert round_.look() == "unhealthy"
    round_.health = IDLE
    assert round_.look() == "healthy"
    assert queue.taken_down == []


def test_an_on_demand_node_that_stays_silent_is_left_alone(round_: Round, queue: Noted) -> None:
    round_.health = SILENT
    found = round_.services.nodes.of_launch(round_.launch_id)
    assert found is not None
    round_.past(offer={**found.offer, "spot": False})
    round_.look()
    round_.seconds += 3600
    assert round_.look() == "unhealthy"
    assert queue.taken_down == []


def test_an_evicted_node_is_launched_again_once_where_that_was_asked_for(round_: Round, queue: Noted) -> None:
    services = round_.services
    request = {**services.launches.get(round_.launch_id).request, "keep": True}
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(request=request))
    round_.health = SILENT
    for _ in range(2):
        round_.past(state="unhealthy")
        round_.look()
        round_.seconds += 121
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
