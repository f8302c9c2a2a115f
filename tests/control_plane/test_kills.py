"""`kill -9` of the server at every stage: the next start brings each launch to its right end, and nothing is lost."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launches
from tests.launches.conftest import MACHINES
from tests.launches.test_clouds import STAGES

from .conftest import World, is_sound
from .server import Server, until

pytestmark = pytest.mark.engine

_AT_THE_NODE = {
    "Provisioning instance": "begin",
    "Installing dependencies": "install",
    "Loading model from R2": "weights",
    "Starting vLLM": "serve",
}


@pytest.mark.parametrize("stage", _AT_THE_NODE)
def test_a_launch_whose_node_boots_goes_on(world: World, server: Server, stage: str) -> None:
    with world.gates.closed(_AT_THE_NODE[stage]) as reached:
        launch_id = server.launch(**world.request())
        reached()
        until(lambda: server.status(launch_id)["stage"] == stage, f"the launch is at {stage}")
        server.kill()
        server.start()
    _succeeds_on_its_first_machine(world, server, launch_id)


def test_a_launch_that_is_being_checked_goes_on(world: World, server: Server) -> None:
    with world.gates.closed("gcp") as reached:
        launch_id = server.launch(**world.request("gcp"))
        reached()
        assert server.status(launch_id)["stage"] == "Validating configuration"
        server.kill()
        server.start()
    _succeeds_on_its_first_machine(world, server, launch_id)


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_a_launch_whose_machine_was_asked_for_goes_on(world: World, server: Server, provider: str) -> None:
    cloud = "azure-native" if provider == "azure" else provider
    held = world.site.clouds.faults.add(cloud, MACHINES[provider], delay_seconds=60)
    launch_id = server.launch(**world.request(provider))
    until(lambda: held.seen, "the machine is asked for")
    server.kill()
    server.start()
    _succeeds_on_its_first_machine(world, server, launch_id)


def test_a_launch_whose_machine_was_made_and_not_told_of_yet_goes_on(world: World, server: Server) -> None:
    with world.gates.closed("vm") as reached:
        launch_id = server.launch(**world.request())
        reached()
        server.kill()
        server.start()
    _succeeds_on_its_first_machine(world, server, launch_id)


def test_a_node_that_answered_before_its_server_could_record_it_is_registered(world: World, server: Server) -> None:
    with world.gates.closed("answer") as reached:
        launch_id = server.launch(**world.request())
        reached()
        # The engine goes on and ends; the server, which stands still, never hears of it.
        server.pause()
    until(lambda: not server.workers(), "the update has ended")
    server.kill()
    server.start()
    _succeeds_on_its_first_machine(world, server, launch_id)


def test_a_launch_that_was_recorded_and_never_queued_is_carried_out(world: World, server: Server) -> None:
    server.kill()
    launch_id = f"launch-{uuid.uuid4()}"
    database = Database(sqlite_url(world.state / "control-plane.sqlite"))
    asked = {"market": "spot", "max_price": None, "max_model_len": None, "idle_minutes": None}
    Launches(database).add(launch_id, {**asked, **world.request(), "lifetime_hours": None, "keep": False}, None)
    database.close()
    server.start()
    _succeeds_on_its_first_machine(world, server, launch_id)


def test_launches_that_waited_in_the_queue_keep_their_place(world: World) -> None:
    one = world.server("narrow", "--engines", "1")
    one.start()
    try:
        with world.gates.closed("begin") as reached:
            launches = [one.launch(**world.request()) for _ in range(3)]
            reached()
            waiting = [one.status(launch_id)["waiting_before"] for launch_id in launches]
            assert waiting == [None, 0, 1]
            one.kill()
            one.start()
        began = [_succeeds_on_its_first_machine(world, one, launch_id) for launch_id in launches]
        assert began == sorted(began)
    finally:
        one.stop()


def test_a_failed_launch_that_was_being_taken_down_ends_with_its_own_reason(world: World, server: Server) -> None:
    world.site.fails = ["serve_failed"]
    with _held_delete(world) as reached:
        launch_id = server.launch(**world.request(), keep=False)
        reached()
        server.kill()
        server.start()
    found = is_sound(world, server, launch_id, "failed")
    assert (found["error"]["title"] if "title" in found["error"] else found["error"]["code"]) == "serve_failed"
    assert world.made.count(launch_id) == 1


def test_a_launch_that_was_being_cancelled_is_cancelled(world: World, server: Server) -> None:
    with world.gates.closed("install") as reached:
        launch_id = server.launch(**world.request())
        reached()
        with _held_delete(world) as deleting:
            assert server.cancel(launch_id)["status"] == "cancelling"
            deleting()
            server.kill()
            server.start()
        is_sound(world, server, launch_id, "cancelled")
    assert world.made.count(launch_id) == 1


def test_a_launch_that_is_cancelled_while_its_server_is_dead_is_cancelled(world: World, server: Server) -> None:
    with world.gates.closed("install") as reached:
        launch_id = server.launch(**world.request())
        reached()
        server.kill()
        database = Database(sqlite_url(world.state / "control-plane.sqlite"))
        Launches(database).ask_to_cancel(launch_id)
        database.close()
        server.start()
        is_sound(world, server, launch_id, "cancelled")


def test_a_launch_that_is_cancelled_while_the_dead_servers_engine_still_works_is_cancelled(
    world: World, server: Server
) -> None:
    with world.gates.closed("vm") as reached:
        launch_id = server.launch(**world.request())
        reached()
        server.kill()
        server.start()
        until(lambda: server.cancel(launch_id)["status"] == "cancelling", "it is being cancelled")
    is_sound(world, server, launch_id, "cancelled")


def test_a_node_that_was_being_destroyed_goes(world: World, server: Server) -> None:
    launch_id = server.launch(**world.request())
    is_sound(world, server, launch_id, "succeeded")
    node = server.node_of(launch_id)
    assert node is not None
    with _held_delete(world) as reached:
        assert server.delete(f"/admin/nodes/{node['id']}")["state"] == "terminating"
        reached()
        server.kill()
        server.start()
    gone = server.gone(launch_id)
    assert gone["ended_at"] is not None
    assert world.left(launch_id) == []
    assert launch_id not in world.stacks()


def _succeeds_on_its_first_machine(world: World, server: Server, launch_id: str) -> str:
    """Assert a launch that came to one node on the only machine that was ever made for it; return when it began."""
    found = is_sound(world, server, launch_id, "succeeded")
    assert world.made.count(launch_id) == 1
    assert [span["stage"] for span in found["timeline"]] == STAGES
    ran = [attempt["state"] for attempt in found["attempts"] if attempt["state"] != "skipped"]
    assert ran == ["succeeded"]
    return str(found["started_at"])


@contextmanager
def _held_delete(world: World) -> Iterator[Callable[[], None]]:
    """Let deletes of machines take long, for the time of the block; yield what waits until one was begun."""
    held = world.site.clouds.faults.add("aws", MACHINES["aws"], "Delete", delay_seconds=60)
    yield lambda: until(lambda: held.seen, "the machine is being deleted") and None
