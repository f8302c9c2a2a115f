"""What the node tells: phases in order, no secret in it, at most once a second, and its last words for certain."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from boot import https
from boot.board import Board
from boot.failure import BootFailed
from boot.mailbox import Mailbox
from boot.notices import Notice

from provider.status import Mailbox as Letter
from provider.status import Stage, status_of

from .conftest import Bucket


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def letter(board: Board) -> Letter:
    return Letter.model_validate_json(json.dumps(board.snapshot()))


def test_every_state_of_the_board_is_a_letter_that_the_other_side_reads() -> None:
    board = Board("run", [], 1.0)
    assert status_of(letter(board)).stage is Stage.INSTALL
    board.begin("install", 4, "packages")
    board.advance("install", 2)
    assert status_of(letter(board)).percent == 72.5
    board.finish("install")
    board.begin("weights", 100, "bytes")
    board.advance("weights", 50)
    assert status_of(letter(board)).percent == 85.0
    board.finish("weights")
    board.begin("serve", 8)
    assert status_of(letter(board)).stage is Stage.SERVE
    board.finish("serve")
    board.ready()
    assert letter(board).state == "ready"


def test_progress_never_goes_back() -> None:
    board = Board("run", [], 1.0)
    board.begin("weights", 100, "bytes")
    board.advance("weights", 60)
    board.advance("weights", 40)
    assert letter(board).phase("weights").done == 60


def test_secrets_and_signatures_stay_out_of_every_line() -> None:
    board = Board("run", ["sk-secret"], 1.0)
    board.begin("install", 1, "packages", "with sk-secret")
    board.say("GET https://b/o?X-Amz-Credential=AK%2F1&X-Amz-Signature=abcdef failed for sk-secret")
    board.fail(BootFailed("serve_failed", "serve", "vLLM said sk-secret", "hide sk-secret"))
    text = json.dumps(board.snapshot())
    assert "sk-secret" not in text
    assert "abcdef" not in text
    assert "AK%2F1" not in text


def test_the_log_keeps_its_last_lines_and_cuts_long_ones() -> None:
    board = Board("run", [], 1.0)
    for number in range(100):
        board.say(f"{number} " + "x" * 1000)
    log = letter(board).log
    assert (len(log), log[-1][:3], max(map(len, log))) == (60, "99 ", 400)


def test_the_first_end_is_the_end() -> None:
    board = Board("run", [], 1.0)
    board.fail(BootFailed("disk_full", "weights", "m", "h"))
    board.ready()
    assert letter(board).state == "failed"


def test_letters_stay_in_order_across_a_reboot() -> None:
    clock = Clock()
    before = Board("run", [], 1.0, clock).snapshot()["sequence"]
    clock.now += 5
    assert Board("run", [], 1.0, clock).snapshot()["sequence"] > before


def test_the_mailbox_waits_a_second_between_letters() -> None:
    clock = Clock()
    mailbox = Mailbox("https://127.0.0.1:9/m", https.context(None), Board("run", [], 1.0), clock)
    assert mailbox.due() == 0.0
    mailbox._write()
    assert mailbox.due() == 1.0
    clock.now += 0.4
    assert mailbox.due() == pytest.approx(0.6)


def test_the_last_words_arrive_even_if_the_storage_refuses_at_first(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boot.mailbox._RETRY_SECONDS", 0.01)
    monkeypatch.setattr("boot.mailbox._INTERVAL_SECONDS", 0.0)
    bucket.faults["/m"] = ["500", "503"]
    board = Board("run", [], 1.0)
    mailbox = Mailbox(f"{bucket.url}/m", https.context(bucket.certificate), board)
    mailbox.start()
    board.fail(BootFailed("disk_full", "weights", "m", "h"))
    assert mailbox.close(10)
    assert json.loads(bucket.objects["/m"])["error"]["code"] == "disk_full"


def test_a_node_says_every_30_seconds_that_it_lives(bucket: Bucket) -> None:
    clock, board = Clock(), Board("run", [], 1.0)
    mailbox = Mailbox(f"{bucket.url}/m", https.context(bucket.certificate), board, clock)
    assert mailbox._is_time()
    mailbox._write()
    clock.now += 29
    assert not mailbox._is_time()
    clock.now += 1
    assert mailbox._is_time()
    before = json.loads(bucket.objects["/m"])["sequence"]
    mailbox._write()
    assert json.loads(bucket.objects["/m"])["sequence"] > before
    assert not mailbox._is_time()
    mailbox._connection.close()


def test_a_url_that_has_ended_is_asked_ever_more_seldom_and_a_notice_still_at_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boot.mailbox._INTERVAL_SECONDS", 0.0)
    board = Board("run", [], 1.0)
    board.ready()
    bucket.faults["/m"] = ["403"]
    mailbox = Mailbox(f"{bucket.url}/m", https.context(bucket.certificate), board)
    mailbox._retry = 3600.0
    mailbox.start()
    until(lambda: len(bucket.asked) == 1 and mailbox._retry == 3600.0)
    board.interrupted(Notice("interruption", "terminate", 1.0, 121.0))
    until(lambda: "/m" in bucket.objects)
    assert json.loads(bucket.objects["/m"])["state"] == "interrupted"
    assert mailbox.close(10)


def until(look: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not look():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_the_work_never_waits_for_the_mailbox() -> None:
    board = Board("run", [], 1.0)
    mailbox = Mailbox("https://127.0.0.1:9/m", https.context(None), board)
    mailbox.start()
    worked = threading.Event()
    for _ in range(100):
        board.say("line")
    worked.set()
    assert worked.is_set()
    assert not mailbox.close(0.05)
