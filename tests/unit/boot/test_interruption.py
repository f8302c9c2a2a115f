"""A notice empties the node: the proxy turns new requests away, those in flight are answered, and the mailbox knows."""

import datetime as dt
import http.client
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from boot import interruption, notices, proxy, services, settings
from boot.board import Board
from boot.metadata import Metadata
from boot.notices import Aws, Notice

from provider import certificate
from provider.status import Mailbox as Letter
from tests.clouds.metadata_service import MetadataService, served

from .test_serve import KEY, free_port, settings_of

NOTICE = Notice("interruption", "terminate", 1000.0, 1120.0)


@dataclass
class Vllm:
    """A server in vLLM's place: each request waits until the test lets it end, and the metrics count it."""

    port: int = 0
    ends: threading.Event = field(default_factory=threading.Event)
    running: int = 0
    metrics: str | None = None

    def text(self) -> str:
        if self.metrics is not None:
            return self.metrics
        labels = '{engine="0",model_name="a}b"}'
        return (
            "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
            f"vllm:num_requests_running{labels} {float(self.running)}\n"
            f"vllm:num_requests_waiting{labels} 0.0\n"
            f"vllm:request_success_total{labels} 9.0\n"
        )


def _handler(vllm: Vllm) -> type[http.server.BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(vllm.text().encode() if self.path == "/metrics" else b"{}")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                vllm.running += 1
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._chunk(b"first ")
            vllm.ends.wait(20)
            self._chunk(b"last")
            self._chunk(b"")
            with lock:
                vllm.running -= 1

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def vllm() -> Iterator[Vllm]:
    made = Vllm()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(made)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        made.port = server.server_port
        yield made
        made.ends.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def node(tmp_path: Path, vllm: Vllm) -> Iterator[settings.Settings]:
    """A real nginx with our configuration before that server."""
    pair = certificate.self_signed(("127.0.0.1",), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    given = settings_of(pair, tmp_path, free_port())
    proxy.write(given, vllm.port)
    children = services.Children(given)
    children.start_proxy()
    until(lambda: children.ended() is None and _answers(given))
    yield given
    vllm.ends.set()
    children.stop()


def _connection(given: settings.Settings) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cadata=given.tls_certificate)
    return http.client.HTTPSConnection("127.0.0.1", given.port, context=context, timeout=10)


def _answers(given: settings.Settings) -> bool:
    connection = _connection(given)
    try:
        connection.request("GET", "/health", headers=BEARER)
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


BEARER = {"Authorization": f"Bearer {KEY}"}


def letter(board: Board) -> Letter:
    return Letter.model_validate_json(json.dumps(board.snapshot()))


def ready_board() -> Board:
    board = Board("run", [], 1.0)
    board.ready()
    return board


def test_a_request_in_flight_is_answered_to_its_end_while_new_ones_are_turned_away(
    node: settings.Settings, vllm: Vllm
) -> None:
    in_flight, kept = _connection(node), _connection(node)
    kept.request("GET", "/v1/models", headers=BEARER)
    assert kept.getresponse().read() == b"{}"
    in_flight.request("POST", "/v1/completions", body="{}", headers=BEARER)
    streamed = in_flight.getresponse()
    assert streamed.read(6) == b"first "

    board = ready_board()
    ended: list[bool] = []
    emptying = threading.Thread(
        target=lambda: ended.append(
            interruption.empty(
                node,
                Notice("interruption", "terminate", time.time(), time.time() + 60),
                board,
                lambda: interruption.requests_in_flight(node, vllm.port),
            )
        )
    )
    emptying.start()
    until(lambda: board.state == "interrupted")
    told = letter(board).notice
    assert told is not None
    assert told.drained_at is None

    # On a connection that the client kept, and on new ones.
    for connection in (kept, _connection(node), _connection(node)):
        connection.request("POST", "/v1/completions", body="{}", headers=BEARER)
        refused = connection.getresponse()
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "30"
        assert refused.headers["Connection"] == "close"
        assert json.loads(refused.read())["error"]["code"] == "interrupted"
        connection.close()
    for path, key, status in (("/health", BEARER, 503), ("/health", {}, 401), ("/tokenize", BEARER, 404)):
        connection = _connection(node)
        connection.request("GET", path, headers=key)
        assert connection.getresponse().status == status
        connection.close()

    assert ended == []
    vllm.ends.set()
    assert streamed.read() == b"last"
    in_flight.close()
    emptying.join(10)
    assert ended == [True]
    told = letter(board).notice
    assert told is not None
    assert told.drained_at is not None
    assert told.all_answered


def test_a_node_that_is_started_again_serves_again(node: settings.Settings, vllm: Vllm) -> None:
    proxy.withdraw(node)
    assert not _answers(node)
    proxy.write(node, vllm.port)
    assert _answers(node)


class Clock:
    """A time that goes on while somebody waits."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("deadline", "until_"), [(1120.0, 1115.0), (1030.0, 1025.0), (1000.0, 1000.0), (None, 1025.0)])
def test_requests_are_waited_for_until_shortly_before_the_end(
    tmp_path: Path, pair: certificate.KeyPair, deadline: float | None, until_: float
) -> None:
    clock, board = Clock(1000.0), ready_board()
    given = settings_of(pair, tmp_path, 1)
    notice = Notice("interruption", "terminate", 1000.0, deadline)
    assert not interruption.empty(given, notice, board, lambda: 1.0, clock, clock.wait)
    assert clock.now == until_
    told = letter(board).notice
    assert told is not None
    assert told.all_answered is False


@pytest.mark.parametrize("answers", [[None, None, 0.0, 0.0], [2.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0]])
def test_nothing_is_in_flight_only_when_vllm_has_said_so_twice(
    tmp_path: Path, pair: certificate.KeyPair, answers: list[float | None]
) -> None:
    clock, left = Clock(1000.0), list(answers)
    given = settings_of(pair, tmp_path, 1)
    assert interruption.empty(given, NOTICE, ready_board(), lambda: left.pop(0), clock, clock.wait)
    assert left == []


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ('vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_waiting{engine="0"} 1.0\n', 3.0),
        ("vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n", 0.0),
        ('vllm:num_requests_running{engine="0"} 1\nvllm:num_requests_running{engine="1"} 1\n', 2.0),
        ("vllm:num_requests_swapped 1\n", None),
        ("vllm:num_requests_running x\n", None),
        ("", None),
    ],
)
def test_what_is_in_flight_is_read_from_vllms_own_metrics(
    node: settings.Settings, vllm: Vllm, metrics: str, expected: float | None
) -> None:
    vllm.metrics = metrics
    assert interruption.requests_in_flight(node, vllm.port) == expected


def test_without_vllm_nothing_is_in_flight(tmp_path: Path, pair: certificate.KeyPair) -> None:
    assert interruption.requests_in_flight(settings_of(pair, tmp_path, 1), free_port()) == 0.0


class Watched:
    """A watch over EC2's metadata service, and what it has said and handed on."""

    def __init__(self, service: MetadataService) -> None:
        self.lines: list[str] = []
        self.notices: list[Notice] = []
        source = Aws(Metadata(service.url))
        source.every_seconds = 0.01
        self.watch = interruption.Watch(source, self.lines.append, self.notices.append)

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with served() as made:
        yield made


def test_each_kind_of_notice_is_handed_on_once(service: MetadataService) -> None:
    watched = Watched(service)
    watched.watch.start()
    service.recommend_rebalance()
    until(lambda: watched.kinds == ["rebalance"])
    looks = len(service.asked)
    until(lambda: len(service.asked) > looks + 6)
    assert watched.watch.interruption is None
    service.interrupt_aws()
    until(lambda: watched.kinds == ["rebalance", "interruption"])
    watched.watch.last_look()
    assert watched.kinds == ["rebalance", "interruption"]
    assert watched.watch.interruption is watched.notices[1]


def test_a_service_that_fails_for_a_while_is_told_of_once_and_asked_on(service: MetadataService) -> None:
    watched = Watched(service)
    service.faults += ["500", "503", "500"]
    watched.watch.start()
    until(lambda: len(watched.lines) == 2)
    service.interrupt_aws()
    until(lambda: watched.kinds == ["interruption"])
    assert watched.lines[:2] == [
        "notices: the metadata service can't be read: HTTP 500",
        "notices: the metadata service answers again",
    ]


def test_a_machine_that_is_told_to_stop_looks_once_more_for_the_reason(service: MetadataService) -> None:
    watched = Watched(service)
    service.interrupt_aws()
    watched.watch.last_look()
    assert watched.kinds == ["interruption"]


def test_a_machine_of_this_host_is_taken_back_by_nobody(tmp_path: Path, pair: certificate.KeyPair) -> None:
    given = settings_of(pair, tmp_path, 1)
    assert given.provider == "local"
    assert notices.of(given) is None
    interruption.Watch(None, print, print).last_look()


def test_an_interrupted_node_stays_so_when_it_is_told_to_stop() -> None:
    board = ready_board()
    board.interrupted(NOTICE)
    board.stopped()
    assert letter(board).state == "interrupted"


def test_a_warning_changes_no_state() -> None:
    board = ready_board()
    board.noticed(Notice("rebalance", "rebalance", 1.0, None))
    assert letter(board).state == "ready"
    told = letter(board).notice
    assert told is not None
    assert told.kind == "rebalance"


def until(look: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not look():
        assert time.monotonic() < limit
        time.sleep(0.01)
