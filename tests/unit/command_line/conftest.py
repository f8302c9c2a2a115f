"""A workplace, and the command line as a user of its server or of its host types it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from automation.commands import app

from .workplace import Workplace


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def text(self) -> str:
        return self.out + self.err


Run = Callable[..., Finished]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    for name in ("LIFTOFF_SERVER", "LIFTOFF_TOKEN", "LIFTOFF_TOKEN_FILE", "LIFTOFF_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    made = Workplace(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    made.api.start()
    yield made
    made.api.stop()
    made.database.close()


@pytest.fixture
def remote(workplace: Workplace) -> Run:
    """Run a command against the server."""
    return _run(workplace.remote)


@pytest.fixture
def own(workplace: Workplace) -> Run:
    """Run a command on its own, on the server's host."""
    return _run(workplace.environment)


@pytest.fixture(params=["server", "own"])
def either(request: pytest.FixtureRequest, workplace: Workplace) -> Run:
    """Run a command in both ways: what it says is the same."""
    return _run(workplace.remote if request.param == "server" else workplace.environment)


def _run(environment: Mapping[str, str]) -> Run:
    def run(*arguments: str, **more: str) -> Finished:
        done = CliRunner().invoke(app, arguments, env={**environment, "COLUMNS": "200", **more})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Finished(done.exit_code, done.stdout, done.stderr)

    return run
