"""A boot session opens to a node what it needs and nothing else, and leaves nothing behind."""

import datetime as dt
import hashlib
import json
import ssl
from typing import Any

import httpx
import pytest

from provider import node_program
from provider.boot_session import BootSession, BootSessionInputs, mailbox_key, session_prefix
from provider.resource import Refused
from provider.storage import Bucket, Storage

from .conftest import WEIGHTS, Recorded


def inputs(storage: Storage, weights: str, **changes: Any) -> BootSessionInputs:
    values = {
        "storage": storage.model_dump(by_alias=True),
        "weights": weights,
        "serverNames": ["10.0.0.2"],
        "lifetimeSeconds": 3600,
        "bootDeadlineSeconds": 600,
        "requirements": "vllm==1\n",
        "programSha256": node_program.digest(),
    }
    return BootSessionInputs.model_validate({**values, **changes})


def ask(storage: Storage, method: str, url: str, content: bytes | None = None) -> httpx.Response:
    context = ssl.create_default_context(cadata=storage.ca_certificate)
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.request(method, url, content=content)


def test_its_urls_open_weights_and_mailbox_without_any_key(storage: Storage, weights: str, recorded: Recorded) -> None:
    run_id, outputs = BootSession().create(inputs(storage, weights), recorded.operation())
    body = ask(storage, "GET", outputs["sessionUrl"]).content
    assert hashlib.sha256(body).hexdigest() == outputs["sessionSha256"]
    document = json.loads(body)
    assert document["requirements"] == "vllm==1\n"
    (file,) = document["files"]
    assert ask(storage, "GET", file["url"]).content == WEIGHTS
    assert ask(storage, "PUT", outputs["mailboxUrl"], b"{}").status_code == httpx.codes.OK
    assert Bucket(storage).get(mailbox_key(run_id)) == b"{}"
    assert outputs["weightsBytes"] == len(WEIGHTS)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_mailboxs_url_only_writes(storage: Storage, weights: str, recorded: Recorded, method: str) -> None:
    _, outputs = BootSession().create(inputs(storage, weights), recorded.operation())
    assert ask(storage, method, outputs["mailboxUrl"]).status_code == httpx.codes.FORBIDDEN


def test_a_url_opens_no_other_object(storage: Storage, weights: str, recorded: Recorded) -> None:
    _, outputs = BootSession().create(inputs(storage, weights), recorded.operation())
    moved = outputs["mailboxUrl"].replace("mailbox.json", "session.json")
    assert ask(storage, "PUT", moved, b"{}").status_code == httpx.codes.FORBIDDEN


def test_it_expires_when_its_lifetime_ends(storage: Storage, weights: str, recorded: Recorded) -> None:
    _, outputs = BootSession().create(inputs(storage, weights), recorded.operation())
    left = dt.datetime.fromisoformat(outputs["expiresAt"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(minutes=59) < left <= dt.timedelta(hours=1)


def test_two_sessions_share_nothing(storage: Storage, weights: str, recorded: Recorded) -> None:
    first = BootSession().create(inputs(storage, weights), recorded.operation())[1]
    second = BootSession().create(inputs(storage, weights), recorded.operation())[1]
    assert not {first[key] for key in ("runId", "apiKey", "tlsKey")} & {
        second[key] for key in ("runId", "apiKey", "tlsKey")
    }


def test_deleting_it_leaves_no_object(storage: Storage, weights: str, recorded: Recorded) -> None:
    session = BootSession()
    given = inputs(storage, weights)
    run_id, outputs = session.create(given, recorded.operation())
    ask(storage, "PUT", outputs["mailboxUrl"], b"{}")
    session.delete(run_id, given, outputs, recorded.operation())
    assert Bucket(storage).get(mailbox_key(run_id)) is None
    assert Bucket(storage).get(f"{session_prefix(run_id)}session.json") is None
    session.delete(run_id, given, outputs, recorded.operation())


def test_missing_weights_are_told_with_the_command_that_uploads_them(storage: Storage, recorded: Recorded) -> None:
    with pytest.raises(Refused, match=r"there is no manifest.json") as caught:
        BootSession().create(inputs(storage, f"s3://{storage.bucket}/nothing"), recorded.operation())
    assert (caught.value.kind, caught.value.code) == ("configuration", "weights_missing")
    assert "liftoff weights push" in caught.value.hint


def test_a_wrong_key_is_a_matter_of_credentials_and_is_not_repeated(
    storage: Storage, weights: str, recorded: Recorded
) -> None:
    wrong = storage.model_copy(update={"secret_access_key": "not-the-key-at-all"})
    with pytest.raises(Refused) as caught:
        BootSession().create(inputs(wrong, weights), recorded.operation())
    assert caught.value.kind == "credentials"
    assert "not-the-key-at-all" not in str(caught.value)
    assert storage.access_key_id not in str(caught.value)


def test_a_manifest_that_is_broken_is_told_as_such(storage: Storage, weights: str, recorded: Recorded) -> None:
    prefix = weights.removeprefix(f"s3://{storage.bucket}/")
    Bucket(storage).put(f"{prefix}/manifest.json", b'{"version": 2}')
    with pytest.raises(Refused, match="not valid") as caught:
        BootSession().create(inputs(storage, weights), recorded.operation())
    assert caught.value.code == "manifest_invalid"
