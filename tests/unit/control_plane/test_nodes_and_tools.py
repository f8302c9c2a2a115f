"""Nodes, what there is to buy, and what other tools read."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from automation import outputs
from automation.checks import survey
from automation.checks.finding import Finding, State
from automation.errors import Kind, Stopped
from control_plane.services import Services
from tests.unit.control_plane.conftest import Noted
from tests.unit.control_plane.problem import problem
from tests.unit.control_plane.story import MODEL, Story

KEY = "sk-liftoff-0123456789abcdef"


@pytest.fixture
def node(story: Story, services: Services) -> str:
    launch_id = story.succeeded()
    services.template.prepare(launch_id)
    return f"node-of-{launch_id}"


def test_a_node_is_told_without_its_key(client: TestClient, node: str) -> None:
    (listed,) = client.get("/admin/nodes").json()["items"]
    found = client.get(f"/admin/nodes/{node}").json()
    # It costs more with every moment.
    assert {**found, "cost_so_far": 0} == {**listed, "cost_so_far": 0}
    assert found["cost_so_far"] == pytest.approx(0.0913, rel=0.01)
    assert (found["instance_type"], found["zone"], found["price_per_hour"]) == ("g6.xlarge", "eus2-az3", 0.0913)
    assert client.get("/admin/nodes", params={"state": "gone"}).json() == {"items": []}


def test_the_access_to_a_node(client: TestClient, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(folder: Path, stack: str, *, show_secrets: bool) -> dict[str, Any]:
        assert (folder.name, show_secrets) == (stack, True)
        return {"apiKey": KEY}

    monkeypatch.setattr(outputs, "read", read)
    answer = client.get(f"/admin/nodes/{node}/access")
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert found["api_key"] == KEY
    assert found["endpoint"] == "https://203.0.113.7"
    for snippet in (found["curl"], found["python"]):
        assert KEY in snippet
        assert "https://203.0.113.7/v1" in snippet
        assert "BEGIN CERTIFICATE" in snippet
    compile(found["python"], "snippet", "exec")


def test_there_is_no_access_to_a_node_that_has_gone(client: TestClient, services: Services, node: str) -> None:
    services.nodes.set_state(node, "gone", "taken down")
    problem(client.get(f"/admin/nodes/{node}/access"), 409, "node_gone")


def test_there_is_no_access_to_a_node_whose_folder_has_gone_already(
    client: TestClient, services: Services, node: str
) -> None:
    services.template.forget(services.nodes.get(node).launch_id)
    problem(client.get(f"/admin/nodes/{node}/access"), 409, "node_gone")


def test_a_stack_that_cannot_be_read_is_the_servers_failure(
    client: TestClient, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise Stopped(Kind.UNKNOWN, "state_unreadable", f"no state; {KEY}", "see what the text says")

    monkeypatch.setattr(outputs, "read", read)
    answer = client.get(f"/admin/nodes/{node}/access")
    problem(answer, 500, "state_unreadable")
    assert KEY not in answer.text


def test_terminating_a_node_asks_for_its_take_down(client: TestClient, queue: Noted, node: str) -> None:
    answer = client.delete(f"/admin/nodes/{node}")
    assert (answer.status_code, answer.json()["state"]) == (202, "terminating")
    assert queue.taken_down == ["launch-1"]


def test_terminating_a_node_that_has_gone_does_nothing(
    client: TestClient, services: Services, queue: Noted, node: str
) -> None:
    services.nodes.set_state(node, "gone", "taken down")
    assert client.delete(f"/admin/nodes/{node}").json()["state"] == "gone"
    assert queue.taken_down == []


def test_every_offer_has_what_the_page_shows(client: TestClient) -> None:
    found = client.get("/admin/offers", params={"model_name": MODEL, "market": "auto"}).json()
    assert len(found["offers"]) > 10
    spot = [offer["price"] for offer in found["offers"] if offer["spot"]]
    assert spot == sorted(spot)
    for offer in found["offers"]:
        assert 0 < offer["needed_gib"] <= offer["gpu_memory_gib"]
        assert 0 < offer["max_model_len"] <= 131072
    assert any("g4dn.xlarge: " in why for why in found["refused"])


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ({"provider": "gcp"}, "provider", "gcp"),
        ({"region": "eastus"}, "region", "eastus"),
        ({"instance_type": "g6.xlarge"}, "instance_type", "g6.xlarge"),
        ({"gpu": "L40S"}, "gpu", "L40S"),
        ({"market": "on-demand"}, "spot", False),
    ],
)
def test_offers_of_what_is_asked_for(client: TestClient, query: dict[str, str], name: str, value: object) -> None:
    offers = client.get("/admin/offers", params={"model_name": MODEL, **query}).json()["offers"]
    assert {offer[name] for offer in offers} >= {value}
    assert all(offer[name] == value or str(value) in str(offer[name]) for offer in offers)


def test_offers_at_most_so_dear(client: TestClient) -> None:
    every = client.get("/admin/offers", params={"model_name": MODEL}).json()["offers"]
    limit = every[len(every) // 2]["price"]
    found = client.get("/admin/offers", params={"model_name": MODEL, "max_price": limit}).json()["offers"]
    assert found == [offer for offer in every if offer["price"] <= limit]


def test_the_catalog_has_what_can_be_launched(client: TestClient) -> None:
    found = client.get("/admin/catalog").json()
    assert found["providers"] == ["aws", "azure", "gcp", "local"]
    assert {"tiny-llama", MODEL} <= {model["name"] for model in found["models"]}
    assert {kind["provider"] for kind in found["instance_types"]} == {"aws", "azure", "gcp"}


def test_what_is_lacking_is_told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = (
        Finding("aws", "credentials", State.OK, "account 1234"),
        Finding("gcp", "credentials", State.MISSING, "no credentials", "log in", Kind.CREDENTIALS),
    )
    monkeypatch.setattr(survey, "survey", lambda *_: findings)
    found = client.get("/admin/check").json()
    assert (found["ok"], found["kind"]) == (False, "credentials")
    assert [(one["provider"], one["state"], one["kind"]) for one in found["findings"]] == [
        ("aws", "ok", None),
        ("gcp", "missing", "credentials"),
    ]


def test_metrics_are_prometheus_text(client: TestClient, story: Story) -> None:
    story.queued()
    story.failed()
    story.succeeded()
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    launches = {sample.labels["status"]: sample.value for sample in families["liftoff_launches"].samples}
    assert launches == {"queued": 1, "failed": 1, "succeeded": 1}
    (node,) = families["liftoff_nodes"].samples
    assert (node.labels, node.value) == ({"state": "healthy", "provider": "aws"}, 1)
    (price,) = families["liftoff_usd_per_hour"].samples
    assert price.value == pytest.approx(0.0913)


def test_prometheus_finds_the_nodes(client: TestClient, node: str) -> None:
    answer = client.get("/export/prometheus")
    assert answer.headers["content-type"] == "application/json"
    (group,) = answer.json()
    assert group["targets"] == ["203.0.113.7"]
    assert all(isinstance(value, str) for value in group["labels"].values())
    assert group["labels"]["__scheme__"] == "https"
    assert group["labels"]["node"] == node


def test_litellm_gets_a_model_list_without_keys(client: TestClient, node: str) -> None:
    answer = client.get("/export/litellm")
    assert answer.headers["content-type"] == "application/yaml"
    (model,) = yaml.safe_load(answer.text)["model_list"]
    assert model["model_name"] == MODEL
    assert model["litellm_params"]["api_base"] == "https://203.0.113.7/v1"
    assert model["litellm_params"]["api_key"] == "os.environ/LIFTOFF_NODE_OF_LAUNCH_1"
    assert model["model_info"]["id"] == node


def test_vllm_router_gets_its_backends(client: TestClient, node: str) -> None:
    assert client.get("/export/vllm-router").json() == {
        "service_discovery": "static",
        "static_backends": "https://203.0.113.7",
        "static_models": MODEL,
    }


def test_nothing_is_exported_that_is_not_healthy(client: TestClient, services: Services, node: str) -> None:
    services.nodes.set_state(node, "unhealthy", "silent")
    assert client.get("/export/prometheus").json() == []
    assert yaml.safe_load(client.get("/export/litellm").text) == {"model_list": []}


def test_it_is_alive_without_its_database_but_not_ready(
    anybody: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert anybody.get("/readyz").json() == {"status": "ok"}

    def gone() -> None:
        raise OSError("the disk has gone")

    monkeypatch.setattr(services.database.engine, "connect", gone)
    problem(anybody.get("/readyz"), 503, "database_silent")
    assert anybody.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path", ["/admin/nodes", "/admin/instances", "/session", "/metrics", "/export/litellm", "/admin/nothing"]
)
@pytest.mark.parametrize("has_token", [True, False])
def test_no_answer_of_the_api_is_kept_anywhere(
    client: TestClient, anybody: TestClient, path: str, has_token: bool
) -> None:
    answer = (client if has_token else anybody).get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_stream_of_events_is_not_kept_either(client: TestClient, story: Story) -> None:
    answer = client.get("/admin/instances/events", params={"job_id": story.failed()})
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_keeps_headers_of_its_own(anybody: TestClient) -> None:
    answer = anybody.get("/launch")
    assert answer.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
