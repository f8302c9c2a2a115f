"""The weights: fetched in parts side by side, each part checked before it counts, resumed where it was left.

The files lie in a folder that has its final name only once every part of every file has been checked, so that what is
corrupt, short or missing can't be served.
"""

from __future__ import annotations

import concurrent.futures
import errno
import hashlib
import http
import json
import os
import random
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TextIO

from boot import curl
from boot.failure import BootFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boot.board import Board

_BUFFER_BYTES = 1 << 20
_CONNECTIONS = 16
_ATTEMPTS = 8
_CHECKSUM_ATTEMPTS = 3
_BACKOFF_SECONDS = (0.5, 1, 2, 4, 8, 16, 30)
_JOURNAL = ".journal"
_AUTHORITY = ".authorities.pem"
_PUSH_AGAIN = "upload the model again: liftoff weights push DIR s3://BUCKET/PREFIX"


@dataclass(frozen=True)
class Part:
    """One part of a file: where it begins, its length in bytes, and its SHA-256."""

    path: str
    url: str
    file_size: int
    index: int
    offset: int
    length: int
    sha256: str

    @property
    def label(self) -> str:
        """What an error calls it."""
        return f"{self.path}, part {self.index + 1} (bytes {self.offset} to {self.offset + self.length - 1})"


@dataclass(frozen=True)
class Session:
    """What the session document says."""

    parts: tuple[Part, ...]
    files: tuple[tuple[str, int], ...]
    requirements: str

    @property
    def total_bytes(self) -> int:
        """Length of all files together."""
        return sum(size for _, size in self.files)


def parse(document: bytes) -> Session:
    """Return the session in a document that the bootstrap has checked.

    Raises:
        BootFailed: a path in it points outside its folder.
    """
    given = json.loads(document)
    part_bytes = int(given["part_bytes"])
    parts: list[Part] = []
    files: list[tuple[str, int]] = []
    for file in given["files"]:
        path, size = str(file["path"]), int(file["size"])
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or pure.parts[0] in (_JOURNAL, _AUTHORITY):
            raise BootFailed("settings_invalid", "weights", f"the path {path!r} leaves its folder", _PUSH_AGAIN)
        files.append((path, size))
        for index, digest in enumerate(file["parts"]):
            offset = index * part_bytes
            parts.append(Part(path, file["url"], size, index, offset, min(part_bytes, size - offset), str(digest)))
    return Session(tuple(parts), tuple(files), str(given["requirements"]))


class _Failed(Exception):
    """A fetch that is worth another attempt; the text says why."""


class _WrongChecksum(Exception):
    """A part came that is not what the manifest says."""


