"""Where the campaign takes place: emulated clouds, their nodes, a bucket, and a real server that is started again."""

import contextlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from provider.local import storage as local_storage
from provider.storage import Storage
from tests.campaign import serve
from tests.campaign.bucket import Weather, proxied
from tests.campaign.schedule import Fault, Moment
from tests.clouds.cloud import Request
from tests.clouds.fixtures import Clouds, start
from tests.clouds.http_api import Refusal
from tests.clouds.truth import Record
from tests.control_plane.server import Server
from tests.launches.conftest import MACHINES, Site, site_of
from tests.launches.node import Node, user_data_document
from tests.session.conftest import weights_in

_Answer = TypeVar("_Answer")
_DOWN_SECONDS: Final = 180.0
"""How long the server may be away before somebody who asks it gives up."""
_RESTART_SECONDS: Final = 2.0
"""That of deploy/liftoff.service."""
_STATE_MIB: Final = 512
_TOKENS: Final = frozenset(MACHINES.values())
_UNAVAILABLE: Final = {"error": {"code": "ServiceUnavailable", "message": "The service is unavailable."}}


@dataclass
class Life:
    """A machine as its cloud bills it: from when to when, in seconds since 1970; `ended` is None while it exists."""

    stack: str
    record: Record
    began: float
    ended: float | None = None
    evicted: bool = False

    def seconds(self, now: float) -> float:
        """Return for how long it was paid."""
        return (self.ended or now) - self.began


