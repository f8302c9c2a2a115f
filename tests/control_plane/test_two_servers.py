"""Two servers of one PostgreSQL share the launches, and one goes on with the work of the other when it dies."""

from collections.abc import Iterator

import pytest

from control_plane.store.database import Database
from control_plane.store.launches import Launches
from tests.launches.conftest import MACHINES

from .conftest import World, is_sound
from .postgres import Postgres, postgres
from .server import Server, until

__all__ = ["postgres"]

pytestmark = pytest.mark.engine

_LAUNCHES = 20


@pytest.fixture(scope="module")
def pair(world: World, postgres: Postgres) -> Iterator[tuple[Server, Server, Database]]:
    url = postgres.database()
    options = ("--database", url, "--engines", "2", "--dead-seconds", "6")
    one, two = world.server("one", *options), world.server("two", *options)
    database = Database(url)
    try:
        one.start()
        two.start()
        yield one, two, database
    finally:
        two.close()
        one.close()
        database.close()


def test_launches_are_shared_and_none_is_carried_out_twice(world: World, pair: tuple[Server, Server, Database]) -> None:
    one, two, database = pair
    launches = [(one, two)[number % 2].launch(**world.request()) for number in range(_LAUNCHES)]
    for launch_id in launches:
        one.ended(launch_id, 500)
        is_sound(world, one, launch_id, "succeeded")
        assert world.made.count(launch_id) == 1
    by = [Launches(database).get(launch_id).server for launch_id in launches]
    assert set(by) == {"one", "two"}
    # Either tells of each.
    assert {two.status(launch_id)["status"] for launch_id in launches} == {"succeeded"}


def test_what_a_dead_server_worked_on_is_taken_over(world: World, pair: tuple[Server, Server, Database]) -> None:
    one, two, database = pair
    store = Launches(database)
    standing = one.launch(**world.request())
    one.ended(standing)
    node = one.node_of(standing)
    assert node is not None
    launches = [one.launch(**world.request()) for _ in range(2)]
    with world.gates.closed(f"{launches[0]}/install") as first, world.gates.closed(f"{launches[1]}/install") as second:
        first()
        second()
        # Either server may be taking it down; the dead one's part is taken over, too.
        held = world.site.clouds.faults.add("aws", MACHINES["aws"], "Delete", delay_seconds=8)
        one.delete(f"/admin/nodes/{node['id']}")
        until(lambda: held.seen, "the machine is being deleted")
        dead = next(name for name in ("one", "two") if store.get(launches[0]).server == name)
        killed, living = (one, two) if dead == "one" else (two, one)
        killed.kill()
        until(lambda: store.get(launches[0]).server not in {None, dead}, "the other has taken over")
    for launch_id in launches:
        is_sound(world, living, launch_id, "succeeded")
        assert world.made.count(launch_id) == 1
    assert living.gone(standing)["ended_at"] is not None
    assert world.left(standing) == []
