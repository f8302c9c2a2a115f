"""Machines and addresses that nobody owns are found by the clouds' own listings; what another owns is never touched."""

from collections.abc import Mapping
from typing import Any

import pytest

from automation.cloud_api.refused import Refused
from automation.sweep import Address, Machine
from control_plane import strays
from control_plane.registry import Registry
from control_plane.services import Services
from tests.unit.control_plane.story import OFFER, Story

REGION = OFFER.region


class Listed:
    """A cloud that lists some machines, and remembers what was deleted."""

    def __init__(self) -> None:
        self.found: list[Machine] = []
        self.idle: list[Address] = []
        self.deleted: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.refuses = ""

    def __call__(self, provider: str, region: str, environment: Mapping[str, str]) -> "Listed":
        self.asked.append((provider, region))
        return self

    def add(self, name: str, stack: str, plane: str = "") -> None:
        marks = {"liftoff-project": "liftoff", "liftoff-stack": stack, "liftoff-plane": plane}
        self.found.append(Machine(name, REGION, marks))

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        if self.refuses:
            raise Refused(self.refuses, "not now")
        assert marks == {"liftoff-project": "liftoff"}
        return list(self.found)

    def delete(self, machine: Machine) -> None:
        self.deleted.append(machine.id)

    def add_idle_address(self, name: str, stack: str, plane: str = "") -> None:
        marks = {"liftoff-project": "liftoff", "liftoff-stack": stack, "liftoff-plane": plane}
        self.idle.append(Address(name, REGION, marks))

    def idle_addresses(self, marks: Mapping[str, str]) -> list[Address]:
        assert marks == {"liftoff-project": "liftoff"}
        return list(self.idle)

    def release(self, address: Address) -> None:
        self.deleted.append(address.id)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Listed:
    listed = Listed()
    monkeypatch.setattr(strays.look, "__defaults__", (listed,))
    return listed


def look(services: Services) -> dict[str, str]:
    found = strays.look(services.template, services.launches, services.nodes, services.plane)
    return {stray.found.id: stray.why for stray in found}


def test_no_cloud_is_asked_before_any_offer_was_tried(services: Services, cloud: Listed) -> None:
    assert look(services) == {}
    assert cloud.asked == []


def test_machines_of_ended_launches_are_strays_and_those_of_running_ones_and_nodes_are_not(
    services: Services, story: Story, cloud: Listed
) -> None:
    ended, running, serving = story.failed(), story.running(), story.succeeded()
    for stack in (ended, running, serving):
        cloud.add(f"i-{stack}", stack)
    assert look(services) == {f"i-{ended}": "its launch has ended: failed"}
    assert cloud.asked == [("aws", REGION)]


def test_what_a_person_or_another_control_plane_owns_is_left_alone(
    services: Services, story: Story, cloud: Listed
) -> None:
    story.failed()
    cloud.add("i-hand", "chat")
    cloud.add("i-other", "launch-of-another", "plane-0123456789abcdef")
    cloud.add("i-forgotten", "launch-of-a-lost-database", services.plane)
    assert look(services) == {"i-forgotten": "its launch is not known any more"}


@pytest.mark.parametrize(
    ("now", "reason", "is_stray"),
    [
        ("gone", "taken down", True),
        ("terminating", "could not be taken down: machine", True),
        ("terminating", "somebody asked for it", False),
        ("evicted", "silent for 130 s", False),
        ("unhealthy", "ConnectError", False),
    ],
)
def test_the_machine_of_a_node_is_a_stray_once_the_node_is_gone_or_could_not_be_taken_down(
    services: Services, story: Story, cloud: Listed, now: Any, reason: str, is_stray: bool
) -> None:
    launch_id = story.succeeded()
    node = services.nodes.of_launch(launch_id)
    assert node is not None
    services.nodes.set_state(node.id, now, reason)
    cloud.add("i-1", launch_id)
    assert bool(look(services)) is is_stray


def test_of_two_machines_of_a_node_the_one_that_the_state_does_not_know_is_the_stray(
    services: Services, story: Story, cloud: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch_id = story.succeeded()
    cloud.add("i-known", launch_id)
    cloud.add("i-twin", launch_id)
    known: list[set[str] | None] = [{"vpc-1"}, None, {"i-known", "vpc-1"}]
    monkeypatch.setattr(strays._Books, "known", lambda *_: known.pop())
    assert look(services) == {"i-twin": "the state of its launch knows another machine"}
    # A state that can't be read, or knows neither, decides nothing.
    assert look(services) == {}
    assert look(services) == {}


def test_an_idle_address_is_a_stray_unless_its_launch_goes_on_or_its_state_knows_it(
    services: Services, story: Story, cloud: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, running, serving = story.failed(), story.running(), story.succeeded()
    for stack in (ended, running, serving):
        cloud.add_idle_address(f"eip-{stack}", stack)
    cloud.add_idle_address("eip-twin", serving)
    cloud.add_idle_address("eip-hand", "chat")
    cloud.add_idle_address("eip-forgotten", "launch-of-a-lost-database", services.plane)
    monkeypatch.setattr(strays._Books, "known", lambda *_: {f"eip-{serving}"})
    assert look(services) == {
        f"eip-{ended}": "its launch has ended: failed",
        "eip-twin": "nothing uses it, and the state of its launch knows another",
        "eip-forgotten": "its launch is not known any more",
    }
    monkeypatch.setattr(strays._Books, "known", lambda *_: None)
    assert "eip-twin" not in look(services)


def test_an_address_that_is_released_says_nothing_of_the_money_of_a_machine(
    services: Services, story: Story, cloud: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch_id = story.failed()
    cloud.add_idle_address("eip-1", launch_id)
    gone: list[str] = []
    monkeypatch.setattr(services.launches.machines, "gone", gone.append)
    Registry(services).sweep_clouds()
    assert (cloud.deleted, gone) == (["eip-1"], [])


def test_a_cloud_that_cant_be_listed_is_passed_over(services: Services, story: Story, cloud: Listed) -> None:
    cloud.add("i-1", story.failed())
    cloud.refuses = "RequestLimitExceeded"
    assert look(services) == {}


def test_a_round_deletes_strays_and_notes_it_in_their_launch(services: Services, story: Story, cloud: Listed) -> None:
    launch_id = story.failed()
    cloud.add("i-1", launch_id)
    Registry(services).sweep_clouds()
    assert cloud.deleted == ["i-1"]
    notes = [event.data["text"] for event in services.launches.events_of(launch_id, 0) if event.kind == "note"]
    assert notes[-1] == "Deleting i-1 (aws), which nobody owns: its launch has ended: failed"