@dataclass
class World:
    """All that the runs share. Every method may be called from any thread.

    Attributes:
        lives: every machine that was ever made.
        weather: what went wrong for all runs at once, with its beginning and end in monotonic seconds.
        leases: whether nodes end themselves when their time is over.
    """

    site: Site
    server: Server
    bucket: Weather
    folder: Path
    has_small_disk: bool
    leases: bool = True
    lives: dict[str, Life] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    weather: list[tuple[Fault, float, float]] = field(default_factory=list)
    hidden: dict[str, float] = field(default_factory=dict)
    fails: dict[str, str] = field(default_factory=dict)
    expires: dict[str, float] = field(default_factory=dict)
    restarts: int = 0
    _listeners: dict[str, Callable[[Moment], None]] = field(default_factory=dict)
    _serving: threading.RLock = field(default_factory=threading.RLock)
    _wrong: float = 0.0
    _clocks: list[tuple[float, float]] = field(default_factory=list)
    _over: bool = False

    @property
    def clouds(self) -> Clouds:
        """The emulated clouds."""
        return self.site.clouds

    @property
    def state(self) -> Path:
        """Liftoff's state folder."""
        return Path(self.site.desk.environment["LIFTOFF_STATE"])

    # What runs ask for.

    def listen(self, stack: str, reached: Callable[[Moment], None]) -> None:
        """Be told of each moment of a launch."""
        self._listeners[stack] = reached

    def ask(self, question: Callable[[Server], _Answer]) -> _Answer:
        """Ask the server, for as long as it may be away."""
        limit = time.monotonic() + _DOWN_SECONDS
        while True:
            try:
                return question(self.server)
            except (httpx.HTTPError, AssertionError) as error:
                if "422" in str(error) or time.monotonic() > limit:
                    raise
            time.sleep(0.3)

    def machines(self, stack: str) -> list[Record]:
        """Return the machines of a launch that exist in truth; one that stands still is not paid for."""
        return [record for record in self.left(stack) if record.token in _TOKENS and record.state != "stopped"]

    def left(self, stack: str) -> list[Record]:
        """Return everything of a launch that exists in truth."""
        return self.clouds.truth.find(where=lambda record: stack_of(record) == stack)

    def unreadable(self) -> list[str]:
        """Return the files of state that are not whole."""
        return [
            path.name for path in (self.state / "pulumi" / ".pulumi" / "stacks").rglob("*.json") if not _is_whole(path)
        ]

    def lives_of(self, stack: str) -> list[Life]:
        """Return every machine that was ever made for a launch."""
        return [life for life in list(self.lives.values()) if life.stack == stack]

    # What goes wrong for everybody.

    @contextmanager
    def bad(self, fault: Fault) -> Iterator[None]:
        """Note that a fault holds for all runs, for the time of the block."""
        began = time.monotonic()
        index = len(self.weather)
        self.weather.append((fault, began, float("inf")))
        try:
            yield
        finally:
            self.weather[index] = (fault, began, time.monotonic())

    def for_a_while(self, fault: Fault, seconds: float, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Let something be wrong for everybody for some seconds, without waiting for its end."""

        def hold() -> None:
            with self.bad(fault):
                begin()
                try:
                    time.sleep(seconds)
                finally:
                    end()

        threading.Thread(target=hold, name=fault.name, daemon=True).start()

    def end_server(self, *, whole_host: bool) -> None:
        """Kill the server, or all that it has started, too; and start it again, without waiting for that."""
        fault = Fault.HOST_CRASHED if whole_host else Fault.SERVER_KILLED
        if not self._serving.acquire(timeout=60):
            return
        try:
            if self.server.runs:
                (self.server.crash if whole_host else self.server.kill)()
        finally:
            self._serving.release()

        def again() -> None:
            with self.bad(fault), self._serving:
                if not self.server.runs and not self._over:
                    self.restarts += 1
                    self._start_until_it_stays()

        threading.Thread(target=again, name="restart", daemon=True).start()

    def _start_until_it_stays(self) -> None:
        """Start the server as a supervisor does: it may find a full disk, or no database."""
        limit = time.monotonic() + _DOWN_SECONDS
        while True:
            try:
                self.server.start()
            except AssertionError:
                if time.monotonic() > limit:
                    raise
                self.server.crash()
                time.sleep(_RESTART_SECONDS)
            else:
                return

    def serve_without(self, *safeguards: str) -> None:
        """Start the server again, without some of Liftoff's safeguards (`serve.SWITCHES`), or with all."""
        with self._serving:
            self._over = False
            self.server.stop()
            self.server.environment[serve.WITHOUT] = ",".join(safeguards)
            self.server.start()

    def end_server_for_good(self) -> None:
        """Kill the server and all that it has started; nobody starts it again."""
        with self._serving:
            self._over = True
            if self.server.runs:
                self.server.crash()

    def let_leases_end(self, seconds: float) -> None:
        """Let so many seconds pass for the nodes: those whose time is over end themselves."""
        if not self.leases:
            return
        now = time.time() + seconds
        for life in list(self.lives.values()):
            over = self.expires.get(life.record.id, float("inf")) <= now
            if life.ended is None and over:
                self.clouds.cloud(life.record.provider).delete(life.record.id)

    def refuse_listings(self, seconds: float) -> None:
        """Let no cloud be listed."""
        site, world = self.site, self.clouds.world
        refusals = [Refusal("virtualMachines", 503, _UNAVAILABLE), Refusal("aggregated/instances", 503, _UNAVAILABLE)]

        def begin() -> None:
            world.refuses_listings = True
            site.azure.refusals.append(refusals[0])
            site.gcp.refusals.append(refusals[1])

        def end() -> None:
            world.refuses_listings = False
            site.azure.refusals.remove(refusals[0])
            site.gcp.refusals.remove(refusals[1])

        self.for_a_while(Fault.LISTING_REFUSED, seconds, begin, end)

    def fill_disk(self, seconds: float) -> None:
        """Let the disk of Liftoff's state be full."""
        filler = self.state / "filler"

        def fill() -> None:
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * 65536)

        self.for_a_while(Fault.DISK_FULL, seconds, fill, lambda: filler.unlink(missing_ok=True))

    def take_database(self, seconds: float) -> None:
        """Let the database answer nobody."""
        connection = sqlite3.connect(self.state / "control-plane.sqlite", check_same_thread=False, timeout=30)

        def begin() -> None:
            connection.isolation_level = None
            connection.execute("BEGIN EXCLUSIVE")

        def end() -> None:
            connection.execute("ROLLBACK")
            connection.close()

        self.for_a_while(Fault.DATABASE_GONE, seconds, begin, end)

    def let_clock_jump(self, fault: Fault, seconds: float) -> None:
        """Let the server's clock be wrong by so many seconds more, from now on."""
        with self.bad(fault):
            self._wrong += seconds if fault is Fault.CLOCK_AHEAD else -seconds
            (self.folder / "clock").write_text(str(self._wrong))
            self._clocks.append((time.monotonic(), self._wrong))

    def clock_jumped(self, since: float) -> float:
        """Return by how many seconds the server's clock was more wrong at one time than at another, since a moment."""
        jumps = list(self._clocks)
        before = [wrong for at, wrong in jumps if at < since]
        wrong = [before[-1] if before else 0.0, *(wrong for at, wrong in jumps if at >= since)]
        return max(wrong) - min(wrong)

    def forget_blocks(self) -> None:
        """Let the time be over for which an offer is not asked for again: the next run is none the worse."""
        with contextlib.suppress(sqlite3.OperationalError):
            database = sqlite3.connect(self.state / "control-plane.sqlite", timeout=5)
            with database:
                database.execute("DELETE FROM blocks")
            database.close()

    # What the clouds tell.

    def _reached(self, stack: str, moment: Moment) -> None:
        listener = self._listeners.get(stack)
        if listener is not None:
            listener(moment)

    def _called(self, _provider: str, method: str, request: Request) -> None:
        stack = request.urn.split("::")[0].removeprefix("urn:pulumi:")
        of_machine = request.token in _TOKENS
        if method == "Create":
            self._reached(stack, Moment.ASKED)
            if of_machine:
                self._reached(stack, Moment.MACHINE)
        elif method == "Delete" and of_machine:
            self._reached(stack, Moment.DELETING)

    def _made(self, _provider: str, _inputs: Any, user_data: bytes, outputs: Any) -> None:
        machine = str(outputs["id"])
        stack = self.lives[machine].stack
        self._reached(stack, Moment.MADE)
        self.expires[machine] = armed_until(user_data)
        self._move_address(stack)
        self.site.nodes[machine] = Node(
            user_data, self.fails.pop(stack, ""), lambda place: self._reached(stack, Moment(place))
        )

    def _move_address(self, stack: str) -> None:
        """Let the address of a launch lead to its newest machine alone, as its cloud does."""
        for life in list(self.lives.values()):
            node = self.site.nodes.get(life.record.id)
            if life.stack == stack and node is not None:
                node.end()

    def _changed(self, method: str, record: Record) -> None:
        if record.token not in _TOKENS:
            return
        now = self.clouds.truth.clock()
        if method == "Create":
            stack = stack_of(record)
            self.lives[record.id] = Life(stack, record, now)
            here = [life for life in self.lives.values() if life.stack == stack and life.ended is None]
            self.most[stack] = max(self.most.get(stack, 0), len(here))
            return
        life = self.lives[record.id]
        gone = method in {"Delete", "Evict", "Forget"} or (method == "Update" and record.state == "stopped")
        if gone and life.ended is None:
            life.ended, life.evicted = now, method != "Delete"
        if method == "Delete":
            threading.Thread(target=self._reached, args=(life.stack, Moment.DELETED), daemon=True).start()

    def _listed(self, record: Record) -> bool:
        seconds = self.hidden.get(stack_of(record), 0.0)
        return self.clouds.truth.clock() - record.created_at >= seconds


