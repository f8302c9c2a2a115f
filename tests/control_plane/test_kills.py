"""`kill -9` of the server at every stage: the next start brings each launch to its right end, and nothing is lost.

Launches are brought to their moments one after the other and held there; the server is killed under all of them, and
started again.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from control_plane.store.launches import Launches
from tests.clouds.properties import Values
from tests.launches.conftest import MACHINES, NATIVE
from tests.launches.test_clouds import STAGES

from .conftest import World, is_sound, stack_of
from .server import Server, until

pytestmark = pytest.mark.engine

_BOOTING = {
    "Provisioning instance": ("aws", "begin"),
    "Installing dependencies": ("azure", "install"),
    "Loading model from R2": ("gcp", "weights"),
    "Starting vLLM": ("aws", "serve"),
}
_ON_THEIR_WAY = (*_BOOTING, "validating", "aws asked", "azure asked", "gcp asked", "made")
_WAITING = ("waiting first", "waiting second")
_ENGINES = ("--engines", str(len(_ON_THEIR_WAY)))
_FEWER = ("--engines", "4")
"""More would stand in each other's way on a small machine."""
Launched = Mapping[str, str]


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    made = world.server("one")
    made.start(_ENGINES)
    yield made
    made.close()


@pytest.fixture(scope="module")
def on_their_way(world: World, server: Server) -> Launched:
    """Launches that were killed on the way to their nodes, by moment."""
    found: dict[str, str] = {}
    with ExitStack() as held:
        for stage, (provider, place) in _BOOTING.items():
            launch_id = found[stage] = server.launch(**world.request(provider))
            held.enter_context(world.gates.closed(f"{launch_id}/{place}"))()
            _is_at(server, launch_id, stage)
        for provider in MACHINES:
            launch_id = found[f"{provider} asked"] = server.launch(**world.request(provider))
            _delayed(world, provider, launch_id, "Create")()
        launch_id = found["made"] = server.launch(**world.request())
        held.enter_context(world.gates.closed(f"{launch_id}/vm"))()
        validates = held.enter_context(world.gates.closed("gcp"))
        found["validating"] = server.launch(**world.request("gcp"))
        validates()
        for name in _WAITING:
            found[name] = server.launch(**world.request())
        assert [server.status(found[name])["waiting_before"] for name in ("validating", *_WAITING)] == [None, 0, 1]
        server.kill()
        server.start(_FEWER)
    return found


@pytest.mark.parametrize("moment", [*_ON_THEIR_WAY, *_WAITING])
def test_a_launch_that_was_on_its_way_comes_to_one_node(
    world: World, server: Server, on_their_way: Launched, moment: str
) -> None:
    _succeeds_at_its_first_machine(world, server, on_their_way[moment])


def test_launches_that_waited_keep_their_place(server: Server, on_their_way: Launched) -> None:
    first, second = (server.ended(on_their_way[name]) for name in _WAITING)
    assert first["started_at"] <= second["started_at"]


