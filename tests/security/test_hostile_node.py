"""What a stolen node, or somebody at its address, can do to whoever asks it."""

import time
from pathlib import Path

import pytest

from control_plane import probe
from control_plane.probe import Health, Probe
from provider.endpoint import Endpoint, EndpointSilent
from provider.node_client import NodeClient, NodeSilent
from provider.resource import Refused
from provider.storage import Bucket, Storage

from .hostile_node import Behave, answering, dripping, flooding, listening, pair, silent

KEY = "sk-liftoff-0123456789"
OWN = pair()
COMPLETION = answering("200 OK", b'{"choices": [{"text": "!"}]}')


def test_with_its_own_certificate_a_node_is_believed(tmp_path: Path) -> None:
    with listening(tmp_path, OWN, COMPLETION) as node:
        assert Endpoint(node.url, OWN.certificate, KEY).complete("tiny-llama") == "!"
        assert Probe(node.url, OWN.certificate, KEY).ask() == Health("")


def test_another_certificate_at_the_same_address_gets_no_key_and_is_not_believed(tmp_path: Path) -> None:
    with listening(tmp_path, pair(), COMPLETION) as other:
        with pytest.raises(EndpointSilent, match="CERTIFICATE_VERIFY_FAILED"):
            Endpoint(other.url, OWN.certificate, KEY).complete("tiny-llama")
        assert "CERTIFICATE_VERIFY_FAILED" in Probe(other.url, OWN.certificate, KEY).ask().problem
    assert other.requests == []


def test_a_nodes_certificate_is_good_for_its_own_address_alone(tmp_path: Path) -> None:
    with listening(tmp_path, OWN, COMPLETION) as node:
        moved = node.url.replace("127.0.0.1", "localhost")
        with pytest.raises(NodeSilent, match=r"CERTIFICATE_VERIFY_FAILED|doesn't match"):
            NodeClient(moved, OWN.certificate, KEY).ask("GET", "/health", seconds=10, most_bytes=10)
    assert node.requests == []


def test_it_sends_nobody_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with listening(tmp_path / "inner", OWN, COMPLETION) as inner:
        away = answering("307 Temporary Redirect", b"", f"Location: {inner.url}/v1/completions")
        with listening(tmp_path, OWN, away) as node:
            with pytest.raises(EndpointSilent, match="HTTP 307"):
                Endpoint(node.url, OWN.certificate, KEY).complete("tiny-llama")
            assert Probe(node.url, OWN.certificate, KEY).ask() == Health("/health answers 307")
    assert inner.requests == []


@pytest.mark.parametrize("behave", [silent, dripping])
def test_however_slowly_it_answers_it_holds_nobody_up(tmp_path: Path, behave: Behave) -> None:
    with listening(tmp_path, OWN, behave) as node:
        began = time.monotonic()
        with pytest.raises(NodeSilent, match="no whole answer in 1 s"):
            NodeClient(node.url, OWN.certificate, KEY).ask("GET", "/metrics", seconds=0.6, most_bytes=1 << 20)
        assert time.monotonic() - began < 5


def test_a_slow_node_holds_the_registrys_round_up_for_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe._SECONDS <= 15
    monkeypatch.setattr(probe, "_SECONDS", 0.5)
    with listening(tmp_path, OWN, dripping) as node:
        assert Probe(node.url, OWN.certificate, KEY).ask().problem.startswith("no whole answer")


def test_however_much_it_answers_only_so_much_is_read(tmp_path: Path) -> None:
    with (
        listening(tmp_path, OWN, flooding) as node,
        pytest.raises(NodeSilent, match="the answer has more than 100000 bytes"),
    ):
        NodeClient(node.url, OWN.certificate, KEY).ask("GET", "/metrics", seconds=30, most_bytes=100_000)


def test_no_answer_is_unpacked_since_a_few_bytes_could_become_more_than_there_is_memory(tmp_path: Path) -> None:
    packed = answering("200 OK", b"\x1f\x8b\x08\x00", "Content-Encoding: gzip")
    with listening(tmp_path, OWN, packed) as node:
        answer = NodeClient(node.url, OWN.certificate, KEY).ask("GET", "/metrics", seconds=10, most_bytes=100)
    assert answer.text.encode("utf-8", "replace")[:1] == b"\x1f"
    assert b"accept-encoding: identity" in node.requests[0].lower()


@pytest.mark.parametrize("body", [b"\xff\xfe", b"vllm:num_requests_running{ 1", b"# TYPE a b c d\n" * 3, b"a 1 2 3 4"])
def test_metrics_that_are_none_leave_the_node_what_it_is(tmp_path: Path, body: bytes) -> None:
    with listening(tmp_path, OWN, answering("200 OK", body)) as node:
        assert Probe(node.url, OWN.certificate, KEY).ask().problem == ""


def test_what_it_says_steers_no_terminal(tmp_path: Path) -> None:
    evil = b"\x1b]0;owned\x07\x1b[2J\r\n::set-output name=x::y \xe2\x80\xae"
    with listening(tmp_path, OWN, answering("500 Oops", evil)) as node, pytest.raises(EndpointSilent) as caught:
        Endpoint(node.url, OWN.certificate, KEY).complete("tiny-llama")
    said = str(caught.value)
    assert said.startswith("HTTP 500")
    assert said.isprintable()


def test_no_refusal_repeats_the_key(tmp_path: Path) -> None:
    with listening(tmp_path, OWN, answering("500 Oops", b"no")) as node:
        with pytest.raises(EndpointSilent) as caught:
            Endpoint(node.url, OWN.certificate, KEY).complete("tiny-llama")
        assert KEY.encode() in node.requests[0]
    assert KEY not in str(caught.value)


def test_a_bucket_with_a_certificate_that_nobody_vouches_for_is_not_spoken_to(storage: Storage) -> None:
    for authority in (None, pair().certificate):
        other = storage.model_copy(update={"ca_certificate": authority})
        with pytest.raises(Refused, match="SSLError"):
            Bucket(other).get("anything")
