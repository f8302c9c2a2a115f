"""How often and how much anybody may ask, and what every answer tells a browser."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from automation.errors import Stopped
from control_plane.api import app as api
from control_plane.api import bodies
from control_plane.api.guesses import Guesses
from control_plane.api.rates import Rates
from control_plane.client import Server
from control_plane.services import Services, Settings
from tests.unit.command_line.workplace import Workplace
from tests.unit.control_plane.conftest import PROJECT, Noted
from tests.unit.control_plane.problem import problem

TOO_LONG = bodies.MOST_BYTES + 1
JSON = {"Content-Type": "application/json"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_callers_bucket_holds_a_minutes_worth_and_refills_evenly(clock: Clock) -> None:
    rates = Rates(6, clock)
    assert [rates.take("a") for _ in range(6)] == [0.0] * 6
    assert rates.take("a") == pytest.approx(10)
    assert rates.take("b") == 0.0
    clock.now += 9
    assert rates.take("a") == pytest.approx(1)
    clock.now += 1
    assert rates.take("a") == 0.0
    assert rates.take("a") > 0
    clock.now += 3600
    assert [rates.take("a") for _ in range(6)] == [0.0] * 6
    assert rates.take("a") > 0


def test_however_many_callers_there_are_memory_is_not(clock: Clock) -> None:
    rates = Rates(6, clock)
    for number in range(30_000):
        rates.take(str(number))
    assert len(rates._full_at) == 10_000


def test_a_token_that_asks_too_often_has_to_wait_and_no_other(app: FastAPI, services: Services, clock: Clock) -> None:
    app.state.token_rates = Rates(5, clock)
    client = TestClient(app)
    greedy, other = (services.tokens.issue(name, "read") for name in ("greedy", "other"))
    for _ in range(5):
        assert client.get("/session", headers={"X-Admin-Token": greedy}).status_code == 200
    answer = client.get("/admin/nodes", headers={"X-Admin-Token": greedy})
    found = problem(answer, 429, "too_many_requests")
    assert (found["title"], found["detail"]) == ("throttled", "too many requests came from token 'greedy'")
    assert (answer.headers["retry-after"], found["hint"]) == ("12", "wait 12 s")
    assert greedy not in answer.text
    problem(client.post("/session", json={"token": greedy}), 429, "too_many_requests")
    assert client.get("/session", headers={"X-Admin-Token": other}).status_code == 200
    clock.now += 12
    assert client.get("/session", headers={"X-Admin-Token": greedy}).status_code == 200


def test_an_address_that_asks_too_often_has_to_wait_whatever_it_asks_for(app: FastAPI, clock: Clock) -> None:
    app.state.address_rates = Rates(3, clock)
    greedy, other = TestClient(app, client=("203.0.113.1", 1)), TestClient(app, client=("203.0.113.2", 1))
    for path in ("/readyz", "/launch", "/nothing"):
        assert greedy.get(path).status_code != 429
    for path in ("/readyz", "/launch", "/admin/nodes", "/openapi.json", "/nothing"):
        answer = greedy.get(path)
        problem(answer, 429, "too_many_requests")
        assert answer.headers["retry-after"] == "20"
        assert answer.headers["x-content-type-options"] == "nosniff"
    # Whatever restarts the server when this fails must not do so.
    assert greedy.get("/healthz").status_code == 200
    assert other.get("/readyz").status_code == 200


def test_an_ipv6_network_is_one_caller_since_its_addresses_are_the_callers_to_choose(
    app: FastAPI, services: Services, clock: Clock
) -> None:
    app.state.address_rates = Rates(2, clock)
    app.state.guesses = Guesses(most=2, clock=clock)
    for end in ("1", "ffff:ffff:ffff:ffff"):
        client = TestClient(app, client=(f"2001:db8:0:7::{end}" if end == "1" else f"2001:db8:0:7:{end}", 1))
        problem(client.get("/session", headers={"X-Admin-Token": f"lo_{end}"}), 401, "token_unknown")
    third = TestClient(app, client=("2001:db8:0:7::3", 1))
    problem(third.get("/readyz"), 429, "too_many_requests")
    app.state.address_rates = Rates(0)
    right = services.tokens.issue("right", "read")
    problem(third.get("/session", headers={"X-Admin-Token": right}), 429, "too_many_wrong_tokens")
    neighbour = TestClient(app, client=("2001:db8:0:8::1", 1))
    assert neighbour.get("/session", headers={"X-Admin-Token": right}).status_code == 200


def test_an_ipv4_address_is_the_same_caller_however_it_is_written(app: FastAPI, clock: Clock) -> None:
    app.state.address_rates = Rates(1, clock)
    assert TestClient(app, client=("203.0.113.1", 1)).get("/readyz").status_code == 200
    problem(TestClient(app, client=("::ffff:203.0.113.1", 1)).get("/readyz"), 429, "too_many_requests")


def test_the_limits_are_settings_of_the_server(state: object) -> None:
    opened = Services.open(Settings(PROJECT, catalog_only=True, token_rate=2, address_rate=4), Noted)
    client = TestClient(api.build(opened), headers={"X-Admin-Token": opened.tokens.issue("one", "read")})
    answers = [client.get("/session") for _ in range(5)]
    opened.close()
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429]
    assert answers[3].json()["detail"] == "too many requests came from token 'one'"
    assert answers[4].json()["detail"] == "too many requests came from testclient"


def test_no_limit_is_a_setting(app: FastAPI, client: TestClient) -> None:
    app.state.token_rates = app.state.address_rates = Rates(0)
    assert {client.get("/session").status_code for _ in range(300)} == {200}


@pytest.fixture
def workplace(tmp_path: Any) -> Iterator[Workplace]:
    made = Workplace(tmp_path)
    made.api.start()
    yield made
    made.api.stop()
    made.database.close()


def test_a_command_whose_token_asks_too_often_waits_and_goes_on(workplace: Workplace) -> None:
    workplace.api.app.state.token_rates = Rates(60)
    with Server(workplace.api.url, workplace.token) as server:
        for _ in range(61):
            assert server.nodes(None) == []
    workplace.api.app.state.token_rates = Rates(1)
    with Server(workplace.api.url, workplace.token, again_seconds=0.5) as impatient:
        impatient.nodes(None)
        with pytest.raises(Stopped, match="too many requests came from token") as caught:
            impatient.nodes(None)
    assert caught.value.code == "server_silent"


@pytest.mark.parametrize("path", ["/session", "/admin/instances/launch", "/admin/nodes", "/nothing"])
def test_a_body_that_is_longer_than_any_route_needs_is_refused(anybody: TestClient, path: str) -> None:
    answer = anybody.request("POST", path, content=b" " * TOO_LONG, headers=JSON)
    found = problem(answer, 413, "body_too_long")
    assert (found["title"], str(bodies.MOST_BYTES) in found["detail"]) == ("configuration", True)
    assert answer.headers["connection"] == "close"


def test_a_body_of_just_the_allowed_length_is_read(anybody: TestClient) -> None:
    whole = b'{"token": "lo_unknown"}'.ljust(bodies.MOST_BYTES)
    problem(anybody.post("/session", content=whole, headers=JSON), 401, "token_unknown")


def test_a_body_whose_length_is_not_announced_is_refused_as_soon_as_it_is_too_long(workplace: Workplace) -> None:
    """Over a real connection: the server answers while an endless body still comes."""
    head = "POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", workplace.api.port), timeout=20) as connection:
        connection.sendall(head.encode())
        for _ in range(bodies.MOST_BYTES // 1024 + 1):
            connection.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
        answer = b""
        while b"body_too_long" not in answer:
            part = connection.recv(4096)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


def test_a_body_is_announced_as_too_long_before_it_is_sent(workplace: Workplace) -> None:
    head = f"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", workplace.api.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_pieces_is_read_whole(workplace: Workplace) -> None:
    pieces = [b'{"token": "', workplace.token.encode(), b'"}']
    with httpx.Client(base_url=workplace.api.url, trust_env=False) as client:
        assert client.post("/session", content=iter(pieces), headers=JSON).status_code == 204


@pytest.mark.parametrize("path", ["/healthz", "/admin/nodes", "/launch", "/assets/app.js", "/nothing", "/openapi.json"])
def test_every_answer_tells_browsers_to_do_nothing_else_with_it(anybody: TestClient, path: str) -> None:
    headers = anybody.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'self'" if path in {"/launch", "/assets/app.js"} else "default-src 'none'")
    assert "access-control-allow-origin" not in headers


def test_an_answer_over_https_says_that_plain_http_is_over(app: FastAPI) -> None:
    assert "strict-transport-security" not in TestClient(app).get("/healthz").headers
    secure = TestClient(app, base_url="https://liftoff.example")
    assert secure.get("/healthz").headers["strict-transport-security"].startswith("max-age=")


def test_a_failure_of_the_server_tells_nothing_of_it_and_has_the_headers_too(
    app: FastAPI, services: Services, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(services.nodes, "all", fails)
    answer = client.get("/admin/nodes")
    problem(answer, 500, "internal")
    assert "hunter2" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
