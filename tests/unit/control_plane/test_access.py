"""Who may ask what."""

import hmac
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from control_plane.api.guesses import Guesses
from control_plane.services import Services
from control_plane.store import tokens
from control_plane.token_commands import app as token_app
from tests.unit.control_plane.problem import problem
from tests.unit.control_plane.story import Story

OPEN = {"GET /healthz", "GET /readyz", "POST /session", "DELETE /session"}
"""What may be asked without a token; the page itself, which holds nothing, aside."""
LOOK = {
    "GET /session",
    "GET /admin/catalog",
    "GET /admin/check",
    "GET /admin/instances",
    "GET /admin/instances/events",
    "GET /admin/instances/logs",
    "GET /admin/instances/status",
    "GET /admin/nodes",
    "GET /admin/nodes/{node_id}",
    "GET /admin/offers",
    "GET /export/litellm",
    "GET /export/prometheus",
    "GET /export/vllm-router",
    "GET /metrics",
}
CHANGE = {
    "DELETE /admin/nodes/{node_id}",
    "GET /admin/nodes/{node_id}/access",
    "POST /admin/instances/cancel",
    "POST /admin/instances/destroy",
    "POST /admin/instances/launch",
}
CLOSED = sorted(LOOK | CHANGE)


def _ask(client: TestClient, route: str, **more: Any) -> Any:
    method, path = route.split()
    path = path.replace("{node_id}", "node-of-launch-1")
    query = {"job_id": "launch-1"} if path.startswith("/admin/instances/") and not path.endswith("/launch") else {}
    return client.request(method, path, params=query, **more)


def test_every_route_is_in_one_of_the_tables(app: FastAPI) -> None:
    document = app.openapi()["paths"]
    found = {f"{method.upper()} {path}" for path, methods in document.items() for method in methods}
    assert found == OPEN | LOOK | CHANGE


def test_a_route_that_the_document_hides_is_the_pages(app: FastAPI) -> None:
    hidden = {route.path for route in app.routes if isinstance(route, APIRoute) and not route.include_in_schema}
    assert hidden == {"/", "/assets/{name}", "/launch", "/launch/{job_id}", "/launches", "/nodes", "/nodes/{node_id}"}


@pytest.mark.parametrize("route", CLOSED)
def test_without_a_token_nothing_is_answered(anybody: TestClient, route: str) -> None:
    found = problem(_ask(anybody, route), 401, "token_missing")
    assert found["title"] == "unauthorized"
    assert "X-Admin-Token" in found["hint"]


@pytest.mark.parametrize("route", CLOSED)
@pytest.mark.parametrize("token", ["lo_wrong", "ö", "a" * 5000])
def test_a_wrong_token_opens_nothing_and_is_not_repeated(anybody: TestClient, route: str, token: str) -> None:
    answer = _ask(anybody, route, headers={"X-Admin-Token": token.encode("latin-1")})
    problem(answer, 401, "token_unknown")
    assert answer.json()["detail"] == "the token is not known, or was revoked"


@pytest.mark.parametrize("route", CLOSED)
def test_a_revoked_token_opens_nothing(anybody: TestClient, services: Services, route: str) -> None:
    token = services.tokens.issue("lost", "launch")
    services.tokens.revoke("lost")
    problem(_ask(anybody, route, headers={"X-Admin-Token": token}), 401, "token_unknown")


@pytest.mark.parametrize("route", sorted(CHANGE))
def test_a_token_that_may_look_changes_nothing(
    reader: TestClient, services: Services, story: Story, route: str
) -> None:
    launch_id = story.succeeded()
    before = services.launches.get(launch_id), services.nodes.of_launch(launch_id)
    found = problem(_ask(reader, route), 403, "scope_missing")
    assert "'reader' may only look" in found["detail"]
    assert "--scope launch" in found["hint"]
    assert (services.launches.get(launch_id), services.nodes.of_launch(launch_id)) == before
    assert len(services.launches.page(None, 10, None)) == 1


@pytest.mark.parametrize("route", sorted(LOOK - {"GET /admin/check", "GET /admin/offers"}))
def test_a_token_that_may_look_sees_everything_but_keys(reader: TestClient, story: Story, route: str) -> None:
    story.succeeded()
    assert _ask(reader, route).status_code == 200


@pytest.mark.parametrize("route", sorted(OPEN - {"POST /session"}))
def test_what_is_open_needs_no_token(anybody: TestClient, route: str) -> None:
    assert _ask(anybody, route).is_success


def test_the_page_signs_in_by_a_cookie_that_scripts_cannot_read(anybody: TestClient, services: Services) -> None:
    token = services.tokens.issue("my-laptop", "launch")
    answer = anybody.post("/session", json={"token": token})
    assert (answer.status_code, answer.content) == (204, b"")
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert anybody.get("/session").json() == {"name": "my-laptop", "scopes": ["launch", "read"]}
    assert anybody.get("/admin/nodes").status_code == 200
    anybody.delete("/session")
    problem(anybody.get("/session"), 401, "token_missing")


