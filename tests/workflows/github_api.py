"""A server that answers as GitHub's API for comments and issues does: https://docs.github.com/en/rest/issues."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

REPOSITORY: Final = "acme/models"
TOKEN: Final = "a-token"


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

    @contextmanager
    def served(self) -> Iterator[dict[str, str]]:
        """Serve it; yield the variables with which a job of a workflow finds it."""
        held = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
                assert self.headers["Authorization"] == f"Bearer {TOKEN}"
                assert re.match(rf"/repos/{REPOSITORY}/issues\b", self.path)
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
            yield {"GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": address}
            server.shutdown()
