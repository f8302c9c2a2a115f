"""Nobody who may ask the API decides where the server, or a node, connects to."""

import socket
import threading
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from boot import services as node_services
from boot import settings as node_settings
from boot.failure import BootFailed
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from automation.stack_file import Values
from components import catalog
from control_plane.api import app as api
from control_plane.request import LaunchAsked, weights_of
from control_plane.services import Services, Settings
from provider.manifest import split_uri
from provider.readiness import ReadinessInputs
from provider.storage import Storage
from tests.unit.components.test_user_data import told
from tests.unit.control_plane.conftest import PROJECT, Noted
from tests.unit.control_plane.problem import problem

INNER: Final = (
    "http://169.254.169.254/latest/meta-data/",
    "https://127.0.0.1:8080",
    "//evil.example/x",
    "s3://other/bucket",
    "evil.example/",
    "evil.example#",
    "a@evil.example",
    "127.0.0.1",
    "169.254.169.254",
    "localhost",
    "file:///etc/passwd",
    "..",
    "../../../sessions",
    "x/../../../sessions",
    "gopher:x",
    "2852039166",
    "0x7f.1",
)
FIELDS: Final = ("model_name", "provider", "region", "instance_type", "market")
TEMPLATE: Final = Values(
    {
        "model": "own/model",
        "weights": "s3://liftoff/models/own-model",
        "provider": "aws",
    }
)


@pytest.fixture
def asked_by_live_prices(state: object) -> Iterator[tuple[TestClient, Noted]]:
    """A server that asks the clouds for prices, which the other tests' does not."""
    opened = Services.open(Settings(PROJECT), Noted)
    headers = {"X-Admin-Token": opened.tokens.issue("launcher", "launch")}
    assert isinstance(opened.workflows, Noted)
    yield TestClient(api.build(opened), headers=headers, raise_server_exceptions=False), opened.workflows
    opened.close()


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The addresses that anything of this process connects to or looks up, but for what other tests have left."""
    found: list[object] = []
    others = set(threading.enumerate()) - {threading.current_thread()}

    def keep(address: object) -> None:
        if threading.current_thread() not in others:
            found.append(address)

    def connect(_self: socket.socket, address: object) -> None:
        keep(address)
        raise ConnectionRefusedError

    def look_up(host: object, *_: object, **__: object) -> list[Any]:
        keep(host)
        raise socket.gaierror

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return found


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", INNER)
def test_what_is_no_name_of_the_catalog_connects_to_nothing(
    asked_by_live_prices: tuple[TestClient, Noted], connected: list[object], field: str, value: str
) -> None:
    client, queue = asked_by_live_prices
    fields = {"model_name": "meta-llama/Llama-3.1-8B-Instruct", field: value}
    assert client.post("/admin/instances/launch", json=fields).status_code == 422
    assert client.get("/admin/offers", params=fields).status_code in {200, 422}
    assert queue.submitted == []
    assert connected == []


@pytest.mark.parametrize("value", INNER)
def test_an_id_is_looked_up_in_the_database_alone(
    asked_by_live_prices: tuple[TestClient, Noted], connected: list[object], value: str
) -> None:
    client, _ = asked_by_live_prices
    for path in ("status", "logs", "events", "cancel", "destroy"):
        method = "POST" if path in {"cancel", "destroy"} else "GET"
        answer = client.request(method, f"/admin/instances/{path}", params={"job_id": value})
        assert answer.status_code in {404, 422}
    assert connected == []


def test_a_launch_has_no_field_for_an_address(client: TestClient) -> None:
    for field in ("endpoint", "storage_endpoint", "storageEndpoint", "weights", "url", "callback", "image", "config"):
        answer = client.post("/admin/instances/launch", json={"model_name": "tiny-llama", field: INNER[0]})
        assert problem(answer, 422, "invalid")["errors"][0]["field"] == field


_NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._/-]{0,80}\Z") | st.sampled_from(
    [model.name for model in catalog.models()] + ["own/model", "a/..", "a/../..", "a//", "a/b/"]
)


@given(
    name=_NAMES,
    provider=st.sampled_from(["aws", "azure", "gcp", "local", None]),
    length=st.none() | st.integers(1, 10_000),
    hours=st.none() | st.floats(0.2, 700),
)
def test_a_launch_sets_what_is_served_and_never_where_it_comes_from(
    name: str, provider: Any, length: int | None, hours: float | None
) -> None:
    asked = LaunchAsked(model_name=name, provider=provider, max_model_len=length, lifetime_hours=hours)
    config = asked.config(TEMPLATE)
    assert set(config) <= {"model", "weights", "maxModelLen", "lifetimeSeconds", "provider"}
    assert urlsplit(config["weights"])[:2] == ("s3", "liftoff")


def test_weights_of_every_model_of_the_catalog_lie_beside_the_templates_own() -> None:
    for model in catalog.models():
        bucket, prefix = split_uri(weights_of(model.name, TEMPLATE))
        assert bucket == "liftoff"
        assert prefix.startswith("models/")
        assert ".." not in prefix


@pytest.mark.parametrize(
    "endpoint", ["http://169.254.169.254/", "ftp://x", "https://", "169.254.169.254", "file:///etc/passwd", "https:/x"]
)
def test_storage_is_reached_over_https_alone(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="must be an https:// URL"):
        Storage(endpoint=endpoint, bucket="liftoff", access_key_id="a", secret_access_key="s")


@pytest.mark.parametrize("endpoint", ["http://203.0.113.7", "file:///etc/passwd", "203.0.113.7"])
def test_a_node_is_reached_over_https_alone(endpoint: str) -> None:
    with pytest.raises(ValidationError, match=r"https"):
        ReadinessInputs.model_validate({"endpoint": endpoint})


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "file:///etc/passwd", "ftp://x/y"])
@pytest.mark.parametrize("field", ["mailbox_url", "session_url"])
def test_a_node_reaches_its_storage_over_https_alone(tmp_path: Any, url: str, field: str) -> None:
    path = tmp_path / "boot.json"
    path.write_text(told(**{field: url}).model_dump_json().replace("{", '{"version": 1, ', 1))
    with pytest.raises(BootFailed, match=f"{field}: allowed: an https:// URL"):
        node_settings.load(path)


@pytest.mark.parametrize("unit", [node_services.vllm_unit(["/bin/true"]), node_services.proxy_unit()])
def test_who_makes_vllm_fetch_a_url_does_not_reach_the_clouds_metadata(unit: str) -> None:
    """vLLM fetches what a chat names as an image; user data, and an identity at Azure, are behind these addresses."""
    (denied,) = [line.partition("=")[2].split() for line in unit.splitlines() if line.startswith("IPAddressDeny=")]
    assert set(denied) == {"169.254.0.0/16", "fd00:ec2::254", "fd20:ce::254", "168.63.129.16"}
    assert "IPAddressAllow" not in unit
