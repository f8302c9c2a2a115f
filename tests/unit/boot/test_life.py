"""The boot program as a node runs it, from its first letter to the cloud's notice: real processes, a real nginx.

Only vLLM is another server here: one that answers at once, or when the test says so.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from boot import install, interruption, settings

from provider import certificate
from provider.status import Mailbox as Letter
from tests.clouds.metadata_service import MetadataService, served

from .conftest import Bucket
from .test_serve import KEY, free_port, settings_of

SOURCES = Path(__file__).parents[3] / "cloud-init"
BEARER = {"Authorization": f"Bearer {KEY}"}
WEIGHTS = b"weights"

_VLLM = """#!{python}
import http.server, json, os, pathlib, signal, sys, threading, time
running = 0
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(f"vllm:num_requests_running {{running}}\\nvllm:num_requests_waiting 0\\n".encode())
    def do_POST(self):
        global running
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        running += 1
        while asked["prompt"] == "slow" and not pathlib.Path(os.environ["HOME"], "release").exists():
            time.sleep(0.02)
        self.answer(json.dumps({{"choices": [{{"text": "!"}}]}}).encode())
        running -= 1
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
port = int(sys.argv[sys.argv.index("--port") + 1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
print("Application startup complete", flush=True)
server.serve_forever()
"""
_START = """
import sys
from boot import serve
serve.BACKEND_PORT = int(sys.argv.pop(1))
from boot.__main__ import main
main()
"""


class Node:
    """One node: the boot program with everything that it starts."""

    def __init__(self, given: settings.Settings, bucket: Bucket) -> None:
        self.settings = given
        self.bucket = bucket
        root = Path(given.root)
        venv = root / "opt/liftoff/venv"
        (venv / "bin").mkdir(parents=True)
        (venv / install.MARKER).write_text(sha256(b"").hexdigest())
        python = venv / "bin/python"
        python.write_text(_VLLM.format(python=sys.executable))
        python.chmod(0o755)
        entry = {"path": "w", "size": len(WEIGHTS), "sha256": sha256(WEIGHTS).hexdigest(), "url": f"{bucket.url}/w?s"}
        entry["parts"] = [entry["sha256"]]
        session = root / "session.json"
        session.write_text(json.dumps({"part_bytes": 1000, "files": [entry], "requirements": ""}))
        told = root / "boot.json"
        told.write_text(json.dumps({"version": 1, **dataclasses.asdict(given)}))
        self.backend = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, str(self.backend), str(told), str(session)],
            cwd=root,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def letter(self) -> Letter | None:
        body = self.bucket.objects.get("/m")
        return None if body is None else Letter.model_validate_json(body)

    def state(self) -> str:
        letter = self.letter()
        return "" if letter is None else letter.state

    def ask(self, prompt: str) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cadata=self.settings.tls_certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self.settings.port, context=context, timeout=20)
        body = json.dumps({"model": self.settings.model, "prompt": prompt})
        connection.request("POST", "/v1/completions", body, {**BEARER, "Content-Type": "application/json"})
        return connection

    def in_flight(self) -> float | None:
        return interruption.requests_in_flight(self.settings, self.backend)

    def release(self) -> None:
        (Path(self.settings.root) / "var/lib/liftoff-vllm/release").touch()

    def close(self) -> None:
        self.release()
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with served() as made:
        yield made


@pytest.fixture
def start(
    tmp_path: Path, pair: certificate.KeyPair, bucket: Bucket, service: MetadataService
) -> Iterator[Callable[..., Node]]:
    started: list[Node] = []
    bucket.objects["/w"] = WEIGHTS

    def begin(provider: str, **changes: Any) -> Node:
        given = dataclasses.replace(
            settings_of(pair, tmp_path, free_port()),
            provider=provider,
            metadata_url=service.url,
            mailbox_url=f"{bucket.url}/m?s",
            session_url=f"{bucket.url}/s?s",
            storage_ca=bucket.certificate,
            **changes,
        )
        (tmp_path / "var/lib/liftoff-vllm").mkdir(parents=True)
        started.append(Node(given, bucket))
        return started[-1]

    yield begin
    for node in started:
        node.close()


def test_a_ready_node_answers_what_it_has_begun_turns_the_rest_away_and_says_so(
    start: Callable[..., Node], service: MetadataService
) -> None:
    node = start("azure")
    until(lambda: node.state() == "ready")
    assert node.process.poll() is None, "the program stays with its node"
    slow = node.ask("slow")
    until(lambda: node.in_flight() == 1)
    service.preempt_azure(60)
    until(lambda: node.state() == "interrupted")
    with contextlib.closing(node.ask("Hello")) as connection:
        refused = connection.getresponse()
        assert (refused.status, refused.headers["Retry-After"], refused.headers["Connection"]) == (503, "30", "close")
    told = node.letter()
    assert told is not None
    assert told.notice is not None
    assert (told.notice.action, told.notice.drained_at) == ("preempt", None)
    node.release()
    with contextlib.closing(slow):
        assert slow.getresponse().status == 200
    until(lambda: _drained(node))
    assert node.process.poll() is None


def test_a_warning_changes_nothing_but_the_letter(start: Callable[..., Node], service: MetadataService) -> None:
    service.recommend_rebalance()
    node = start("aws")
    until(lambda: node.state() == "ready")
    until(lambda: (letter := node.letter()) is not None and letter.notice is not None)
    assert node.state() == "ready"
    with contextlib.closing(node.ask("Hello")) as connection:
        assert connection.getresponse().status == 200


def test_a_boot_that_the_cloud_ends_fails_at_once_with_a_code_of_its_own(
    start: Callable[..., Node], bucket: Bucket, service: MetadataService
) -> None:
    # The weights never come.
    bucket.faults["/w"] = ["503"] * 100
    node = start("gcp")
    until(lambda: node.state() == "booting")
    began = time.monotonic()
    service.preempt_gcp()
    node.process.wait(15)
    assert time.monotonic() - began < 10
    assert node.process.returncode == 1
    letter = node.letter()
    assert letter is not None
    assert letter.error is not None
    assert (letter.state, letter.error.code) == ("failed", "spot_interrupted")
    assert letter.notice is not None
    assert letter.notice.action == "preempted"


def test_a_node_that_is_told_to_stop_finds_the_reason_with_its_cloud(
    start: Callable[..., Node], service: MetadataService
) -> None:
    node = start("gcp")
    until(lambda: node.state() == "ready")
    # Without a change that its hanging question would be answered with.
    service.preempted = "TRUE"
    node.process.terminate()
    node.process.wait(20)
    assert node.state() == "interrupted"


def test_a_node_of_this_host_that_is_told_to_stop_just_stops(
    start: Callable[..., Node], service: MetadataService
) -> None:
    node = start("local")
    until(lambda: node.state() == "ready")
    node.process.terminate()
    node.process.wait(20)
    assert node.state() == "stopped"
    assert service.asked == []


def _drained(node: Node) -> bool:
    letter = node.letter()
    return letter is not None and letter.notice is not None and bool(letter.notice.all_answered)


def until(look: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not look():
        assert time.monotonic() < limit
        time.sleep(0.02)
