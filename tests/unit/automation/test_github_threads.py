"""Comments and issues against a server that answers as GitHub's API does."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from automation.errors import Kind, Stopped
from automation.github_threads import Threads


class Api:
    """What is on GitHub, and how often it was written to."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.writes = 0
        self.refuses = 0

    def answer(self, method: str, url: str, body: dict[str, Any]) -> tuple[int, Any]:
        if self.refuses:
            return self.refuses, {"message": "Resource not accessible by integration"}
        parts = urlsplit(url)
        self.writes += method != "GET"
        things = self.comments if "comments" in parts.path else self.issues
        if method == "GET":
            page = int(parse_qs(parts.query)["page"][0])
            listed = [thing for thing in things if thing.get("state", "open") == "open"]
            return 200, listed[(page - 1) * 100 : page * 100]
        if method == "POST":
            things.append(self.made(len(things) + 1, **body))
            return 201, things[-1]
        number = int(parts.path.rpartition("/")[2])
        thing = next(thing for thing in things if thing["id"] == number)
        thing.update(body)
        return 200, thing

    @staticmethod
    def made(number: int, user: str = "Bot", **fields: Any) -> dict[str, Any]:
        return {"id": number, "number": number, "user": {"type": user}, "title": "", "state": "open", **fields}


@pytest.fixture
def api() -> Iterator[tuple[Api, Threads]]:
    held = Api()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            assert self.headers["Authorization"] == "Bearer a-token"
            assert re.match(r"/repos/acme/models/issues\b", self.path)
            code, found = held.answer(self.command, self.path, body)
            text = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PATCH(self) -> None:
            self.do_GET()

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        token = {"GITHUB_TOKEN": "a-token", "GITHUB_REPOSITORY": "acme/models", "GITHUB_API_URL": address}
        with Threads(token) as threads:
            yield held, threads
        server.shutdown()


def test_a_comment_is_updated_and_not_repeated(api: tuple[Api, Threads]) -> None:
    held, threads = api
    assert threads.comment(7, "preview:chat", "one") == "written"
    assert threads.comment(7, "preview:code", "another stack's") == "written"
    assert threads.comment(7, "preview:chat", "two") == "updated"
    assert threads.comment(7, "preview:chat", "two") == "left as it is"
    assert [comment["body"] for comment in held.comments] == [
        "<!-- liftoff preview:chat -->\ntwo\n",
        "<!-- liftoff preview:code -->\nanother stack's\n",
    ]
    assert held.writes == 3


def test_a_persons_comment_is_not_touched_whatever_it_says(api: tuple[Api, Threads]) -> None:
    held, threads = api
    held.comments.append(held.made(1, user="User", body="<!-- liftoff preview:chat -->\nmine"))
    assert threads.comment(7, "preview:chat", "ours") == "written"
    assert held.comments[0]["body"].endswith("mine")


def test_a_comment_is_found_on_a_later_page(api: tuple[Api, Threads]) -> None:
    held, threads = api
    held.comments += [held.made(number, user="User", body="talk") for number in range(1, 151)]
    assert threads.comment(7, "preview:chat", "one") == "written"
    assert threads.comment(7, "preview:chat", "two") == "updated"


def test_an_issue_is_opened_updated_closed_and_opened_anew(api: tuple[Api, Threads]) -> None:
    held, threads = api
    assert threads.close("drift:chat") == "there is none"
    assert threads.issue("drift:chat", "t", "a tag") == "opened"
    assert threads.issue("drift:chat", "t", "a tag and a machine") == "updated"
    assert threads.close("drift:chat") == "closed"
    assert threads.issue("drift:chat", "t", "a tag") == "opened"
    assert [issue["state"] for issue in held.issues] == ["closed", "open"]


def test_what_is_too_long_or_secret_does_not_go_out(api: tuple[Api, Threads]) -> None:
    held, threads = api
    threads.comment(7, "preview:chat", "sk-liftoff-Ab12 " + "x" * 70_000)
    body = held.comments[0]["body"]
    assert len(body) <= 65_536
    assert body.endswith("the rest is in the log of the workflow's run.")
    assert "sk-liftoff" not in body


def test_a_refusal_names_the_permission(api: tuple[Api, Threads]) -> None:
    held, threads = api
    held.refuses = 403
    with pytest.raises(Stopped, match="not accessible") as caught:
        threads.close("sweep")
    assert caught.value.kind is Kind.CREDENTIALS
    assert "issues: write" in caught.value.hint


def test_outside_of_a_job_it_says_what_is_missing() -> None:
    with pytest.raises(Stopped, match="GITHUB_TOKEN and GITHUB_REPOSITORY"):
        Threads({})


def test_a_marker_can_not_end_its_comment(api: tuple[Api, Threads]) -> None:
    with pytest.raises(Stopped, match="allowed: letters"):
        api[1].comment(7, "x --> <b>", "text")
