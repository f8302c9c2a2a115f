"""One range of an object, fetched by curl into its place in a file.

curl moves the bytes, not Python: measured, it takes a third of the processor time, and no lock keeps its processes from
using every core. The presigned URL goes through its standard input, so that no list of processes shows it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from boot.failure import BootFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CONNECT_SECONDS = 30
_STALLED_SECONDS = 30
_LOOK_SECONDS = 0.25
_STATUS = re.compile(r"^HTTP/\S+ (\d{3})", re.MULTILINE)
_RANGE = re.compile(r"^content-range: *bytes [^/]*/(\d+)", re.MULTILINE | re.IGNORECASE)
_LENGTH = re.compile(r"^content-length: *(\d+)", re.MULTILINE | re.IGNORECASE)
_WORDS = re.compile(r"^curl: .*$", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """How a fetch ended.

    Attributes:
        received: bytes that lie in the file.
        status: the HTTP status; 0 where none came.
        file_size: length of the whole object in bytes as the storage tells it; None where it does not.
        failure: curl's own words where it failed; empty where it did not.
    """

    received: int
    status: int
    file_size: int | None
    failure: str


def trust(authority: str | None, path: Path) -> Path | None:
    """Write the system's authorities and one more (PEM) to a file; without one more, curl's own list will do."""
    if authority is None:
        return None
    system = ssl.get_default_verify_paths().cafile
    with path.open("w") as file:
        if system is not None:
            with open(system) as known:  # noqa: PTH123 - the interpreter gives text
                shutil.copyfileobj(known, file)
        file.write("\n" + authority)
    return path


def fetch(
    url: str, offset: int, length: int, file: BinaryIO, trusted: Path | None, watch: Callable[[int], bool]
) -> Answer:
    """Fetch a range of an object into a file, at the file's position.

    Args:
        url: where it is, https.
        offset: the first byte wanted.
        length: how many are wanted; more are never written.
        file: unbuffered; its position moves on by what was received.
        trusted: file of the authorities to trust; None for curl's own.
        watch: told about four times a second how many bytes have come; False ends the fetch.

    Raises:
        BootFailed: there is no curl.
    """
    began = file.tell()
    # No configuration of a user's, and no bytes of an error page; an answer that is too long ends before it is written.
    command = ["curl", "--disable", "--config", "-", "--silent", "--show-error", "--fail", "--proto", "=https"]
    # Over HTTP/2 curl is slower, and every process has a connection of its own anyway.
    command += ["--http1.1", "--range", f"{offset}-{offset + length - 1}", "--max-filesize", str(length)]
    command += ["--connect-timeout", str(_CONNECT_SECONDS), "--speed-limit", "1", "--speed-time", str(_STALLED_SECONDS)]
    command += ["--dump-header", "/dev/stderr", *(["--cacert", str(trusted)] if trusted else [])]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise BootFailed(
            "install_failed", "weights", "there is no curl on this node", "use an image that has curl"
        ) from (error)
    with process:
        given: bytes | None = f"url = {json.dumps(url)}\n".encode()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, told = process.communicate(given, timeout=_LOOK_SECONDS)
                break
            given = None
            # The position belongs to the open file, which curl shares.
            if not watch(os.lseek(file.fileno(), 0, os.SEEK_CUR) - began):
                process.kill()
    text = told.decode(errors="replace")
    return _answer(file.tell() - began, process.returncode, text)


def _answer(received: int, code: int, told: str) -> Answer:
    status = _STATUS.findall(told)
    # The answer to a range has the object's length in content-range; content-length is the range's own.
    total = _RANGE.search(told) or _LENGTH.search(told)
    words = _WORDS.search(told)
    return Answer(
        received,
        int(status[-1]) if status else 0,
        int(total[1]) if total else None,
        "" if code == 0 else words[0] if words else f"curl ended with {code}",
    )