class Download:
    """One download of a session's files into a folder."""

    def __init__(
        self,
        session: Session,
        folder: Path,
        authority: str | None,
        board: Board,
        cancelled: threading.Event,
        connections: int = _CONNECTIONS,
    ) -> None:
        self._session = session
        self._final = folder
        self._folder = folder.with_name(folder.name + ".partial")
        self._authority = authority
        self._trusted: Path | None = None
        self._board = board
        self._cancelled = cancelled
        self._connections = connections
        self._lock = threading.Lock()
        self._done = 0

    def run(self) -> Path:
        """Fetch what is missing and return the folder under its final name.

        Raises:
            BootFailed: a part can't be had or is not what it should be, or the disk is full.
        """
        total = self._session.total_bytes
        self._board.begin("weights", total, "bytes")
        if self._final.exists():
            self._board.finish("weights", "already here")
            return self._final
        self._folder.mkdir(parents=True, exist_ok=True)
        self._trusted = curl.trust(self._authority, self._folder / _AUTHORITY)
        try:
            self._allocate()
            missing = [part for part in self._session.parts if not self._kept(part)]
            with (self._folder / _JOURNAL).open("a") as journal:
                self._fetch_all(missing, journal)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise BootFailed(
                    "disk_full",
                    "weights",
                    f"the disk has no room for {total} bytes of weights at {self._final.parent}",
                    "choose an instance type with more disk, or a smaller model",
                ) from error
            raise
        (self._folder / _JOURNAL).unlink()
        (self._folder / _AUTHORITY).unlink(missing_ok=True)
        self._folder.rename(self._final)
        self._board.finish("weights")
        return self._final

    def _allocate(self) -> None:
        for path, size in self._session.files:
            target = self._folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab") as file:
                if size:
                    os.posix_fallocate(file.fileno(), 0, size)
                os.ftruncate(file.fileno(), size)

    def _kept(self, part: Part) -> bool:
        """Tell whether a part was fetched before a reboot and is still what it should be."""
        try:
            noted = f"{part.path}\t{part.index}\n" in (self._folder / _JOURNAL).read_text()
        except FileNotFoundError:
            return False
        if not noted:
            return False
        try:
            self._check_digest(part)
        except _WrongChecksum:
            return False
        self._count(part.length)
        return True

    def _fetch_all(self, parts: list[Part], journal: TextIO) -> None:
        def one(part: Part) -> None:
            self._fetch_checked(part)
            with self._lock:
                journal.write(f"{part.path}\t{part.index}\n")
                journal.flush()

        with concurrent.futures.ThreadPoolExecutor(self._connections, "weights") as pool:
            futures = [pool.submit(one, part) for part in parts]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                self._cancelled.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _fetch_checked(self, part: Part) -> None:
        mismatches = 0
        reason = ""
        for pause in _pauses():
            if self._cancelled.is_set():
                raise BootFailed("download_failed", "weights", "the download was stopped", "launch again")
            try:
                return self._fetch(part)
            except _WrongChecksum as error:
                mismatches += 1
                reason = str(error)
                if mismatches >= _CHECKSUM_ATTEMPTS:
                    raise BootFailed(
                        "checksum_mismatch",
                        "weights",
                        f"{part.label} is not what the manifest says, {mismatches} times in a row",
                        _PUSH_AGAIN,
                    ) from error
                self._board.say(f"weights: {part.label}: {reason}, trying again")
                continue
            except _Failed as error:
                reason = str(error)
            self._board.say(f"weights: {part.label}: {reason}, trying again")
            self._cancelled.wait(pause)
        raise BootFailed(
            "download_failed",
            "weights",
            f"{part.label} could not be fetched in {_ATTEMPTS} attempts: {reason}",
            "check that the node reaches the storage, and launch again",
        )

    def _fetch(self, part: Part) -> None:
        """Fetch a part into its place and check it.

        Raises:
            BootFailed: another attempt would go the same way.
            _Failed: it may go better the next time.
            _WrongChecksum: all of it came, but it is not what it should be.
        """
        counted = 0

        def watch(received: int) -> bool:
            nonlocal counted
            self._count(received - counted)
            counted = received
            return not self._cancelled.is_set()

        with (self._folder / part.path).open("r+b", buffering=0) as file:
            file.seek(part.offset)
            answer = curl.fetch(part.url, part.offset, part.length, file, self._trusted, watch)
            watch(answer.received)
        try:
            _check_answer(part, answer)
            self._check_digest(part)
        except BaseException:
            self._count(-answer.received)
            raise

    def _check_digest(self, part: Part) -> None:
        digest = hashlib.sha256()
        with (self._folder / part.path).open("rb", buffering=0) as file:
            file.seek(part.offset)
            left, buffer = part.length, memoryview(bytearray(_BUFFER_BYTES))
            while left and (count := file.readinto(buffer[: min(left, _BUFFER_BYTES)])):
                digest.update(buffer[:count])
                left -= count
        if digest.hexdigest() != part.sha256:
            raise _WrongChecksum("its checksum is wrong")

    def _count(self, bytes_more: int) -> None:
        with self._lock:
            self._done += bytes_more
            done = self._done
        self._board.advance("weights", done)


def _check_answer(part: Part, answer: curl.Answer) -> None:
    if answer.status == http.HTTPStatus.NOT_FOUND:
        raise BootFailed("weights_incomplete", "weights", f"{part.path} is missing in the bucket", _PUSH_AGAIN)
    if answer.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise BootFailed("weights_incomplete", "weights", f"{part.path} is shorter than the manifest says", _PUSH_AGAIN)
    if answer.status == http.HTTPStatus.FORBIDDEN:
        raise BootFailed(
            "download_failed",
            "weights",
            f"{part.path}: the storage refused the presigned URL",
            "the session's URLs may have ended: destroy the node and launch it again",
        )
    if answer.status in (http.HTTPStatus.OK, http.HTTPStatus.PARTIAL_CONTENT):
        if answer.file_size not in (None, part.file_size):
            raise BootFailed(
                "weights_incomplete",
                "weights",
                f"{part.path} has {answer.file_size} bytes in the bucket and {part.file_size} in the manifest",
                _PUSH_AGAIN,
            )
        if answer.status == http.HTTPStatus.OK and part.length != part.file_size:
            raise _Failed("the storage ignored the range")
    if answer.failure:
        raise _Failed(answer.failure)
    if answer.received < part.length:
        raise _Failed(f"{answer.received} of {part.length} bytes came")


def _pauses() -> Iterator[float]:
    """Give the pause after each attempt, in seconds, with some chance in it so that nodes don't ask in step."""
    for attempt in range(_ATTEMPTS):
        yield _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)] * random.uniform(0.5, 1.0)  # noqa: S311
