"""What somebody can do who has stolen a presigned URL, tried at a real S3 server."""

import datetime as dt
import json
import ssl
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import httpx
import pytest

from provider import node_program
from provider.boot_session import BootSession, BootSessionInputs, mailbox_key
from provider.storage import Bucket, Storage
from tests.session.conftest import WEIGHTS, Recorded

REFUSED = {400, 403, 405}
"""What an S3 server answers to a request that its signature does not cover."""


@dataclass(frozen=True)
class Loot:
    """What lies on a stolen node: its three kinds of URLs."""

    storage: Storage
    run_id: str
    mailbox: str
    session: str
    weights: str

    def ask(self, method: str, url: str, content: bytes | None = None, **headers: str) -> httpx.Response:
        context = ssl.create_default_context(cadata=self.storage.ca_certificate)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.request(method, url, content=content, headers=named)


@pytest.fixture
def loot(storage: Storage, weights: str, recorded: Recorded) -> Loot:
    inputs = BootSessionInputs.model_validate(
        {
            "storage": storage.model_dump(by_alias=True),
            "weights": weights,
            "serverNames": ["10.0.0.2"],
            "lifetimeSeconds": 31 * 24 * 3600,
            "bootDeadlineSeconds": 600,
            "programSha256": node_program.digest(),
        }
    )
    run_id, outputs = BootSession().create(inputs, recorded.operation())
    found = Loot(storage, run_id, outputs["mailboxUrl"], outputs["sessionUrl"], "")
    (file,) = json.loads(found.ask("GET", outputs["sessionUrl"]).content)["files"]
    return Loot(storage, run_id, outputs["mailboxUrl"], outputs["sessionUrl"], file["url"])


@pytest.mark.parametrize("which", ["session", "weights"])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_url_that_reads_changes_nothing(loot: Loot, which: str, method: str) -> None:
    url = str(getattr(loot, which))
    assert loot.ask(method, url, b"changed").status_code in REFUSED
    assert loot.ask("GET", url).status_code == httpx.codes.OK
    assert loot.ask("GET", loot.weights).content == WEIGHTS


@pytest.mark.parametrize("which", ["mailbox", "session", "weights"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_url_opens_no_other_object_no_list_and_no_bucket(loot: Loot, which: str, method: str) -> None:
    url = urlsplit(str(getattr(loot, which)))
    folder = url.path.rpartition("/")[0]
    for path in (
        f"{folder}/other",
        f"{url.path}.other",
        f"{url.path}/../manifest.json",
        f"/{loot.storage.bucket}",
        "/",
    ):
        moved = url._replace(path=path).geturl()
        assert loot.ask(method, moved, b"changed" if method == "PUT" else None).status_code in REFUSED, path


@pytest.mark.parametrize("which", ["mailbox", "session", "weights"])
@pytest.mark.parametrize("more", ["acl", "tagging", "uploads", "versionId=1", "partNumber=1&uploadId=1"])
def test_a_url_does_nothing_else_with_its_own_object(loot: Loot, which: str, more: str) -> None:
    url = str(getattr(loot, which))
    for method in ("GET", "PUT", "POST", "DELETE"):
        assert loot.ask(method, f"{url}&{more}").status_code in REFUSED, method


def test_the_mailboxs_url_copies_no_other_object_into_it(loot: Loot) -> None:
    source = urlsplit(loot.weights).path
    loot.ask("PUT", loot.mailbox, b"", x_amz_copy_source=source)
    assert Bucket(loot.storage).get(mailbox_key(loot.run_id)) != WEIGHTS


@pytest.mark.parametrize("which", ["mailbox", "session", "weights"])
def test_its_time_cannot_be_prolonged(loot: Loot, which: str) -> None:
    url = str(getattr(loot, which))
    (given,) = parse_qs(urlsplit(url).query)["X-Amz-Expires"]
    longer = url.replace(f"X-Amz-Expires={given}", f"X-Amz-Expires={int(given) + 1}")
    assert longer != url
    assert loot.ask("PUT" if which == "mailbox" else "GET", longer).status_code in REFUSED


@pytest.mark.parametrize(("method", "which"), [("GET", "weights"), ("PUT", "mailbox")])
def test_it_opens_nothing_once_its_time_is_over(
    loot: Loot, monkeypatch: pytest.MonkeyPatch, method: str, which: str
) -> None:
    key = urlsplit(str(getattr(loot, which))).path.removeprefix(f"/{loot.storage.bucket}/")
    fresh = Bucket(loot.storage).url(method, key, 60)
    assert loot.ask(method, fresh, b"{}" if method == "PUT" else None).status_code == httpx.codes.OK
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now - dt.timedelta(seconds=120))
    old = Bucket(loot.storage).url(method, key, 60)
    assert loot.ask(method, old, b"{}" if method == "PUT" else None).status_code in REFUSED


def test_urls_that_read_end_an_hour_after_the_boot_deadline_and_none_outlives_a_week(loot: Loot) -> None:
    def seconds(url: str) -> int:
        return int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0])

    assert seconds(loot.session) == seconds(loot.weights) == 600 + 3600
    assert seconds(loot.mailbox) == 7 * 24 * 3600


def test_no_url_holds_the_key_that_signed_it(loot: Loot) -> None:
    for url in (loot.mailbox, loot.session, loot.weights):
        assert loot.storage.secret_access_key not in url
