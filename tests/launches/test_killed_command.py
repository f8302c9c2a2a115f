"""`kill -9` of `liftoff launch` in a person's own stack: nothing of it is lost, whoever comes next."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.control_plane.server import Server, until

from .conftest import PLACES, Site

pytestmark = pytest.mark.engine

AWS = {"provider": "aws", **PLACES["aws"]}


@contextmanager
def held(site: Site) -> Iterator[Callable[[], object]]:
    """Hold the cloud's answer to the first machine that is made; yield what waits until it is."""
    reached, opened = threading.Event(), threading.Event()
    answer = site.clouds.world.on_vm
    assert answer is not None

    def hold(*given: Any) -> None:
        reached.set()
        opened.wait(120)
        answer(*given)

    site.clouds.world.on_vm = hold
    try:
        yield lambda: until(reached.is_set, "a machine is made")
    finally:
        site.clouds.world.on_vm = answer
        opened.set()


def kill(site: Site, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Launch, and kill the command while the cloud makes its machine, after something else was done meanwhile."""
    with held(site) as is_made:
        process = site.desk.start(*site.launch_arguments(**AWS))
        is_made()
        meanwhile()
        process.kill()
        process.communicate()


def launches(site: Site) -> list[Mapping[str, Any]]:
    """Return what `liftoff status` knows, newest first."""
    done = site.desk.run("status", "--json")
    assert done.code == 0, done.text
    return [record for record in done.records if record["type"] == "launch"]


def test_the_next_launch_takes_over_what_was_made(site: Site) -> None:
    kill(site)
    (killed,) = launches(site)
    assert (killed["status"], killed["stack"]) == ("running", site.desk.stack)
    launched = site.launch(**AWS)
    assert launched.code == 0, launched.text
    again, before = launches(site)
    assert (before["status"], before["error"]["code"]) == ("failed", "interrupted")
    assert (again["status"], again["node"]["state"]) == ("succeeded", "healthy")
    assert len(site.machines("aws")) == 1
    done = site.desk.run("destroy", "--stack", site.desk.stack, "--yes", "--json")
    assert done.code == 0, done.text
    assert launches(site)[0]["node"]["state"] == "gone"
    assert site.clouds.truth.find() == []


def test_a_server_of_this_host_goes_on_with_it_and_can_take_it_down(site: Site, tmp_path: Path) -> None:
    kill(site)
    server = Server(site.desk.environment, tmp_path / "server.log", "--dead-seconds", "6")
    server.start()
    try:
        (killed,) = launches(site)
        ended = server.ended(killed["job_id"])
        assert ended["status"] == "succeeded", server.told()
        assert len(site.machines("aws")) == 1
        node = ended["node"]
        assert server.get(f"/admin/nodes/{node['id']}/access")["endpoint"] == node["endpoint"]
        server.destroy(killed["job_id"])
        server.gone(killed["job_id"])
    finally:
        server.close()
    assert site.clouds.truth.find() == []
    assert site.desk.pulumi("stack", "ls").out.count(site.desk.stack) == 1


def test_a_launch_that_was_refused_because_of_it_takes_nothing_over_from_it(site: Site, tmp_path: Path) -> None:
    refused: list[int] = []
    kill(site, lambda: refused.append(site.launch(**AWS).code))
    assert refused == [13]
    server = Server(site.desk.environment, tmp_path / "server.log", "--dead-seconds", "6")
    server.start()
    try:
        later, killed = launches(site)
        assert (later["status"], later["error"]["code"]) == ("failed", "stack_locked")
        assert server.ended(killed["job_id"])["status"] == "succeeded", server.told()
        assert len(site.machines("aws")) == 1
        server.destroy(killed["job_id"])
        server.gone(killed["job_id"])
    finally:
        server.close()
    assert site.clouds.truth.find() == []
