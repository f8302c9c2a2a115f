"""A node that somebody has taken over: TLS with a certificate of the test's choice, and answers as bad as can be."""

import contextlib
import datetime as dt
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from provider import certificate

Behave = Callable[[ssl.SSLSocket, threading.Event], None]


@dataclass
class HostileNode:
    """Where it listens, and the requests that came through its TLS."""

    url: str
    requests: list[bytes] = field(default_factory=list)


def pair() -> certificate.KeyPair:
    """Return a certificate for this host's own address."""
    return certificate.self_signed(("127.0.0.1",), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))


@contextlib.contextmanager
def listening(folder: Path, shown: certificate.KeyPair, behave: Behave) -> Iterator[HostileNode]:
    """Yield a node that shows a certificate and then behaves as told, once for each connection."""
    (folder / "node.pem").write_text(shown.certificate + shown.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "node.pem")
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node = HostileNode(f"https://127.0.0.1:{listener.getsockname()[1]}")

        def one(plain: socket.socket) -> None:
            with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
                node.requests.append(_request(connection))
                behave(connection, over)

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                workers.append(threading.Thread(target=one, args=(plain,)))
                workers[-1].start()

        workers: list[threading.Thread] = []
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield node
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            server.join()
            for worker in workers:
                worker.join()


def _request(connection: ssl.SSLSocket) -> bytes:
    """Return a whole request: to close with some of it unread would take the answer back."""
    found = connection.recv(65536)
    while b"\r\n\r\n" not in found:
        found += connection.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + body


def answering(status: str, body: bytes, *headers: str) -> Behave:
    """Return a node that answers once."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))

    def behave(connection: ssl.SSLSocket, _over: threading.Event) -> None:
        connection.sendall(head.encode() + b"\r\n" + body)

    return behave


def flooding(connection: ssl.SSLSocket, over: threading.Event) -> None:
    """Answer without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.is_set():
        connection.sendall(bytes(65536))


def dripping(connection: ssl.SSLSocket, over: threading.Event) -> None:
    """Answer a byte at a time, so that no wait for the next one is long."""
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000:
        connection.sendall(bytes([byte]))
        if over.wait(0.02):
            return


def silent(_connection: ssl.SSLSocket, over: threading.Event) -> None:
    """Take the request and say nothing."""
    over.wait()
