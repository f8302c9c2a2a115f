"""What can't be launched: each refusal names the field, what was given and what is allowed."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from components import catalog
from control_plane.services import Services
from tests.unit.control_plane.problem import problem, wrong
from tests.unit.control_plane.story import MODEL


def _launch(client: TestClient, **fields: Any) -> Any:
    return client.post("/admin/instances/launch", json={"model_name": MODEL, **fields})


@pytest.mark.parametrize(
    ("fields", "code", "field", "allowed"),
    [
        ({"model_name": "llama-3.1-8b"}, "not_in_catalog", "model_name", f"nearest: {MODEL}"),
        ({"model_name": "zzzzzz"}, "not_in_catalog", "model_name", "GET /admin/catalog lists all"),
        ({"region": "eastuss"}, "not_in_catalog", "region", "nearest: eastus"),
        ({"provider": "aws", "region": "eastus"}, "not_in_catalog", "region", "us-east-"),
        ({"instance_type": "g6.xlarg"}, "not_in_catalog", "instance_type", "g6.xlarge"),
        ({"provider": "gcp", "instance_type": "g6.xlarge"}, "not_in_catalog", "instance_type", "a2-highgpu-1g"),
        ({"instance_type": "g6.xlarge", "region": "eastus"}, "region_lacks_type", "region", "that sells g6.xlarge: "),
        ({"instance_type": "g4dn.xlarge"}, "does_not_fit", "instance_type", "cheapest first: "),
        ({"max_price": 0.0001}, "max_price_too_low", "max_price", " USD/hour or more"),
        ({"max_model_len": 99_999_999}, "does_not_fit", "max_model_len", "1 to 131072 tokens"),
        ({"provider": "local", "region": "eastus"}, "local_has_no_places", "region", "nothing, since the provider"),
        ({"provider": "local", "instance_type": "a"}, "local_has_no_places", "instance_type", "nothing, since"),
        ({"provider": "local"}, "not_on_this_host", "model_name", "tiny-llama, since the provider is local"),
        (
            {"model_name": "tiny-llama", "max_model_len": 513},
            "does_not_fit",
            "max_model_len",
            "at most 512 tokens, since tiny-llama",
        ),
    ],
)
def test_what_the_catalog_does_not_allow(
    client: TestClient, services: Services, fields: dict[str, Any], code: str, field: str, allowed: str
) -> None:
    found = wrong(_launch(client, **fields), code, field)
    given = {"model_name": MODEL, **fields}[field]
    assert found["given"] == given
    assert allowed in found["allowed"]
    assert services.launches.page(None, 10, None) == []


def test_the_price_that_is_named_as_enough_is_enough(client: TestClient) -> None:
    found = wrong(_launch(client, max_price=0.0001), "max_price_too_low", "max_price")
    least = float(found["allowed"].split()[0])
    assert _launch(client, max_price=least).status_code == 202
    assert _launch(client, max_price=least - 0.002).status_code == 422


def test_a_model_that_fits_no_machine(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    smallest = min(catalog.instance_types(), key=lambda kind: catalog.gpu(kind.gpu).memory_mib * kind.gpu_count)
    monkeypatch.setattr(catalog, "instance_types", lambda *_: [smallest])
    largest = max(catalog.models(), key=lambda model: model.parameters)
    found = wrong(_launch(client, model_name=largest.name), "does_not_fit", "model_name")
    assert "a model that some machine fits" in found["allowed"]
    assert smallest.name in found["allowed"]


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [
        ({"regoin": "eastus"}, "regoin", "no such field; there are model_name, provider, region"),
        ({"model_name": None}, "model_name", "text"),
        ({"model_name": ""}, "model_name", "text that is not empty"),
        ({"model_name": "a b"}, "model_name", "letters, digits and . _ / -"),
        ({"model_name": "a\x00"}, "model_name", "letters, digits"),
        ({"model_name": "a" * 201}, "model_name", "at most 200 characters"),
        ({"provider": "hetzner"}, "provider", "one of 'aws', 'azure', 'gcp' or 'local'"),
        ({"market": "cheap"}, "market", "one of 'spot', 'on-demand' or 'auto'"),
        ({"max_price": "1"}, "max_price", "a number"),
        ({"max_price": True}, "max_price", "a number"),
        ({"max_price": 0}, "max_price", "a number above 0"),
        ({"max_price": 1e300}, "max_price", "at most 10 000"),
        ({"max_model_len": 1.5}, "max_model_len", "a whole number"),
        ({"max_model_len": 10**40}, "max_model_len", "at most 100 000 000"),
        ({"idle_minutes": -1}, "idle_minutes", "a number above 0"),
        ({"lifetime_hours": 0}, "lifetime_hours", "a number above 0"),
        ({"keep": "yes"}, "keep", "true or false"),
        ({"keep": 1}, "keep", "true or false"),
    ],
)
def test_what_is_of_the_wrong_form(client: TestClient, fields: dict[str, Any], field: str, allowed: str) -> None:
    found = wrong(_launch(client, **fields), "invalid", field)
    assert allowed in found["allowed"]


@pytest.mark.parametrize("body", ["", "{", "[]", "17", "null", '"text"'])
def test_a_body_that_is_no_object(client: TestClient, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    found = problem(client.post("/admin/instances/launch", content=body, headers=headers), 422, "invalid")
    assert found["errors"][0]["field"] == "the request's body"
    assert found["errors"][0]["allowed"] in {"a JSON object", "a value; it may not be left out"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model_name": "\\ud800"}',
        b'{"model_name": "a", "max_price": NaN}',
        b'{"model_name": "a", "max_price": -Infinity}',
        b'{"model_name": "a", "max_price": 1e999}',
    ],
)
def test_values_that_json_can_hold_and_an_answer_cannot(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem(client.post("/admin/instances/launch", content=body, headers=headers), 422, "invalid")


@pytest.mark.parametrize("body", [b'{"model_name": "\xff"}', b'{"model_name": ' + b"9" * 5000 + b"}"])
def test_a_body_that_cannot_be_read(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem(client.post("/admin/instances/launch", content=body, headers=headers), 400, "bad_request")


def test_all_fields_of_a_wrong_form_are_named_at_once(client: TestClient) -> None:
    found = problem(_launch(client, provider="x", keep="x"), 422, "invalid")
    assert [one["field"] for one in found["errors"]] == ["provider", "keep"]


def test_no_key_is_repeated(client: TestClient) -> None:
    key = "sk-liftoff-0123456789abcdef"
    for fields in ({"model_name": key}, {"provider": key}, {"region": f"x {key}"}):
        answer = _launch(client, **fields)
        assert answer.status_code == 422
        assert key not in answer.text
        assert str(client.headers["X-Admin-Token"]) not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/instances/status"),
        ("GET", "/admin/instances/events"),
        ("GET", "/admin/instances/logs"),
        ("POST", "/admin/instances/cancel"),
        ("POST", "/admin/instances/destroy"),
    ],
)
def test_a_launch_that_is_not_known(client: TestClient, method: str, path: str) -> None:
    found = problem(client.request(method, path, params={"job_id": "launch-x"}), 404, "launch_unknown")
    assert found["errors"] == [{"field": "job_id", "given": "launch-x", "allowed": "the id of a launch"}]
    assert found["hint"] == "list them: GET /admin/instances"
    for odd in ("", "a\x00b", "../x", "a" * 201):
        wrong(client.request(method, path, params={"job_id": odd}), "invalid", "job_id")
    assert wrong(client.request(method, path), "invalid", "job_id")["allowed"] == "a value; it may not be left out"


@pytest.mark.parametrize(("method", "more"), [("GET", ""), ("GET", "/access"), ("DELETE", "")])
def test_a_node_that_is_not_known(client: TestClient, method: str, more: str) -> None:
    found = problem(client.request(method, f"/admin/nodes/node-x{more}"), 404, "node_unknown")
    assert found["errors"] == [{"field": "node_id", "given": "node-x", "allowed": "the id of a node"}]
    wrong(client.request(method, f"/admin/nodes/a%00b{more}"), "invalid", "node_id")


@pytest.mark.parametrize("field", ["model_name", "region", "instance_type", "gpu"])
def test_offers_of_names_that_are_not_known(client: TestClient, field: str) -> None:
    found = wrong(client.get("/admin/offers", params={"model_name": MODEL, field: "zzz"}), "not_in_catalog", field)
    assert found["given"] == "zzz"
    assert found["allowed"].startswith("one that the catalog has")


def test_another_method_than_the_address_has(client: TestClient) -> None:
    answer = client.put("/admin/nodes/node-x")
    assert problem(answer, 405, "method_not_allowed")["title"] == "not_allowed"
    assert answer.headers["allow"] == "DELETE, GET"


def test_an_address_that_is_not_there(client: TestClient) -> None:
    problem(client.get("/admin/nothing"), 404, "not_found")


def test_a_failure_of_the_server_says_nothing_of_its_inside(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("postgresql://user:password@host")

    monkeypatch.setattr(type(services.nodes), "all", fail)
    answer = client.get("/admin/nodes")
    problem(answer, 500, "internal")
    assert "password" not in answer.text