def test_two_servers_on_one_host_do_not_sign_each_other_out(app: FastAPI, services: Services) -> None:
    # Browsers keep cookies by host, whatever the port.
    one, other = (TestClient(app, base_url=f"http://host:{port}") for port in (3000, 3001))
    one.post("/session", json={"token": services.tokens.issue("one", "launch")})
    other.cookies = one.cookies
    other.post("/session", json={"token": services.tokens.issue("other", "launch")})
    assert other.get("/session").json()["name"] == "other"
    one.cookies = other.cookies
    assert one.get("/session").json()["name"] == "one"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://testserver:8000"},
        {"Origin": "null"},
    ],
)
def test_another_sites_page_changes_nothing_with_the_cookie(
    anybody: TestClient, services: Services, story: Story, headers: dict[str, str]
) -> None:
    launch_id = story.running()
    anybody.post("/session", json={"token": services.tokens.issue("my-laptop", "launch")})
    path = f"/admin/instances/cancel?job_id={launch_id}"
    problem(anybody.post(path, headers=headers), 403, "other_site")
    assert services.launches.get(launch_id).status == "running"
    own = {"Sec-Fetch-Site": "same-origin"} if "Sec-Fetch-Site" in headers else {"Origin": "http://testserver"}
    assert anybody.post(path, headers=own).status_code == 202


def test_no_token_stands_in_the_database(client: TestClient, services: Services, state: Path) -> None:
    token = str(client.headers["X-Admin-Token"])
    assert client.get("/session").status_code == 200
    services.close()
    found = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"launcher" in found
    assert token.encode() not in found
    assert token.removeprefix(tokens.PREFIX).encode() not in found


def test_tokens_are_compared_in_a_time_that_tells_nothing(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two", "three"):
        services.tokens.issue(name, "read")
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert services.tokens.find("lo_wrong") is None
    # All of them, whichever is right.
    assert len(compared) == 3
    assert "==" not in inspect.getsource(services.tokens.find).split("hmac")[1]


def test_too_many_wrong_tokens_from_one_address_have_to_wait(app: FastAPI, services: Services) -> None:
    now = [1000.0]
    app.state.guesses = Guesses(most=5, clock=lambda: now[0])
    guesser, other = TestClient(app, client=("203.0.113.1", 1)), TestClient(app, client=("203.0.113.2", 1))
    for number in range(5):
        problem(guesser.get("/session", headers={"X-Admin-Token": f"lo_{number}"}), 401, "token_unknown")
        now[0] += 1
    right = services.tokens.issue("right", "read")
    answer = guesser.get("/session", headers={"X-Admin-Token": right})
    found = problem(answer, 429, "too_many_wrong_tokens")
    assert found["title"] == "throttled"
    assert answer.headers["retry-after"] == "55"
    problem(guesser.post("/session", json={"token": right}), 429, "too_many_wrong_tokens")
    assert other.get("/session", headers={"X-Admin-Token": right}).status_code == 200
    now[0] += 55
    assert guesser.get("/session", headers={"X-Admin-Token": right}).status_code == 200


def test_going_on_with_one_revoked_token_locks_nobody_out(app: FastAPI, services: Services) -> None:
    client = TestClient(app)
    for _ in range(100):
        assert client.get("/session", headers={"X-Admin-Token": "lo_revoked"}).status_code == 401
    right = services.tokens.issue("right", "read")
    assert client.get("/session", headers={"X-Admin-Token": right}).status_code == 200


def test_the_sign_in_never_repeats_what_was_given(anybody: TestClient) -> None:
    for given in ("lo_secretsecret ", "ö" * 10, "lo_" + "s" * 500, 17, ["lo_secret"], {"a": "lo_secret"}):
        answer = anybody.post("/session", json={"token": given})
        found = problem(answer, 422, "invalid")
        assert "secret" not in answer.text
        assert found["errors"][0]["field"] == "token"
        assert found["errors"][0]["given"] is None


def test_tokens_are_made_listed_and_revoked_by_command(anybody: TestClient, state: Path) -> None:
    def run(*arguments: str, code: int = 0) -> list[Any]:
        done = CliRunner().invoke(token_app, [*arguments, "--json"])
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    (made,) = run("create", "wall-screen", "--scope", "read")
    assert anybody.get("/session", headers={"X-Admin-Token": made["token"]}).json()["name"] == "wall-screen"
    listed = [one for one in run("list") if one["name"] == "wall-screen"]
    assert [(one["scope"], one["revoked_at"]) for one in listed] == [("read", None)]
    assert made["token"] not in json.dumps(listed)
    assert run("revoke", "wall-screen") == [{"name": "wall-screen", "revoked": 1}]
    problem(anybody.get("/session", headers={"X-Admin-Token": made["token"]}), 401, "token_unknown")
    assert next(one for one in run("list") if one["name"] == "wall-screen")["revoked_at"] is not None
    run("revoke", "wall-screen", code=13)
