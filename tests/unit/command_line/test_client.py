"""What the client makes of servers that are away, refuse, or are no servers of Liftoff's."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from automation.errors import Kind, Stopped
from control_plane import following, told_events
from control_plane.client import Server
from control_plane.told_events import Told

from .conftest import Run
from .workplace import MODEL, Workplace


def test_a_server_that_is_down_is_told_with_what_to_look_at(workplace: Workplace, remote: Run) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for command in (("status",), ("launch", MODEL), ("nodes",), ("destroy", "launch-1")):
        done = remote(*command, "--json", LIFTOFF_SERVER=url)
        assert done.code == 1
        (told,) = done.records
        assert (told["type"], told["kind"], told["code"]) == ("error", "unknown", "server_silent")
        assert url in told["message"]
        assert "liftoff serve" in told["hint"]


def test_a_wrong_token_is_refused_and_never_shown(remote: Run) -> None:
    done = remote("status", LIFTOFF_TOKEN="lo_wrong")
    assert done.code == Kind.CREDENTIALS.exit_code
    assert "credentials/token_unknown" in done.err
    assert "LIFTOFF_TOKEN" in done.err
    assert "lo_wrong" not in done.text


def test_without_a_token_no_server_is_asked(remote: Run) -> None:
    done = remote("status", LIFTOFF_TOKEN="")
    assert done.code == Kind.CREDENTIALS.exit_code
    assert "token_missing" in done.err


def test_a_token_may_only_look(workplace: Workplace, remote: Run) -> None:
    token = workplace.tokens.issue("reader", "read")
    assert remote("status", LIFTOFF_TOKEN=token).code == 0
    done = remote("launch", MODEL, LIFTOFF_TOKEN=token)
    assert done.code == Kind.CREDENTIALS.exit_code
    assert "scope_missing" in done.err


def test_a_token_is_read_from_a_file(workplace: Workplace, remote: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{workplace.token}\n")
    assert remote("status", "--token-file", str(file), LIFTOFF_TOKEN="").code == 0
    for content in ("", "two words"):
        file.write_text(content)
        done = remote("status", "--token-file", str(file), LIFTOFF_TOKEN="")
        assert done.code == Kind.CREDENTIALS.exit_code
        assert "token_unreadable" in done.err
    assert "token_unreadable" in remote("status", "--token-file", str(tmp_path / "none")).err


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host", "https://", "https://me:secret@host", "https://host?x=1", "http://[::1"]
)
def test_a_url_that_cant_be_used_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(Stopped) as refused:
        Server(url, "lo_x")
    assert refused.value.code == "server_url"
    assert "secret" not in str(refused.value)


def test_a_token_that_leaves_this_host_in_plain_text_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in ("http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "https://server.example"):
        with Server(quiet, "lo_x"):
            assert capsys.readouterr().err == ""
    with Server("http://server.example", "lo_x"):
        assert "in plain text" in capsys.readouterr().err


class _Other(BaseHTTPRequestHandler):
    """Somebody else's server."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def other() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [200, 302, 404])
def test_an_answer_that_is_not_liftoffs_is_told_so(other: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Other, "status", status)
    with Server(other, "lo_x") as server, pytest.raises(Stopped) as stopped:
        server.status("launch-1")
    assert stopped.value.code == "not_a_server"
    assert other in str(stopped.value)


def test_a_proxy_without_its_server_is_waited_for_and_then_given_up(
    other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Other, "status", 502)
    said: list[str] = []
    with Server(other, "lo_x", again_seconds=0.0) as server:
        with pytest.raises(Stopped) as stopped:
            server.status("launch-1")
        assert stopped.value.code == "server_silent"
        with pytest.raises(Stopped) as given_up:
            list(following.events(server, "launch-1", 0.01, said.append, pause=0.02))
    assert given_up.value.code == "server_silent"
    assert "the launch may go on there" in str(given_up.value)
    assert f"liftoff status launch-1 --server {other}" in given_up.value.hint
    assert len(said) == 1


def test_a_stream_is_read_event_by_event_and_one_that_is_cut_off_is_not_told() -> None:
    lines = [
        ": ping",
        "",
        "id: 4",
        "event: note",
        'data: {"text":',
        'data: "a"}',
        "",
        "event: end",
        "data: {}",
        "",
        "id: 5",
        "event: note",
        "data: {",
    ]
    assert list(told_events.read(lines, 3)) == [Told(4, "note", {"text": "a"}), Told(4, "end", {})]
