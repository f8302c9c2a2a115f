"""A control plane at emulated clouds, whose nodes are threads of this process and stand still where a test wants."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from control_plane.request import LaunchAsked
from control_plane.store.database import Database, sqlite_url
from provider.storage import Storage
from tests.clouds.fixtures import start
from tests.clouds.properties import Values
from tests.clouds.truth import Record
from tests.launches.conftest import MACHINES, PLACES, Site, site_of
from tests.launches.node import Node
from tests.session.conftest import storage, weights_in

from .server import Server, until

__all__ = ["storage"]

MODEL: Final = "meta-llama/Llama-3.1-8B-Instruct"
_WAIT_SECONDS: Final = 300.0


class Gates:
    """Places at which somebody is held until a test lets them go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed: dict[str, threading.Event] = {}
        self._reached: dict[str, int] = defaultdict(int)

    def pass_(self, place: str) -> None:
        """Come to a place; wait there while it is closed."""
        with self._lock:
            closed = self._closed.get(place)
            self._reached[place] += closed is not None
        if closed is not None:
            closed.wait(_WAIT_SECONDS)

    @contextmanager
    def closed(self, place: str) -> Iterator[Callable[[], object]]:
        """Close a place for the time of the block; yield what waits until somebody stands there."""
        with self._lock:
            opened = self._closed[place] = threading.Event()
            self._reached[place] = 0
        try:
            yield lambda: until(lambda: self._reached[place] > 0, f"somebody is at {place}")
        finally:
            with self._lock:
                self._closed.pop(place, None)
            opened.set()


@dataclass
class World:
    """The clouds, what their nodes do, and what a server needs to launch there.

    Attributes:
        site: a user's desk, whose stack is the template of all launches.
        gates: where somebody stands still: `STACK/vm` when a machine was made and the cloud has not answered yet;
            `STACK/begin`, `STACK/PHASE` and `STACK/answer` on its node; `gcp` before each answer of Google's API.
        made: the stack of each machine that was ever made, in order.
        fails: the code with which the nodes of a stack fail to boot.
        folder: for the servers' logs.
    """

    site: Site
    gates: Gates
    folder: Path
    made: list[str] = field(default_factory=list)
    fails: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every server."""
        return self.site.desk.environment

    @property
    def state(self) -> Path:
        """The servers' state folder."""
        return Path(self.environment["LIFTOFF_STATE"])

    def server(self, name: str, *options: str) -> Server:
        """Return a server that was not started yet."""
        template = ("--stack", self.site.desk.stack, "--name", name)
        return Server(self.environment, self.folder / f"{name}.log", *template, *options)

    def request(self, provider: str = "aws", **changes: Any) -> dict[str, Any]:
        """Return what a launch on a provider's machine of these tests is asked for with."""
        place = PLACES[provider]
        asked = {"provider": provider, "region": place["region"], "instance_type": place["instanceType"]}
        return LaunchAsked.model_validate({"model_name": MODEL, **asked, **changes}).model_dump(mode="json")

    def machines(self, launch_id: str) -> list[Record]:
        """Return the machines of a launch that exist in truth."""
        kinds = set(MACHINES.values())
        return [record for record in self.left(launch_id) if record.token in kinds]

    def left(self, launch_id: str) -> list[Record]:
        """Return everything of a launch that exists in truth."""
        return [record for record in self.site.clouds.truth.find() if _stack(record) == launch_id]

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Yield the servers' database, while none of them runs."""
        database = Database(sqlite_url(self.state / "control-plane.sqlite"))
        yield database
        database.close()

    def is_locked(self, launch_id: str) -> bool:
        """Tell whether an engine works on a launch's stack."""
        locks = self.state / "pulumi" / ".pulumi" / "locks"
        return any(launch_id in path.parts for path in locks.rglob("*.json"))

    def stacks(self) -> set[str]:
        """Return the stacks that have a state."""
        folder = self.state / "pulumi" / ".pulumi" / "stacks"
        return {path.stem for path in folder.rglob("launch-*.json")}


def stack_of(inputs: Values) -> str:
    """Return which stack a machine is marked with."""
    # The tags of Compute Engine are for firewalls.
    return str((inputs.get("labels") or inputs.get("tags") or {}).get("liftoff-stack", ""))


def _stack(record: Record) -> str:
    # What a cloud made by itself, a machine's disk, has no URN and the machine's tags.
    return record.urn.split("::")[0].removeprefix("urn:pulumi:") or record.tags.get("liftoff-stack", "")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, storage: Storage) -> Iterator[World]:
    """Emulated clouds without latency, and a template stack with the bucket's keys, encrypted."""
    folder = tmp_path_factory.mktemp("control-plane")
    for clouds in start():
        for weights in weights_in(storage):
            for site in site_of(folder, clouds, storage, weights):
                yield _prepared(World(site, Gates(), folder))


def _prepared(world: World) -> World:
    site, gates = world.site, world.gates
    desk, kinds = site.desk, set(MACHINES.values())
    options = [part for key, value in site.config.items() for part in ("--plaintext", f"{key}={value}")]
    done = desk.pulumi("config", "set-all", "--path", "--stack", desk.stack, *options)
    assert done.code == 0, done.text

    def on_vm(provider: str, inputs: Any, user_data: bytes, outputs: Any) -> None:
        stack = stack_of(inputs)
        gates.pass_(f"{stack}/vm")
        made = Node(user_data, world.fails.get(stack, ""), lambda place: gates.pass_(f"{stack}/{place}"))
        site.nodes[str(outputs["id"])] = made

    def watch(method: str, record: Record) -> None:
        if method == "Create" and record.token in kinds:
            world.made.append(record.tags["liftoff-stack"])

    site.clouds.world.on_vm = on_vm
    site.clouds.truth.watchers.append(watch)
    site.gcp.before = lambda asked: gates.pass_("gcp")
    return world


def is_sound(world: World, server: Server, launch_id: str, status: str) -> dict[str, Any]:
    """Assert what holds of every launch that has ended, whatever happened to its server; return the launch."""
    found = server.ended(launch_id)
    assert found["status"] == status, f"{found}\n{server.told()}"
    states = [attempt["state"] for attempt in found["attempts"]]
    assert "running" not in states
    if status == "succeeded":
        assert states.count("succeeded") == 1
        assert len(world.machines(launch_id)) == 1
        assert server.node_of(launch_id) is not None
        told = world.site.desk.run("outputs", "--stack", launch_id, "--project", str(_folder(world, launch_id)))
        assert told.code == 0, told.text
    else:
        assert world.left(launch_id) == []
        assert server.node_of(launch_id) is None
        assert launch_id not in world.stacks()
        assert not _folder(world, launch_id).exists()
    events = server.events(launch_id)
    # The bucket was looked up with the template's secrets, whatever the launch's own stack can tell yet.
    notes = [data["text"] for _, kind, data in events if kind == "note"]
    assert [note for note in notes if note.startswith("Not known before this launch: storage")] == []
    ids = [number for number, _, _ in events]
    assert ids == sorted(set(ids))
    assert [span["ended_at"] for span in found["timeline"] if span["ended_at"] is None] == []
    ran = max(1, sum(state != "skipped" for state in states))
    stages = [span["stage"] for span in found["timeline"]]
    assert max((stages.count(stage) for stage in stages), default=0) <= ran, stages
    return found


def _folder(world: World, launch_id: str) -> Path:
    return world.state / "launch-projects" / launch_id
