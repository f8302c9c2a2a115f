"""A real HTTP server for the part of a cloud's API that Liftoff reads."""

import datetime as dt
import http.server
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from provider.certificate import KeyPair, self_signed

TOKEN: Final = "emulated-token-b1946ac9"
"""What every request has to carry."""


@dataclass(frozen=True)
class Asked:
    """One request: its path without the query, the query, and the body as JSON or as a form."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


class NotThere(Exception):  # noqa: N818 - named after the answer
    """There is nothing at this path."""


@dataclass(frozen=True)
class Refusal:
    """An answer in place of the right one, for paths in which a text stands.

    Attributes:
        part: the text.
        status: the HTTP status.
        body: the answer, as the cloud would write it.
        delay_seconds: how long it takes.
    """

    part: str
    status: int
    body: Any
    delay_seconds: float = 0.0


@dataclass
class HttpApi:
    """One API. Subclasses answer; tests may add refusals.

    Attributes:
        asked: what was asked, in order.
        before: called before each answer, which may so be held back.
    """

    before: Callable[[Asked], None] = lambda _: None
    refusals: list[Refusal] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def answer(self, asked: Asked) -> Any:
        """Return what the API says, as JSON.

        Raises:
            NotThere: nothing is there.
        """
        raise NotImplementedError

    def open_paths(self) -> tuple[str, ...]:
        """Return the ends of paths that need no token."""
        return ()

    def unauthorised(self) -> Any:
        """Return what is said to whoever has no token, or a wrong one."""
        raise NotImplementedError

    def not_found(self, path: str) -> Any:
        """Return what is said of something that is not there."""
        raise NotImplementedError

    def respond(self, asked: Asked, authorization: str) -> tuple[int, Any]:
        """Return status and body."""
        self.asked.append(asked)
        self.before(asked)
        refusal = next((one for one in self.refusals if one.part in asked.path), None)
        if refusal is not None:
            time.sleep(refusal.delay_seconds)
            return refusal.status, refusal.body
        if not asked.path.endswith(self.open_paths() or ("\0",)) and authorization != f"Bearer {TOKEN}":
            return 401, self.unauthorised()
        try:
            return 200, self.answer(asked)
        except NotThere:
            return 404, self.not_found(asked.path)


@contextmanager
def served(api: HttpApi, pair: KeyPair | None = None) -> Iterator[None]:
    """Serve an API on a free port of this host, over TLS where there is a certificate; sets its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    server.daemon_threads = True
    if pair is not None:
        server.socket = _context(pair).wrap_socket(server.socket, server_side=True)
    scheme = "http" if pair is None else "https"
    api.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def certificate() -> KeyPair:
    """Return a certificate for this host, good for a day."""
    return self_signed(("127.0.0.1", "localhost"), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))


def _context(pair: KeyPair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pair.pem")
        path.write_text(pair.certificate + pair.key)
        context.load_cert_chain(path)
    return context


def _handler(api: HttpApi) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            body = json.loads(raw) if raw.startswith(("{", "[")) else dict(parse_qsl(raw))
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), body)
            status, found = api.respond(asked, self.headers.get("Authorization", ""))
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
