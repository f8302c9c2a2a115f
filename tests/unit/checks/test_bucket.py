"""The stack's bucket: the weights can be read, the mailbox written, and nothing of the check is left."""

import socket
from typing import Any

import pytest

from automation.checks import bucket as bucket_checks
from automation.checks.finding import BUCKET, MAILBOX, Finding, State
from automation.checks.stack_values import StackValues
from automation.errors import Kind

from .bucket_server import SECRET, BucketServer


def look(values: dict[str, Any]) -> dict[str, list[Finding]]:
    full = {f"liftoff:{key}": value for key, value in {"provider": "aws", **values}.items()}
    found: dict[str, list[Finding]] = {}
    for finding in bucket_checks.look(StackValues("liftoff", full)):
        found.setdefault(finding.subject, []).append(finding)
    return found


def test_a_bucket_that_can_be_read_and_written_is_left_as_it_was(bucket: BucketServer) -> None:
    before = dict(bucket.objects)
    found = look(bucket.values())
    assert [(one.state, one.kind) for one in (*found[BUCKET], *found[MAILBOX])] == [(State.OK, None)] * 2
    assert "1 files" in found[BUCKET][0].message
    assert bucket.objects == before


def test_what_can_be_written_and_not_deleted_is_named_and_stops_no_launch(bucket: BucketServer) -> None:
    bucket.denied.add("DELETE")
    written, left = look(bucket.values())[MAILBOX]
    assert (written.state, left.state, left.kind) == (State.OK, State.MISSING, None)
    (key,) = [key for key in bucket.objects if "/sessions/check-" in key]
    assert f"s3:/{key}" in left.hint


@pytest.mark.parametrize(("denied", "subject"), [("GET", BUCKET), ("PUT", MAILBOX)])
def test_a_key_that_may_not_read_or_not_write_is_told_apart(bucket: BucketServer, denied: str, subject: str) -> None:
    bucket.denied.add(denied)
    found = look(bucket.values())
    (refused,) = found.pop(subject)
    assert (refused.state, refused.kind) == (State.MISSING, Kind.CREDENTIALS)
    assert [one.state for ones in found.values() for one in ones] == [State.OK]


def test_weights_that_were_never_pushed_are_missed_with_the_command(bucket: BucketServer) -> None:
    (found,) = look(bucket.values(weights="s3://liftoff/models/other"))[BUCKET]
    assert (found.state, found.kind) == (State.MISSING, Kind.CONFIGURATION)
    assert "liftoff weights push DIR s3://liftoff/models/other" in found.hint


def test_a_manifest_that_is_none_is_told(bucket: BucketServer) -> None:
    bucket.objects["/liftoff/models/m/manifest.json"] = b"<html>"
    (found,) = look(bucket.values())[BUCKET]
    assert (found.state, found.kind) == (State.MISSING, Kind.CONFIGURATION)


@pytest.mark.parametrize(
    ("values", "state", "kind"),
    [
        ({"provider": "local"}, State.SKIPPED, None),
        ({}, State.MISSING, Kind.CONFIGURATION),
        ({"storageEndpoint": "https://h", "weights": "gs://x/y"}, State.MISSING, Kind.CONFIGURATION),
        ({"storageEndpoint": "https://h", "weights": "s3://bucket/m"}, State.MISSING, Kind.CREDENTIALS),
        (
            {
                "storageEndpoint": "http://h",
                "weights": "s3://bucket/m",
                "storageAccessKeyId": "i",
                "storageSecretAccessKey": "s",
            },
            State.MISSING,
            Kind.CONFIGURATION,
        ),
    ],
)
def test_a_stack_without_a_bucket_is_told_what_it_lacks(
    values: dict[str, str], state: State, kind: Kind | None
) -> None:
    (found,) = look(values)[BUCKET]
    assert (found.state, found.kind) == (state, kind)


def test_secrets_that_the_engine_can_not_read_leave_the_bucket_unknown() -> None:
    values = {"liftoff:provider": "aws", "liftoff:storageEndpoint": "https://h", "liftoff:weights": "s3://bucket/m"}
    (found,) = bucket_checks.look(StackValues("liftoff", values, problem="no stack named 's' found"))
    assert (found.state, found.kind) == (State.UNKNOWN, None)
    assert "no stack named" in found.message


def test_a_storage_that_nobody_answers_at_is_unknown_and_shows_no_key() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"https://127.0.0.1:{taken.getsockname()[1]}"
        server = BucketServer({}, endpoint=endpoint)
        (found,) = look(server.values())[BUCKET]
    assert (found.state, found.kind) == (State.UNKNOWN, Kind.UNKNOWN)
    assert SECRET not in found.message + found.hint
