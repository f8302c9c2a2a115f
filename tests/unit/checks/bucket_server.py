"""A small S3 over TLS that refuses what a test wants: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html."""

import http.server
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clouds.http_api import certificate

SECRET = "a-secret-storage-key"
MANIFEST = {
    "version": 1,
    "part_bytes": 1024,
    "files": [{"path": "model.safetensors", "size": 1, "sha256": "0" * 64, "parts": ["0" * 64]}],
}


@dataclass
class BucketServer:
    """One bucket `liftoff` with weights at `models/m`; `denied` holds the methods that its key may not use."""

    objects: dict[str, bytes]
    denied: set[str] = field(default_factory=set)
    endpoint: str = ""
    certificate: str = ""

    def values(self, **changes: str) -> dict[str, Any]:
        """Return the stack's values that name it."""
        return {
            "weights": "s3://liftoff/models/m",
            "storageEndpoint": self.endpoint,
            "storageCaCertificate": self.certificate,
            "storageAccessKeyId": "storage-key-id",
            "storageSecretAccessKey": SECRET,
            **changes,
        }


@contextmanager
def served() -> Iterator[BucketServer]:
    made = BucketServer({"/liftoff/models/m/manifest.json": json.dumps(MANIFEST).encode()})
    pair = certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pair.pem")
        path.write_text(pair.certificate + pair.key)
        context.load_cert_chain(path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made.endpoint, made.certificate = f"https://127.0.0.1:{server.server_address[1]}", pair.certificate
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def _handler(bucket: BucketServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        # boto3 waits for `100 Continue` before it sends a body.
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.split("?")[0]
            if self.command in bucket.denied:
                self._say(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
            elif self.command == "PUT":
                bucket.objects[path] = body
                self._say(200, b"")
            elif self.command == "DELETE":
                bucket.objects.pop(path, None)
                self._say(204, b"")
            elif path in bucket.objects:
                self._say(200, bucket.objects[path])
            else:
                self._say(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
