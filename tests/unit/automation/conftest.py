"""An engine that plays, a project, and somebody who listens."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from automation import backend, plan, session
from automation.errors import LaunchFailure
from automation.offers import Offer
from automation.stages import Event
from automation.worker import Request, Resource, Result
from control_plane.store.blocks import Blocks
from control_plane.store.database import Database, sqlite_url
from provider.resource import Refused
from provider.status import Status

URN = "urn:pulumi:dev::liftoff::liftoff:index:ModelNode$liftoff:index:{}::dev-{}"
MACHINE = Resource(
    urn=URN.format("LocalMachine", "machine"),
    type="liftoff:index:LocalMachine",
    created="2999-01-01T00:00:00.123456789Z",
)
OLD_NETWORK = Resource(
    urn=URN.format("LocalNetwork", "network"), type="liftoff:index:LocalNetwork", created="2001-01-01T00:00:00Z"
)


def event(kind: Any, name: str, **more: Any) -> Event:
    type_ = f"liftoff:index:{name}"
    return Event(1, 0.0, kind, URN.format(name, name.removeprefix("Local").lower()), type_, **more)


FAILED_BOOT = [
    event("pre", "LocalMachine", op="create"),
    event("outputs", "LocalMachine", op="create"),
    event("diagnostic", "Readiness", message="90.0% Starting vLLM", severity="info", ephemeral=True),
    event(
        "diagnostic",
        "Readiness",
        message=str(Refused("boot", "serve_failed", "vLLM ended", hint="read", log=("last", "words"))),
        severity="error",
    ),
    event("failed", "Readiness", op="create"),
    Event(2, 0.0, "diagnostic", message="update failed", severity="error"),
]


class Engine:
    """Plays operations in place of worker processes: `plays` the first time, then `then` in turn."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.started: list[tuple[str, ...]] = []
        self.commands: list[str] = []
        self.plays: dict[str, tuple[list[Event], Result]] = {
            "up": ([], Result(ok=True, outputs={"endpoint": "https://h"})),
            "resources": ([], Result(ok=True)),
            "destroy": ([], Result(ok=True)),
            "forget": ([], Result(ok=True)),
        }
        self.then: dict[str, list[tuple[list[Event], Result]]] = {}
        self.during: dict[str, Any] = {}

    @property
    def asked(self) -> list[str]:
        return [request.operation for request in self.requests]

    def __call__(self, log: Path, modules: Sequence[str] = ()) -> "Engine":
        self.started.append(tuple(modules))
        return self

    @property
    def lives(self) -> bool:
        return True

    def begin(self, request: Request) -> None:
        again = request.operation in self.asked
        self.requests.append(request)
        if again and self.then.get(request.operation):
            self.plays[request.operation] = self.then[request.operation].pop(0)

    def dismiss(self) -> None:
        self.commands.append("dismiss")

    def events(self) -> Iterator[Event]:
        operation = self.asked[-1]
        yield from self.plays[operation][0]
        if operation in self.during:
            self.during[operation]()

    def result(self) -> Result:
        return self.plays[self.asked[-1]][1]

    def cancel(self) -> None:
        self.commands.append("cancel")

    def kill(self) -> None:
        self.commands.append("kill")

    def abandon(self) -> None:
        self.commands.append("abandon")


class Listener:
    def __init__(self) -> None:
        self.statuses: list[Status] = []
        self.notes: list[str] = []

    def status(self, status: Status, elapsed: float) -> None:
        self.statuses.append(status)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Watcher:
    """Nobody who keeps what happens to the offers of a plan."""

    def skipped(self, offer: Offer, reason: str) -> None:
        pass

    def trying(self, offer: Offer) -> None:
        pass

    def happened(self, event: Event) -> None:
        pass

    def tried(self, offer: Offer, failure: LaunchFailure | None) -> None:
        pass

    def never_made(self) -> None:
        pass

    def cleared(self) -> None:
        pass

    def gave_up(self) -> None:
        pass


@pytest.fixture
def record(tmp_path: Path) -> Iterator[plan.Record]:
    """A plan that nobody has begun before."""
    database = Database(sqlite_url(tmp_path / "control-plane.sqlite"))
    database.migrate()
    yield plan.Record("launch-1", Watcher(), begun=False, blocks=Blocks(database))
    database.close()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    for name in ("STATE", "CACHE", "KEYS"):
        monkeypatch.setenv(f"LIFTOFF_{name}", str(tmp_path / name))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    folder = tmp_path / "CACHE" / "engine" / backend.version() / "bin"
    folder.mkdir(parents=True)
    (folder / "pulumi").touch()
    made = Engine()
    monkeypatch.setattr(session, "Worker", made)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    config = {
        "provider": "local",
        "model": "some-model",
        "weights": "s3://liftoff/models/some",
        "bootDeadlineSeconds": 600,
        "lifetimeSeconds": 3600,
        "isolation": "auto",
        "image": "baked",
        "memoryMiB": 4096,
        "cpus": 2,
    }
    declared = {f"liftoff:{key}": {"default": value} for key, value in config.items()}
    (tmp_path / "Pulumi.yaml").write_text(json.dumps({"name": "liftoff", "config": declared}))
    return tmp_path
