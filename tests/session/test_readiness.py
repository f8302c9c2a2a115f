"""Readiness speaks the node's progress, fails with its last words, can be cancelled, and believes only a completion."""

import datetime as dt
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from automation import errors
from automation.cloud_errors import Scope
from automation.errors import Kind
from provider import certificate, status
from provider.boot_session import mailbox_key
from provider.readiness import Readiness, ReadinessInputs
from provider.resource import Refused
from provider.status import Stage
from provider.storage import Bucket, Storage

from .conftest import Recorded

KEY = "sk-liftoff-test"


class CompletionHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        allowed = self.headers["Authorization"] == f"Bearer {KEY}"
        body = json.dumps({"choices": [{"text": "!"}]} if allowed else {"error": "no"}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def pair() -> certificate.KeyPair:
    return certificate.self_signed(("127.0.0.1",), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))


@pytest.fixture
def endpoint(pair: certificate.KeyPair, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "pair.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), CompletionHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Node:
    """Writes letters as a node does."""

    def __init__(self, storage: Storage) -> None:
        self.run_id = f"run{time.monotonic_ns()}"
        self._bucket = Bucket(storage)
        self._sequence = 0
        self.started_at = time.time()

    def write(self, install: str, weights: str, serve: str, state: str = "booting", **more: Any) -> None:
        self._sequence += 1
        phases = [
            {"name": name, "state": given, "started_at": 1.0, "ended_at": None, "done": 1, "total": 2, "unit": unit}
            for name, given, unit in (
                ("install", install, "packages"),
                ("weights", weights, "bytes"),
                ("serve", serve, "steps"),
            )
        ]
        letter = {
            "version": 1,
            "run_id": self.run_id,
            "sequence": self._sequence,
            "written_at": time.time(),
            "started_at": self.started_at,
            "state": state,
            "phases": phases,
            "error": None,
            "log": ["line one", "line two"],
            **more,
        }
        self._bucket.put(mailbox_key(self.run_id), json.dumps(letter).encode())


@pytest.fixture
def node(storage: Storage) -> Node:
    return Node(storage)


def inputs(storage: Storage, node: Node, endpoint: str, pair: certificate.KeyPair, **changes: Any) -> ReadinessInputs:
    values = {
        "storage": storage.model_dump(by_alias=True),
        "runId": node.run_id,
        "machineId": "m-1",
        "bootedAt": node.started_at,
        "endpoint": endpoint,
        "tlsCertificate": pair.certificate,
        "apiKey": KEY,
        "model": "tiny-llama",
        "deadlineSeconds": 600,
    }
    return ReadinessInputs.model_validate({**values, **changes})


def test_it_says_what_the_node_says_and_ends_with_a_completion(
    storage: Storage, node: Node, endpoint: str, pair: certificate.KeyPair, recorded: Recorded
) -> None:
    def boot() -> None:
        for letter, stage in (
            (("running", "running", "pending"), "Installing"),
            (("done", "running", "pending"), "Loading"),
            (("done", "done", "running"), "Starting"),
        ):
            node.write(*letter)
            while not any(stage in line for line in recorded.lines):
                time.sleep(0.01)
        node.write("done", "done", "done", "ready")

    node_thread = threading.Thread(target=boot)
    node_thread.start()
    run_id, outputs = Readiness().create(inputs(storage, node, endpoint, pair), recorded.operation())
    node_thread.join()
    assert run_id == node.run_id
    assert [phase["phase"] for phase in outputs["timeline"]] == ["install", "weights", "serve"]
    shown = [found for line in recorded.lines if (found := status.parse(line))]
    said = list(dict.fromkeys(f"{found.percent}% {found.stage.title}" for found in shown))
    assert said[0] == "45.0% Provisioning instance"
    assert said[1:4] == ["72.5% Installing dependencies", "85.0% Loading model from R2", "95.0% Starting vLLM"]


def test_a_node_that_failed_fails_the_update_with_its_last_words(
    storage: Storage, node: Node, endpoint: str, pair: certificate.KeyPair, recorded: Recorded
) -> None:
    error = {"code": "checksum_mismatch", "phase": "weights", "message": "part 3 of a.bin", "hint": "push again"}
    node.write("done", "failed", "pending", "failed", error=error)
    with pytest.raises(Refused) as caught:
        Readiness().create(inputs(storage, node, endpoint, pair), recorded.operation())
    assert str(caught.value).splitlines() == [
        "[boot/checksum_mismatch] weights: part 3 of a.bin",
        "hint: push again",
        "Last lines of the node:",
        "  line one",
        "  line two",
    ]


NOTICE = {"kind": "interruption", "action": "terminate", "noticed_at": 1.0, "deadline": 121.0}
TAKEN_BACK = {"code": "spot_interrupted", "phase": "weights", "message": "taken back", "hint": "elsewhere"}


@pytest.mark.parametrize(
    ("phases", "state", "error"),
    [(("done", "failed", "pending"), "failed", TAKEN_BACK), (("done", "done", "done"), "interrupted", None)],
)
def test_a_machine_that_its_cloud_takes_back_before_the_launch_is_over_is_a_lack_of_capacity_there(
    storage: Storage,
    node: Node,
    endpoint: str,
    pair: certificate.KeyPair,
    recorded: Recorded,
    phases: tuple[str, str, str],
    state: str,
    error: dict[str, Any] | None,
) -> None:
    node.write(*phases, state, error=error, notice=NOTICE)
    with pytest.raises(Refused) as caught:
        Readiness().create(inputs(storage, node, endpoint, pair), recorded.operation())
    failure = errors.classify(str(caught.value), Stage.SERVE, "node-readiness")
    assert (failure.kind, failure.code, failure.scope) == (Kind.CAPACITY, "spot_interrupted", Scope.ZONE)
    assert failure.blocked_seconds > 0
    assert "terminate" in failure.message
    assert failure.log == ("line one", "line two")


def test_a_notice_while_the_endpoint_is_asked_ends_the_wait_for_it(
    storage: Storage, node: Node, pair: certificate.KeyPair, recorded: Recorded
) -> None:
    node.write("done", "done", "done", "ready")
    threading.Timer(0.5, lambda: node.write("done", "done", "done", "interrupted", notice=NOTICE)).start()
    began = time.monotonic()
    with pytest.raises(Refused, match="spot_interrupted"):
        Readiness().create(inputs(storage, node, "https://127.0.0.1:9", pair), recorded.operation())
    assert time.monotonic() - began < 10


def test_cancel_ends_the_wait_within_a_second(
    storage: Storage, node: Node, endpoint: str, pair: certificate.KeyPair, recorded: Recorded
) -> None:
    threading.Timer(0.3, recorded.cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(Refused, match="cancelled"):
        Readiness().create(inputs(storage, node, endpoint, pair), recorded.operation())
    assert time.monotonic() - began < 1.3


def test_what_an_earlier_machine_wrote_is_not_taken_for_this_ones(
    storage: Storage, node: Node, endpoint: str, pair: certificate.KeyPair, recorded: Recorded
) -> None:
    node.write("done", "done", "done", "ready")
    threading.Timer(0.7, recorded.cancelled.set).start()
    with pytest.raises(Refused, match="cancelled"):
        Readiness().create(inputs(storage, node, endpoint, pair, bootedAt=node.started_at + 3600), recorded.operation())


def test_a_mailbox_that_makes_no_sense_is_told_as_such(
    storage: Storage, node: Node, endpoint: str, pair: certificate.KeyPair, recorded: Recorded
) -> None:
    node.write("done", "done", "flying")
    with pytest.raises(Refused, match="mailbox_invalid"):
        Readiness().create(inputs(storage, node, endpoint, pair), recorded.operation())


def test_refresh_sees_an_endpoint_that_answers_and_one_that_has_gone(
    storage: Storage, node: Node, endpoint: str, pair: certificate.KeyPair, recorded: Recorded
) -> None:
    readiness = Readiness()
    held = {"readyAt": "2030-01-01T00:00:00Z", "timeline": [], "completionSeconds": 0.1}
    assert readiness.read("r", inputs(storage, node, endpoint, pair), held, recorded.operation()) == held
    gone = inputs(storage, node, "https://127.0.0.1:9", pair)
    assert readiness.read("r", gone, held, recorded.operation()) is None
    assert "does not answer any more" in recorded.kept[0]


def test_another_nodes_certificate_is_not_believed(
    storage: Storage, node: Node, endpoint: str, recorded: Recorded
) -> None:
    other = certificate.self_signed(("127.0.0.1",), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    held: dict[str, Any] = {}
    assert Readiness().read("r", inputs(storage, node, endpoint, other), held, recorded.operation()) is None
