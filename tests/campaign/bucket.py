"""The bucket as the campaign reaches it: a proxy before the real S3 server, which may refuse or be slow for a while."""

import http.client
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from provider.storage import Storage
from tests.clouds import http_api

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "proxy-connection"})
_SLOW_SECONDS: Final = 1.5
_REFUSED: Final = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
)
"""https://developers.cloudflare.com/r2/api/error-codes/: what R2 answers with 503."""


@dataclass
class Weather:
    """How the bucket is just now; monotonic seconds until when."""

    refuses_until: float = 0.0
    slow_until: float = 0.0
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, seconds: float) -> None:
        """Answer 503 for so long."""
        with self._lock:
            self.refuses_until = max(self.refuses_until, time.monotonic() + seconds)

    def slow(self, seconds: float) -> None:
        """Take long over every answer for so long."""
        with self._lock:
            self.slow_until = max(self.slow_until, time.monotonic() + seconds)


@contextmanager
def proxied(storage: Storage, weather: Weather) -> Iterator[Storage]:
    """Yield the same storage behind a proxy of this process, for the time of the block."""
    pair = http_api.certificate()
    parts = urlsplit(storage.endpoint)
    trusted = ssl.create_default_context(cadata=storage.ca_certificate)

    def ask(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        if time.monotonic() < weather.slow_until:
            time.sleep(_SLOW_SECONDS)
        if time.monotonic() < weather.refuses_until:
            weather.refused += 1
            return 503, [("Content-Type", "application/xml")], _REFUSED
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=trusted, timeout=60)
        try:
            # The signature is over the host that was asked, which is this one.
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            found = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            return answer.status, found, answer.read()
        finally:
            connection.close()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(ask))
    server.daemon_threads = True
    server.socket = http_api._context(pair).wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    endpoint = f"https://127.0.0.1:{server.server_address[1]}"
    try:
        yield storage.model_copy(update={"endpoint": endpoint, "ca_certificate": pair.certificate})
    finally:
        server.shutdown()
        server.server_close()


def _handler(ask: Any) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            self._pass_on()

        def do_PUT(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def do_DELETE(self) -> None:
            self._pass_on()

        def do_HEAD(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Expect"):
                del self.headers["Expect"]
            status, headers, found = ask(self.command, self.path, dict(self.headers.items()), body)
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found)

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ssl.SSLError):
                # Whoever asked was killed.
                self.close_connection = True

    return Handler
