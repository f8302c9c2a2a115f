"""The node's certificate is good for its names, and only it is trusted."""

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest

from provider import certificate


def _handshake(pair: certificate.KeyPair, trusted: str, name: str, folder: Path) -> None:
    """Shake hands over a socket pair; raises ssl.SSLError when the client refuses."""
    (folder / "pair.pem").write_text(pair.certificate + pair.key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "pair.pem")
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.load_verify_locations(cadata=trusted)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            serving.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        asking.wrap_socket(ours, server_hostname=name).close()
    finally:
        ours.close()
        thread.join()


def _pair(*names: str) -> certificate.KeyPair:
    return certificate.self_signed(names, dt.datetime.now(dt.UTC) + dt.timedelta(days=1))


@pytest.mark.parametrize("name", ["10.1.2.3", "node.example", "::1"])
def test_it_is_good_for_each_of_its_names(name: str, tmp_path: Path) -> None:
    pair = _pair("10.1.2.3", "node.example", "::1")
    _handshake(pair, pair.certificate, name, tmp_path)


def test_it_is_refused_for_another_name(tmp_path: Path) -> None:
    pair = _pair("10.1.2.3")
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        _handshake(pair, pair.certificate, "10.1.2.4", tmp_path)


def test_another_nodes_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(_pair("10.1.2.3"), _pair("10.1.2.3").certificate, "10.1.2.3", tmp_path)


def test_the_key_stays_out_of_the_printed_form() -> None:
    assert "PRIVATE KEY" not in repr(_pair("a.example"))
