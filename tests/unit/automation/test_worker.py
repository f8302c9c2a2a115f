"""The process that drives the engine: one look after another at the state, and each may be ended at once."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import automation.worker
from automation import backend
from automation.forked import Forked
from automation.worker import WORKER_DIED, Operation, Request, Result, Worker, start_python

MACHINE = {
    "urn": "urn:pulumi:dev::liftoff::x::machine",
    "type": "aws:ec2/instance:Instance",
    "id": "i-1",
    "custom": True,
}


def look_at(folder: Path, script: str, operation: Operation = "resources") -> Request:
    """Return a request for an engine that is this shell script."""
    engine = folder / "pulumi"
    engine.write_text(f"#!/bin/sh\n{script}\n")
    engine.chmod(0o755)
    (folder / "Pulumi.yaml").write_text("name: liftoff\nruntime: python\n")
    version = backend.version()
    return Request(project=folder, stack="dev", operation=operation, engine=folder, version=version, limit_seconds=30)


@pytest.fixture(params=[start_python, Forked])
def worker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(automation.worker, "start", request.param)
    made = Worker(tmp_path / "worker.log")
    yield made
    made.dismiss()


def done(worker: Worker, asked: Request) -> Result:
    worker.begin(asked)
    assert list(worker.events()) == []
    return worker.result()


def test_a_process_that_has_looked_looks_again_and_does_what_is_asked_last(worker: Worker, tmp_path: Path) -> None:
    state = json.dumps({"version": 3, "deployment": {"resources": [MACHINE]}})
    looks = look_at(tmp_path, f"echo '{state}'")
    for _ in range(2):
        assert [resource.id for resource in done(worker, looks).resources] == ["i-1"]
    assert worker.lives
    refused = done(worker, look_at(tmp_path, "echo 'error: the passphrase is wrong' >&2; exit 255", "forget"))
    assert (refused.ok, refused.text) == (False, "error: the passphrase is wrong")
    assert not worker.lives


def test_a_look_that_hangs_is_not_cancelled_and_may_be_ended_at_once(worker: Worker, tmp_path: Path) -> None:
    worker.begin(look_at(tmp_path, "sleep 20"))

    def press() -> None:
        worker.cancel()
        time.sleep(1)
        worker.kill()

    began = time.monotonic()
    threading.Thread(target=press).start()
    assert list(worker.events()) == []
    assert worker.result().error == WORKER_DIED
    assert 1 <= time.monotonic() - began < 15