def _is_whole(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text()), dict)
    except FileNotFoundError:
        # It was removed with its stack just now.
        return True
    except ValueError:
        return False


def stack_of(record: Record) -> str:
    """Return which launch a resource is of."""
    # What a cloud made by itself, a machine's disk, has no URN and the machine's tags.
    return record.urn.split("::")[0].removeprefix("urn:pulumi:") or record.tags.get("liftoff-stack", "")


def armed_until(user_data: bytes) -> float:
    """Return when a node ends itself, in seconds since 1970, by what its user data arms first; infinity if nothing."""
    commands = user_data_document(user_data).get("bootcmd") or []
    for command in commands:
        if "arm-expiry" in command:
            return datetime.fromisoformat(command[command.index("arm-expiry") + 1]).timestamp()
    return float("inf")


@contextmanager
def opened(engines: int = 4, sweep_seconds: float = 8.0) -> Iterator[World]:
    """Yield a world with a server that runs; at the end all is gone."""
    with ExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="liftoff-campaign-")))
        small = _small_disk(folder, open_)
        bucket = Weather()
        storage = open_.enter_context(proxied(open_.enter_context(_storage(folder)), bucket))
        clouds = open_.enter_context(contextmanager(start)())
        weights = open_.enter_context(contextmanager(weights_in)(storage))
        site = open_.enter_context(contextmanager(site_of)(folder, clouds, storage, weights))
        _prepare(site)
        clock = folder / "clock"
        environment = {**site.desk.environment, serve.CLOCK: str(clock)}
        program = (sys.executable, "-m", "tests.campaign.serve")
        options = ("--stack", site.desk.stack, "--name", "campaign", "--engines", str(engines))
        sweeping = ("--sweep-seconds", str(sweep_seconds))
        server = Server(environment, folder / "server.log", *options, *sweeping, program=program)
        world = World(site, server, bucket, folder, small)
        clouds.world.on_vm = world._made
        clouds.world.on_call = world._called
        clouds.world.is_listed = world._listed
        numbers = iter(range(1, 1 << 20))
        network = 20 + secrets.randbelow(200)
        clouds.world.on_address = lambda provider, inputs: _address(network, next(numbers))
        clouds.truth.watchers.append(world._changed)
        open_.callback(server.close)
        server.start()
        yield world
        world.end_server_for_good()


