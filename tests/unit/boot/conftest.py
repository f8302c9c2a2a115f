"""The boot program on its own, and an HTTPS bucket that can misbehave."""

import datetime as dt
import http.server
import re
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provider import certificate


@dataclass
class Bucket:
    """Objects, what was asked for, and what goes wrong: for each path a list of faults, one used up by each request."""

    url: str = ""
    certificate: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)


def _handler(bucket: Bucket) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            bucket.asked.append(("GET", path, self.headers.get("Range", "")))
            fault = bucket.faults[path].pop(0) if bucket.faults.get(path) else ""
            if fault.isdigit():
                self._answer(int(fault), b"")
                return
            if path not in bucket.objects:
                self._answer(404, b"NoSuchKey")
                return
            body = bucket.objects[path]
            first, last = (int(n) for n in re.findall(r"\d+", self.headers["Range"] or f"0-{len(body) - 1}"))
            if first >= len(body):
                self._answer(416, b"")
                return
            part = body[first : last + 1]
            if fault == "corrupt":
                part = bytes([part[0] ^ 1]) + part[1:]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[: len(part) // 2] if fault == "cut" else part)
            self.close_connection = fault == "cut"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.partition("?")[0]
            fault = bucket.faults[path].pop(0) if bucket.faults.get(path) else ""
            if not fault:
                bucket.objects[path] = body
            bucket.asked.append(("PUT", path, body.decode()))
            self._answer(int(fault or 200), b"")

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture(scope="session")
def pair() -> certificate.KeyPair:
    return certificate.self_signed(("127.0.0.1",), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))


@pytest.fixture
def bucket(tmp_path: Path, pair: certificate.KeyPair) -> Iterator[Bucket]:
    (tmp_path / "pair.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    made = Bucket(certificate=pair.certificate)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(made)) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        made.url = f"https://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()
        thread.join()
