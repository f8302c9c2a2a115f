"""A node in this process, for the machines of the emulated clouds: it does what its user data tells it to.

It fetches the session document, writes letters to the mailbox through the presigned URL, and answers completions over
TLS with the certificate and the key that it was given. What it does not do is install and run vLLM.
"""

import gzip
import hashlib
import http.server
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

_TRIES = 15
_AGAIN_SECONDS = 0.5
PHASES = (("install", "packages"), ("weights", "bytes"), ("serve", "steps"))


def user_data_document(user_data: bytes) -> dict[str, Any]:
    """Return a machine's user data as cloud-init reads it."""
    text = gzip.decompress(user_data) if user_data[:2] == b"\x1f\x8b" else user_data
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def told(user_data: bytes) -> dict[str, Any]:
    """Return boot.json out of a machine's user data."""
    document = user_data_document(user_data)
    files = {file["path"]: file["content"] for file in document["write_files"]}
    found: dict[str, Any] = json.loads(files["/etc/liftoff/boot.json"])
    return found


class Node:
    """One node; `fails` lets its boot fail with that code.

    Args:
        user_data: what the machine is given.
        fails: the code with which its boot fails; empty lets it succeed.
        at: called where it stands, and may let it wait there: `begin` before its first letter, then the name of each
            phase once a letter tells of it, and `answer` before each answer to a completion.
    """

    def __init__(self, user_data: bytes, fails: str = "", at: Callable[[str], None] = lambda _: None) -> None:
        self.settings = told(user_data)
        self._fails = fails
        self._at = at
        self._server: http.server.ThreadingHTTPServer | None = None
        self._sequence = 0
        self._withdrawn = threading.Event()
        self._ended = False
        self._trusted = ssl.create_default_context(cadata=self.settings["storage_ca"])
        threading.Thread(target=self._boot, daemon=True).start()

    def interrupt(self, seconds: float = 120.0) -> None:
        """Take no new requests and say so, as after a cloud's notice; requests in flight are still being answered."""
        self._withdrawn.set()
        self._tell_notice(time.time() + seconds, drained_at=None)

    def drain(self) -> None:
        """Say that nothing is in flight any more."""
        self._tell_notice(time.time(), drained_at=time.time())

    def _tell_notice(self, deadline: float, drained_at: float | None) -> None:
        told = {"kind": "interruption", "action": "terminate", "noticed_at": time.time(), "deadline": deadline}
        notice = {**told, "drained_at": drained_at, "all_answered": None if drained_at is None else True}
        with httpx.Client(verify=self._trusted, trust_env=False) as client:
            self._write(client, 3, "interrupted", notice=notice)

    def end(self) -> None:
        """Stop to answer, or never begin to."""
        self._ended = True
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _boot(self) -> None:
        with httpx.Client(verify=self._trusted, trust_env=False) as client:
            session = _patiently(lambda: client.get(self.settings["session_url"]))
            assert hashlib.sha256(session.content).hexdigest() == self.settings["session_sha256"]
            self._at("begin")
            for number, (phase, _) in enumerate(PHASES):
                self._write(client, number, "booting")
                self._at(phase)
            if self._fails:
                error = {"code": self._fails, "phase": "serve", "message": "it ended", "hint": "read the lines"}
                self._write(client, 2, "failed", error)
                return
            self._serve()
            self._write(client, 3, "ready")

    def _write(
        self,
        client: httpx.Client,
        at: int,
        state: str,
        error: Mapping[str, str] | None = None,
        notice: Mapping[str, Any] | None = None,
    ) -> None:
        self._sequence += 1
        now = time.time()
        letter = {
            "version": 1,
            "run_id": self.settings["run_id"],
            "sequence": self._sequence,
            "written_at": now,
            "started_at": now,
            "state": state,
            "phases": [
                {
                    "name": name,
                    "state": "done" if number < at else "running" if number == at else "pending",
                    "started_at": now,
                    "ended_at": now if number < at else None,
                    "done": 1,
                    "total": 2,
                    "unit": unit,
                }
                for number, (name, unit) in enumerate(PHASES)
            ],
            "error": error,
            "notice": notice,
            "log": ["a line of the node"],
        }
        _patiently(lambda: client.put(self.settings["mailbox_url"], content=json.dumps(letter).encode()))

    def _serve(self) -> None:
        settings = self.settings
        if self._ended:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder, "pair.pem")
            pair.write_text(settings["tls_certificate"] + settings["tls_key"])
            context.load_cert_chain(pair)
        server = http.server.ThreadingHTTPServer(
            (settings["server_name"], settings["port"]), _handler(settings["api_key"], self._at, self._withdrawn)
        )
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()


def _patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask the bucket, again where it is away for a moment, as the boot program does."""
    for _ in range(_TRIES):
        try:
            return ask().raise_for_status()
        except httpx.HTTPError as error:
            last = error
            time.sleep(_AGAIN_SECONDS)
    raise last


def _handler(
    key: str, at: Callable[[str], None], withdrawn: threading.Event
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/health"
            self._answer(503 if withdrawn.is_set() else 200 if known else 404, b"")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            at("answer")
            allowed = self.headers["Authorization"] == f"Bearer {key}"
            body = json.dumps({"choices": [{"text": "!"}]} if allowed else {"error": "no"}).encode()
            self._answer(503 if withdrawn.is_set() else 200 if allowed else 401, body)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