@pytest.fixture(scope="module")
def at_their_ends(world: World, server: Server, on_their_way: Launched) -> Launched:
    """Launches that were killed between the last thing that happened to them and its record, by moment."""
    for launch_id in on_their_way.values():
        server.ended(launch_id)
    server.stop()
    server.start(_ENGINES)
    found: dict[str, str] = {"destroyed": on_their_way["waiting first"]}
    with ExitStack() as held:
        answering = []
        for name in ("answered", "attempt recorded"):
            launch_id = found[name] = server.launch(**world.request())
            answering.append(held.enter_context(ExitStack()))
            answering[-1].enter_context(world.gates.closed(f"{launch_id}/answer"))()
        launch_id = found["failed"] = server.launch(**world.request("gcp"))
        world.fails[launch_id] = "serve_failed"
        _delayed(world, "gcp", launch_id, "Delete")()
        cancelling = found["cancelling"] = server.launch(**world.request("azure"))
        held.enter_context(world.gates.closed(f"{cancelling}/install"))()
        deleting = _delayed(world, "azure", cancelling, "Delete")
        assert server.cancel(cancelling)["status"] == "cancelling"
        deleting()
        launch_id = found["cancelled while dead"] = server.launch(**world.request())
        held.enter_context(world.gates.closed(f"{launch_id}/install"))()
        launch_id = found["cancelled while its engine lives"] = server.launch(**world.request())
        held.enter_context(world.gates.closed(f"{launch_id}/vm"))()
        deleting = _delayed(world, "aws", found["destroyed"], "Delete")
        node = server.node_of(found["destroyed"])
        assert node is not None
        assert server.delete(f"/admin/nodes/{node['id']}")["state"] == "terminating"
        deleting()
        # Their engines go on and end; the server, which stands still, never hears of it.
        server.pause()
        for one in answering:
            one.close()
        for name in ("answered", "attempt recorded"):
            until(lambda name=name: not world.is_locked(found[name]), f"the update has ended: {name}")  # type: ignore[misc]
        server.kill()
        with world.database() as database:
            launches = Launches(database)
            launches.end_attempt(found["attempt recorded"], 1, None)
            launches.ask_to_cancel(found["cancelled while dead"])
            found["recorded"] = f"launch-{uuid.uuid4()}"
            launches.add(found["recorded"], world.request(), None)
        server.start(_FEWER)
        server.cancel(found["cancelled while its engine lives"])
    return found


@pytest.mark.parametrize("moment", ["answered", "attempt recorded", "recorded"])
def test_what_was_not_recorded_yet_comes_to_one_node(
    world: World, server: Server, at_their_ends: Launched, moment: str
) -> None:
    _succeeds_at_its_first_machine(world, server, at_their_ends[moment])


def test_a_failed_launch_that_was_being_taken_down_ends_with_its_own_reason(
    world: World, server: Server, at_their_ends: Launched
) -> None:
    found = is_sound(world, server, at_their_ends["failed"], "failed")
    assert found["error"]["code"] == "serve_failed"


@pytest.mark.parametrize("moment", ["cancelling", "cancelled while dead", "cancelled while its engine lives"])
def test_a_cancelled_launch_is_cancelled(world: World, server: Server, at_their_ends: Launched, moment: str) -> None:
    is_sound(world, server, at_their_ends[moment], "cancelled")
    assert world.made.count(at_their_ends[moment]) == 1


def test_a_node_that_was_being_destroyed_goes(world: World, server: Server, at_their_ends: Launched) -> None:
    launch_id = at_their_ends["destroyed"]
    assert server.gone(launch_id)["ended_at"] is not None
    assert world.left(launch_id) == []
    assert launch_id not in world.stacks()


def _succeeds_at_its_first_machine(world: World, server: Server, launch_id: str) -> None:
    """Assert a launch that came to one node on the only machine that was ever made for it."""
    found = is_sound(world, server, launch_id, "succeeded")
    assert world.made.count(launch_id) == 1
    assert [span["stage"] for span in found["timeline"]] == STAGES
    assert [attempt["state"] for attempt in found["attempts"]] == ["succeeded"]


def _is_at(server: Server, launch_id: str, stage: str) -> None:
    until(lambda: server.status(launch_id)["stage"] == stage, f"{launch_id} is at {stage}")


def _delayed(world: World, provider: str, launch_id: str, method: str) -> Callable[[], object]:
    """Let a cloud take long over a launch's machine; return what waits until it was asked."""

    def is_of_launch(inputs: Values) -> bool:
        return stack_of(inputs) == launch_id

    faults = world.site.clouds.faults
    held = faults.add(NATIVE[provider], MACHINES[provider], method, delay_seconds=300, when=is_of_launch)
    return lambda: until(lambda: held.seen > 0, f"{method} of {launch_id} is asked for")