def _address(network: int, number: int) -> str:
    # Another campaign on this host has another network.
    return f"127.{network}.{number // 250 % 250 + 1}.{number % 250 + 1}"


def _prepare(site: Site) -> None:
    values = {**site.config, "bootDeadlineSeconds": "20"}
    options = [part for key, value in values.items() for part in ("--plaintext", f"{key}={value}")]
    done = site.desk.pulumi("config", "set-all", "--path", "--stack", site.desk.stack, *options)
    assert done.code == 0, done.text


def _small_disk(folder: Path, open_: ExitStack) -> bool:
    """Give Liftoff's state a file system of its own, which may be filled; tell whether this host lets us."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    if os.getuid() != 0:
        return False
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_STATE_MIB}m,mode=0700", "tmpfs", str(state)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        return False
    open_.callback(lambda: subprocess.run(["umount", "-l", str(state)], check=False))
    return True


@contextmanager
def _storage(folder: Path) -> Iterator[Storage]:
    """Yield this host's S3 server."""
    own = {"LIFTOFF_STATE": str(folder / "storage-state"), "LIFTOFF_KEYS": str(folder / "storage-keys")}
    holder = f"campaign-{secrets.token_hex(3)}"
    with _environment(own):
        held = local_storage.acquire(holder, "process")
    made = Storage(
        endpoint=held.endpoint,
        region=held.region,
        bucket=held.bucket,
        access_key_id=held.access_key_id,
        secret_access_key=held.secret_access_key,
        ca_certificate=held.ca_certificate,
    )
    try:
        yield made
    finally:
        with _environment(own):
            local_storage.release(holder)


@contextmanager
def _environment(own: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
