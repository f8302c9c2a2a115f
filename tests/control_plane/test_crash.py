"""The whole host dies: server, worker and engine at once. What the cloud made meanwhile is found and deleted."""

import time
from collections.abc import Iterator

import pytest

from tests.clouds.truth import Record
from tests.launches.conftest import MACHINES, NATIVE

from .conftest import World, is_sound
from .server import Server

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    made = world.server("one", "--engines", "2")
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize("provider", MACHINES)
def test_a_machine_that_no_state_knows_goes_and_the_launch_goes_on(world: World, server: Server, provider: str) -> None:
    launch_id = _crashed_while_the_machine_was_made(world, server, provider)
    (orphan,) = world.machines(launch_id)
    server.start()
    is_sound(world, server, launch_id, "succeeded")
    (machine,) = world.machines(launch_id)
    assert (machine.id, machine.created_at) != (orphan.id, orphan.created_at)
    assert world.made.count(launch_id) == 2
    notes = [data["text"] for _, kind, data in server.events(launch_id) if kind == "note"]
    assert any("looking for it in the cloud" in note for note in notes)
    server.destroy(launch_id)
    server.gone(launch_id)
    assert world.left(launch_id) == []


@pytest.mark.parametrize(
    ("provider", "type_"),
    [
        ("aws", "aws:ec2/subnet:Subnet"),
        ("azure", "azure-native:network:NetworkInterface"),
        ("gcp", "gcp:compute/subnetwork:Subnetwork"),
    ],
)
def test_a_part_of_a_network_that_no_state_knows_goes_and_is_not_in_the_way(
    world: World, server: Server, provider: str, type_: str
) -> None:
    # Made, and never answered.
    fault = world.site.clouds.faults.add(NATIVE[provider], type_, lost_answer=True)
    launch_id = server.launch(**world.request(provider))
    (orphan,) = made_soon(world, launch_id, type_)
    assert fault.seen == 1
    server.crash()
    server.start()
    is_sound(world, server, launch_id, "succeeded")
    assert [record.id for record in world.left(launch_id) if record.token == type_] != [orphan.id]
    assert len([record for record in world.left(launch_id) if record.token == type_]) == 1
    server.destroy(launch_id)
    server.gone(launch_id)
    assert world.left(launch_id) == []


def test_a_launch_that_is_cancelled_after_the_crash_leaves_nothing(world: World, server: Server) -> None:
    launch_id = _crashed_while_the_machine_was_made(world, server, "aws")
    server.start()
    server.cancel(launch_id)
    is_sound(world, server, launch_id, "cancelled")


def test_the_lock_of_an_engine_that_died_with_its_host_holds_nobody_up(world: World, server: Server) -> None:
    launch_id = server.launch(**world.request())
    with world.gates.closed(f"{launch_id}/serve") as reached:
        reached()
        server.crash()
        assert world.is_locked(launch_id)
        server.start()
    is_sound(world, server, launch_id, "succeeded")
    assert world.made.count(launch_id) == 1


def _crashed_while_the_machine_was_made(world: World, server: Server, provider: str) -> str:
    launch_id = server.launch(**world.request(provider))
    with world.gates.closed(f"{launch_id}/vm") as reached:
        reached()
        server.crash()
    return launch_id


def made_soon(world: World, launch_id: str, type_: str) -> list[Record]:
    """Return the resources of a type that a launch has, once it has one."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        found = [record for record in world.left(launch_id) if record.token == type_]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{launch_id} has made no {type_}")
