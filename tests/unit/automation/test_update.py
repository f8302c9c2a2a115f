import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import EngineEvent
from pulumi.automation.errors import CommandError

from automation import backend, update
from automation.preview import recording
from automation.worker import SECRET, Request


def event(**kind: Any) -> EngineEvent:
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, **kind})


def test_of_a_resource_only_what_is_done_to_it_leaves_the_worker() -> None:
    state = {"type": "t", "urn": "u", "inputs": {"userData": "hush"}, "outputs": {"apiKey": "hush"}}
    metadata = {"op": "create", "urn": "u", "type": "t", "provider": "p", "new": state}
    plain = update.plain(event(resOutputsEvent={"metadata": metadata}))
    assert plain == {"kind": "outputs", "urn": "u", "type": "t", "op": "create"}


def test_a_diagnostic_may_have_no_resource() -> None:
    plain = update.plain(event(diagnosticEvent={"message": "update failed\n", "color": "raw", "severity": "error"}))
    assert plain is not None
    assert (plain["urn"], plain["message"], plain["ephemeral"]) == ("", "update failed", False)


@pytest.mark.parametrize("told", [{"message": "x", "severity": "debug"}, {"message": " \n", "severity": "info"}])
def test_what_says_nothing_is_left_out(told: dict[str, str]) -> None:
    assert update.plain(event(diagnosticEvent={"color": "raw", **told})) is None


def test_secrets_are_masked_at_any_depth() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "hush"}
    found = recording.masked({"a": secret, "b": [1, {"c": secret}], "d": "plain"})
    assert found == {"a": SECRET, "b": [1, {"c": SECRET}], "d": "plain"}
    assert "hush" not in json.dumps(found)


def test_a_step_of_a_preview_is_recorded_without_its_secrets() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "hush"}
    state = {"type": "t", "urn": "u", "inputs": {"key": secret}, "outputs": {"key": secret, "id": "i", "size": 1}}
    metadata = {
        "op": "update",
        "urn": "u",
        "type": "t",
        "old": state,
        "new": state,
        "detailedDiff": {"size.x": {"diffKind": "update"}, "key": {"diffKind": "update", "inputDiff": True}},
    }
    step = event(resourcePreEvent={"metadata": metadata}).resource_pre_event
    assert step is not None
    found = recording.record(step.metadata)
    assert (found["old"], found["new"]) == ({"key": SECRET}, {"key": SECRET})
    assert found["old_outputs"] == {"size": 1}
    assert found["detailed_diff"]["size.x"] == {"kind": "update", "of_inputs": False}
    assert "hush" not in json.dumps(found)


@pytest.mark.parametrize(("operation", "pending"), [("creating", 1), ("deleting", 0), ("updating", 0)])
def test_only_a_create_whose_end_is_unknown_has_to_be_looked_for(operation: str, pending: int) -> None:
    machine = {"urn": "urn:machine", "type": "gcp:compute/instance:Instance", "custom": True, "id": "i-1"}
    inputs = {"name": "m-1", "region": "r", "userData": "hush", "passName": {"ciphertext": "hush"}}
    of = {"type": operation, "resource": {**machine, "inputs": inputs}}
    found = update.held({"resources": [machine], "pending_operations": [of]})
    told = {"urn": "urn:machine", "type": machine["type"], "names": {"name": "m-1", "region": "r"}}
    assert found["pending"] == [told] * pending
    assert [resource["id"] for resource in found["resources"]] == ["i-1"]


def engine(folder: Path, script: str) -> update.Engine:
    """Return an engine that is this shell script."""
    (folder / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "pulumi").chmod(0o755)
    return update.Engine(folder, "3.259.0")


def test_an_engine_that_has_said_its_last_word_and_does_not_end_is_killed(tmp_path: Path) -> None:
    stuck = engine(tmp_path, "sleep 60")
    threading.Timer(0.5, stuck.expect_end, (0.2,)).start()
    with pytest.raises(CommandError):
        stuck.run([], str(tmp_path), {})
    assert stuck.died


def test_an_engine_that_ends_by_itself_is_not_killed_nor_is_the_next(tmp_path: Path) -> None:
    ends = engine(tmp_path, "sleep 1; echo done")
    threading.Timer(0.5, ends.expect_end, (1.0,)).start()
    assert [ends.run([], str(tmp_path), {}).stdout for _ in range(2)] == ["done", "done"]
    assert not ends.died


def test_an_engine_whose_driver_is_killed_lives_and_writes_on(tmp_path: Path) -> None:
    engine(tmp_path, "touch begun; while [ ! -e go ]; do sleep 0.05; done; echo one && echo two >&2 && touch ended")
    drive = "import sys, pathlib; from automation import update; folder = pathlib.Path(sys.argv[1])"
    run = "update.Engine(folder, '3.259.0').run([], str(folder), {})"
    driver = subprocess.Popen([sys.executable, "-c", f"{drive}; {run}", str(tmp_path)])
    assert _comes(tmp_path / "begun")
    driver.kill()
    driver.wait()
    (tmp_path / "go").touch()
    assert _comes(tmp_path / "ended")


def _comes(path: Path) -> bool:
    limit = time.monotonic() + 60
    while not path.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    return path.exists()


def test_the_engines_last_event_is_the_moment_from_which_it_has_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[float] = []
    monkeypatch.setattr(update.Engine, "expect_end", lambda _, seconds: expected.append(seconds))
    version = backend.version()
    asked = Request(
        project=tmp_path, stack="dev", operation="destroy", engine=tmp_path, version=version, limit_seconds=30
    )
    made = update.Update(asked, lambda _: None)
    made._take(event(diagnosticEvent={"message": "x", "color": "raw", "severity": "info"}))
    assert expected == []
    made._take(event(cancelEvent={}))
    assert len(expected) == 1
