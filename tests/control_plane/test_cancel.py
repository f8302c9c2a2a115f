"""Cancelling at any stage leaves nothing in any cloud, and what a failed launch left behind can be destroyed."""

from collections.abc import Iterator

import pytest

from tests.launches.conftest import MACHINES

from .conftest import World, is_sound
from .server import Server, until

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    made = world.server("one", "--engines", "1")
    made.start()
    yield made
    made.close()


def test_launches_that_wait_and_that_start_are_cancelled_and_cancelled_again(world: World, server: Server) -> None:
    starting = server.launch(**world.request())
    with world.gates.closed(f"{starting}/serve") as reached:
        waiting = server.launch(**world.request())
        reached()
        assert server.cancel(waiting)["status"] == "cancelled"
        assert server.status(waiting)["started_at"] is None
        assert server.cancel(starting)["status"] == "cancelling"
        assert server.cancel(starting)["status"] == "cancelling"
        is_sound(world, server, starting, "cancelled")
    assert {server.cancel(launch_id)["status"] for launch_id in (starting, waiting)} == {"cancelled"}
    assert world.made.count(waiting) == 0


def test_a_launch_whose_machine_is_asked_for_is_cancelled(world: World, server: Server) -> None:
    held = world.site.clouds.faults.add("aws", MACHINES["aws"], delay_seconds=300)
    launch_id = server.launch(**world.request())
    until(lambda: held.seen, "the machine is asked for")
    server.cancel(launch_id)
    is_sound(world, server, launch_id, "cancelled")
    assert world.made.count(launch_id) == 0


def test_a_launch_whose_node_boots_is_cancelled(world: World, server: Server) -> None:
    launch_id = server.launch(**world.request())
    with world.gates.closed(f"{launch_id}/begin") as reached:
        reached()
        server.cancel(launch_id)
        is_sound(world, server, launch_id, "cancelled")


def test_what_a_failed_launch_left_behind_is_destroyed(world: World, server: Server) -> None:
    launch_id = server.launch(**world.request())
    world.fails[launch_id] = "serve_failed"
    world.site.clouds.faults.add("aws", MACHINES["aws"], "Delete", error="UnauthorizedOperation: you may not", times=9)
    found = server.ended(launch_id)
    assert found["status"] == "failed"
    assert found["error"]["code"] == "serve_failed"
    assert "could not be taken down" in found["message"]
    assert len(world.machines(launch_id)) == 1
    world.site.clouds.faults.clear()
    server.destroy(launch_id)
    until(lambda: not world.left(launch_id), "nothing is left")
    until(lambda: launch_id not in world.stacks(), "its stack is gone")
    assert server.status(launch_id)["status"] == "failed"
