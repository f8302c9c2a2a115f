"""Tokens and keys get into no log, no event, no error, no row and no list of processes."""

import io
import json
import logging
import os
import pty
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from automation.journal import redact
from control_plane.probe import Probe
from control_plane.serve_command import _server
from control_plane.store.tokens import PREFIX
from tests.page.scripted_server import free_port
from tests.unit.command_line.workplace import Workplace, until
from tests.unit.control_plane.story import MODEL

from .hostile_node import answering, listening, pair

ROOT = Path(__file__).parents[2]
NODE_KEY = "sk-liftoff-0123456789abcdef0123456789abcdef"
_START_SECONDS = 60.0


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """What all loggers of this process say, at the finest level that they have."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    names = [*logging.root.manager.loggerDict, "uvicorn", "uvicorn.access", "uvicorn.error", "sqlalchemy.engine"]
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in names}
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    for name in names:
        logging.getLogger(name).setLevel(1)
        logging.getLogger(name).propagate = True
    yield said
    for name, (old, propagate) in before.items():
        logging.getLogger(name).setLevel(old)
        logging.getLogger(name).propagate = propagate
    root.setLevel(level)
    root.removeHandler(handler)


def test_a_token_is_in_no_log_even_if_everything_is_logged(
    workplace_at_debug: Workplace, everything_logged: io.StringIO
) -> None:
    # What the client of this test logs is not the server's.
    for name in ("httpcore", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in logging.root.manager.loggerDict:
        if name.startswith("httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
    workplace, token = workplace_at_debug, workplace_at_debug.token
    with httpx.Client(base_url=workplace.api.url, headers={"X-Admin-Token": token}, trust_env=False) as client:
        job_id = client.post("/admin/instances/launch", json={"model_name": MODEL}).json()["job_id"]
        for path in ("/session", "/admin/nodes", "/metrics", f"/admin/instances/status?job_id={job_id}", "/nothing"):
            client.get(path)
    with httpx.Client(base_url=workplace.api.url, trust_env=False) as browser:
        assert browser.post("/session", json={"token": token}).status_code == 204
        assert browser.get("/session").status_code == 200
        browser.post("/session", json={"token": f"{token}x"})
        browser.get("/session", headers={"X-Admin-Token": f"{token}y"})
        browser.post("/session", content=f'{{"token": "{token}"')
    said = everything_logged.getvalue()
    # Requests, statements and their parameters are in it.
    assert '"POST /session HTTP/1.1" 204' in said
    assert "FROM tokens" in said
    assert job_id in said
    assert token not in said
    assert token.removeprefix("lo_") not in said


class _Loud(uvicorn.Config):
    """Logs each request and each message, which Liftoff's own server does not."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "log_level": "trace", "access_log": True, "log_config": None})


def test_a_nodes_key_is_in_no_log_of_who_asks_it(tmp_path: Path, everything_logged: io.StringIO) -> None:
    own = pair()
    with listening(tmp_path, own, answering("200 OK", b"")) as node:
        assert Probe(node.url, own.certificate, NODE_KEY).ask().problem == ""
        assert NODE_KEY.encode() in node.requests[0]
    assert "/health" in everything_logged.getvalue()
    assert NODE_KEY not in everything_logged.getvalue()


@pytest.fixture
def workplace_at_debug(
    tmp_path: Path, everything_logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    made = Workplace(tmp_path)
    monkeypatch.setattr(uvicorn, "Config", _Loud)
    made.api.start()
    yield made
    made.api.stop()
    made.database.close()


def test_the_server_logs_no_request_since_a_url_may_hold_what_somebody_pasted(app: FastAPI) -> None:
    config = _server(app, "127.0.0.1", 1, []).config
    assert config.access_log is False
    assert config.server_header is False
    assert config.log_level == "warning"


def test_no_event_no_error_and_no_trace_tells_a_key() -> None:
    """What a cloud or a node says goes through one place before it is kept."""
    url = "https://b/o?X-Amz-Credential=AKIAEXAMPLE%2F1&X-Amz-Signature=0123456789abcdef"
    token = PREFIX + secrets.token_urlsafe(32)
    for text in (NODE_KEY, token, f"Authorization: Bearer {NODE_KEY}", url, "-----BEGIN PRIVATE KEY-----\nMIIabc"):
        hidden = redact(f"it failed: {text} and more")
        assert "[secret]" in hidden
        for part in (NODE_KEY, token, "AKIAEXAMPLE", "0123456789abcdef", "MIIabc"):
            assert part not in hidden


def _serve(folder: Path, stdout: int) -> "subprocess.Popen[bytes]":
    own = {f"LIFTOFF_{name}": str(folder / name) for name in ("STATE", "KEYS")}
    ports = ("--port", str(free_port()), "--page-port", str(free_port()))
    return subprocess.Popen(
        [sys.executable, "-m", "automation", "serve", "--catalog-prices", *ports],
        cwd=ROOT,
        env={**os.environ, **own, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
    )


def test_a_service_writes_no_token_into_its_log_and_a_person_is_shown_one_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        served = _serve(tmp_path, file.fileno())
        try:
            until(lambda: served.poll() is not None or b"Nobody has a token yet" in log.read_bytes())
        finally:
            served.send_signal(signal.SIGTERM)
            served.wait(_START_SECONDS)
    assert b"liftoff token create NAME --scope launch" in log.read_bytes()
    assert b"lo_" not in log.read_bytes()
    first, again = _at_a_terminal(tmp_path), _at_a_terminal(tmp_path)
    assert first.count("#token=lo_") == 1
    assert "lo_" not in again


def _at_a_terminal(folder: Path) -> str:
    """Return what a person sees of a start."""
    ours, theirs = pty.openpty()
    served = _serve(folder, theirs)
    os.close(theirs)
    seen = b""
    limit = time.monotonic() + _START_SECONDS
    try:
        while not (b"Page: " in seen and seen.endswith(b"\n")):
            assert time.monotonic() < limit, seen
            if select.select([ours], [], [], 0.2)[0]:
                seen += os.read(ours, 4096)
    finally:
        served.send_signal(signal.SIGTERM)
        served.wait(_START_SECONDS)
        os.close(ours)
    return seen.decode()


def test_where_it_listens_is_told_to_programs_without_a_token(tmp_path: Path) -> None:
    own = {f"LIFTOFF_{name}": str(tmp_path / name) for name in ("STATE", "KEYS")}
    ports = ("--port", str(free_port()), "--page-port", str(free_port()))
    with subprocess.Popen(
        [sys.executable, "-m", "automation", "serve", "--json", "--catalog-prices", *ports],
        cwd=ROOT,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as served:
        assert served.stdout is not None
        told = json.loads(served.stdout.readline())
        served.send_signal(signal.SIGTERM)
    assert (told["type"], told["has_token"]) == ("serving", False)
    assert "lo_" not in json.dumps(told)
