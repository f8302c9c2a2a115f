"""A node's mailbox is found in its stack's state, whose secrets the engine has opened, and in nothing else."""

import json
from typing import Any

from automation.node_session import session_in

STORAGE = {
    "endpoint": "https://bucket.example",
    "region": "auto",
    "bucket": "liftoff",
    "accessKeyId": "AK",
    "secretAccessKey": "hidden",
}


def secret(value: Any) -> dict[str, Any]:
    mark, kind = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
    return {mark: kind, "plaintext": json.dumps(value)}


def exported(*sessions: dict[str, Any]) -> dict[str, Any]:
    other = {"type": "liftoff:index:Readiness", "id": "r", "inputs": {}}
    own = [{"type": "liftoff:index:BootSession", **session} for session in sessions]
    return {"version": 3, "deployment": {"resources": [other, *own]}}


def test_the_bucket_and_its_keys_are_read_through_the_marks_of_secrets() -> None:
    inside = {**STORAGE, "secretAccessKey": secret("hidden"), "__defaults": []}
    for storage in (STORAGE, secret(STORAGE), inside, secret(inside)):
        found = session_in(exported({"id": "run-1", "inputs": {"storage": storage}}))
        assert found is not None
        assert found.run_id == "run-1"
        assert found.storage.model_dump(by_alias=True, exclude_none=True) == STORAGE


def test_of_a_session_that_is_being_replaced_the_new_one_counts() -> None:
    old = {"id": "old", "delete": True, "inputs": {"storage": STORAGE}}
    found = session_in(exported(old, {"id": "new", "inputs": {"storage": STORAGE}}))
    assert found is not None
    assert found.run_id == "new"


def test_a_stack_without_a_node_has_no_session() -> None:
    assert session_in(exported()) is None
    assert session_in({"deployment": None}) is None
    assert session_in({"deployment": {}}) is None


def test_no_text_of_a_session_shows_a_key() -> None:
    found = session_in(exported({"id": "run-1", "inputs": {"storage": secret(STORAGE)}}))
    assert "hidden" not in repr(found)
