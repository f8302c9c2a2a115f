"""Weights arrive whole or not at all: parts are checked, tried again, resumed, and never served when wrong."""

import hashlib
import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from boot import https, weights
from boot.board import Board
from boot.failure import BootFailed

from .conftest import Bucket

PART = 1000
BODY = random.Random(1).randbytes(3500)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_BACKOFF_SECONDS", (0.0,))


def session_of(bucket: Bucket, files: dict[str, bytes], **changes: Any) -> weights.Session:
    entries = [
        {
            "path": name,
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "parts": [hashlib.sha256(body[at : at + PART]).hexdigest() for at in range(0, len(body), PART)],
            "url": f"{bucket.url}/{name}?X-Amz-Signature=s",
            **changes,
        }
        for name, body in files.items()
    ]
    for name, body in files.items():
        bucket.objects.setdefault(f"/{name}", body)
    return weights.parse(json.dumps({"part_bytes": PART, "files": entries, "requirements": ""}).encode())


def board() -> Board:
    return Board("run", [], 0.0)


def download(bucket: Bucket, session: weights.Session, folder: Path, shown: Board | None = None) -> Path:
    return weights.Download(session, folder, bucket.certificate, shown or board(), threading.Event(), 3).run()


def test_all_files_arrive_whole(bucket: Bucket, tmp_path: Path) -> None:
    files = {"model.safetensors": BODY, "sub/config.json": b"{}", "empty": b""}
    folder = download(bucket, session_of(bucket, files), tmp_path / "weights")
    assert {name: (folder / name).read_bytes() for name in files} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.pem", "weights"]


def test_progress_ends_at_the_number_of_bytes(bucket: Bucket, tmp_path: Path) -> None:
    shown = board()
    bucket.faults["/a"] = ["corrupt", "cut", "500"]
    download(bucket, session_of(bucket, {"a": BODY}), tmp_path / "weights", shown)
    phase = shown.snapshot()["phases"][1]
    assert (phase["state"], phase["done"], phase["total"], phase["unit"]) == ("done", 3500, 3500, "bytes")


@pytest.mark.parametrize("faults", [["cut"], ["500", "503"], ["corrupt", "corrupt"], ["cut", "corrupt", "500", "cut"]])
def test_what_passes_is_tried_again(bucket: Bucket, tmp_path: Path, faults: list[str]) -> None:
    bucket.faults["/a"] = list(faults)
    folder = download(bucket, session_of(bucket, {"a": BODY}), tmp_path / "weights")
    assert (folder / "a").read_bytes() == BODY


def test_a_part_that_stays_corrupt_ends_the_boot_and_names_it(bucket: Bucket, tmp_path: Path) -> None:
    session = session_of(bucket, {"a": BODY})
    bucket.objects["/a"] = BODY[:2500] + bytes([BODY[2500] ^ 1]) + BODY[2501:]
    with pytest.raises(BootFailed, match=r"a, part 3 \(bytes 2000 to 2999\)") as caught:
        download(bucket, session, tmp_path / "weights")
    assert caught.value.code == "checksum_mismatch"
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize(
    ("there", "words"),
    [(None, "missing"), (BODY[:-1], "3499 bytes in the bucket and 3500"), (BODY + b"x", "3501 bytes in the bucket")],
    ids=["missing", "short", "long"],
)
def test_a_file_that_is_not_what_the_manifest_says_ends_the_boot(
    bucket: Bucket, tmp_path: Path, there: bytes | None, words: str
) -> None:
    session = session_of(bucket, {"a": BODY})
    if there is None:
        del bucket.objects["/a"]
    else:
        bucket.objects["/a"] = there
    with pytest.raises(BootFailed, match=words) as caught:
        download(bucket, session, tmp_path / "weights")
    assert caught.value.code == "weights_incomplete"
    assert "liftoff weights push" in caught.value.hint
    assert not (tmp_path / "weights").exists()


def test_a_refused_url_is_not_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.faults["/a"] = ["403"] * 10
    with pytest.raises(BootFailed, match="refused the presigned URL") as caught:
        download(bucket, session_of(bucket, {"a": b"x"}), tmp_path / "weights")
    assert caught.value.code == "download_failed"
    assert len(bucket.asked) == 1


def test_a_storage_that_stays_down_ends_the_boot_after_bounded_attempts(bucket: Bucket, tmp_path: Path) -> None:
    bucket.faults["/a"] = ["500"] * 100
    with pytest.raises(BootFailed, match=r"8 attempts: curl: .*: 500"):
        download(bucket, session_of(bucket, {"a": b"x"}), tmp_path / "weights")
    assert len(bucket.asked) == 8


def test_after_a_reboot_only_what_is_missing_is_fetched(bucket: Bucket, tmp_path: Path) -> None:
    session = session_of(bucket, {"a": BODY})
    bucket.objects["/a"] = BODY[:2000] + bytes(1500)
    with pytest.raises(BootFailed):
        download(bucket, session, tmp_path / "weights")
    bucket.objects["/a"] = BODY
    noted = (tmp_path / "weights.partial" / ".journal").read_text().splitlines()
    bucket.asked.clear()
    folder = download(bucket, session, tmp_path / "weights")
    assert (folder / "a").read_bytes() == BODY
    assert len(bucket.asked) == len(session.parts) - len(noted)


def test_what_the_disk_lost_in_a_crash_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    session = session_of(bucket, {"a": BODY})
    partial = tmp_path / "weights.partial"
    partial.mkdir()
    (partial / "a").write_bytes(bytes(len(BODY)))
    (partial / ".journal").write_text("".join(f"a\t{index}\n" for index in range(4)))
    assert (download(bucket, session, tmp_path / "weights") / "a").read_bytes() == BODY


def test_what_is_there_already_is_not_fetched(bucket: Bucket, tmp_path: Path) -> None:
    session = session_of(bucket, {"a": BODY})
    download(bucket, session, tmp_path / "weights")
    bucket.asked.clear()
    download(bucket, session, tmp_path / "weights")
    assert bucket.asked == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", ".journal", ".authorities.pem"])
def test_a_path_that_leaves_its_folder_is_refused(bucket: Bucket, path: str) -> None:
    with pytest.raises(BootFailed, match="leaves its folder"):
        session_of(bucket, {"a": b"x"}, path=path)


def test_a_full_disk_is_told_as_such(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(BootFailed, match="3500 bytes of weights") as caught:
        download(bucket, session_of(bucket, {"a": BODY}), tmp_path / "weights")
    assert caught.value.code == "disk_full"


def test_plain_http_is_refused() -> None:
    with pytest.raises(ValueError, match="only https"):
        https.Connection(https.context(None)).request("GET", "http://127.0.0.1/")
