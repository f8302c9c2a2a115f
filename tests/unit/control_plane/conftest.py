"""The real app over a database of its own; what it would work on is only written down."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from control_plane.api import app as api
from control_plane.conductor import Conductor
from control_plane.services import Services, Settings
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launches
from tests.unit.control_plane.story import Story

PROJECT = Path(__file__).parents[3]


class Noted:
    """A queue that nobody works on."""

    def __init__(self, conductor: Conductor, launches: Launches, url: str, server: str, engines: int) -> None:
        self.submitted: list[str] = []
        self.taken_down: list[str] = []
        self.adopted: list[str] = []
        self.carry_out: Callable[[str], object] = lambda _: None

    def start(self) -> None:
        pass

    def submit(self, launch_id: str) -> None:
        self.submitted.append(launch_id)
        self.carry_out(launch_id)

    def take_down(self, launch_id: str) -> None:
        self.taken_down.append(launch_id)

    def adopt(self, dead: Sequence[str]) -> None:
        self.adopted += dead

    def catch_up(self) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them; to make one takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "control-plane.sqlite"
    database = Database(sqlite_url(path))
    database.migrate()
    database.close()
    return path


@pytest.fixture
def state(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's folder."""
    shutil.copy(empty_database, tmp_path)
    monkeypatch.setenv("LIFTOFF_STATE", str(tmp_path))
    monkeypatch.setenv("LIFTOFF_KEYS", str(tmp_path / "keys"))
    monkeypatch.delenv("LIFTOFF_CATALOG", raising=False)
    return tmp_path


@pytest.fixture
def services(state: Path) -> Iterator[Services]:
    opened = Services.open(Settings(PROJECT, catalog_only=True), Noted)
    yield opened
    opened.close()


@pytest.fixture
def queue(services: Services) -> Noted:
    assert isinstance(services.workflows, Noted)
    return services.workflows


@pytest.fixture
def app(services: Services) -> FastAPI:
    return api.build(services)


@pytest.fixture
def anybody(app: FastAPI) -> TestClient:
    """Who has no token."""
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def reader(app: FastAPI, services: Services) -> TestClient:
    """Who may only look."""
    headers = {"X-Admin-Token": services.tokens.issue("reader", "read")}
    return TestClient(app, headers=headers, raise_server_exceptions=False)


@pytest.fixture
def client(app: FastAPI, services: Services) -> TestClient:
    """Who may do everything."""
    headers = {"X-Admin-Token": services.tokens.issue("launcher", "launch")}
    return TestClient(app, headers=headers, raise_server_exceptions=False)


@pytest.fixture
def story(services: Services) -> Story:
    return Story(services)
