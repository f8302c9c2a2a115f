"""The engine's own files of a stack's state in a file or S3 backend: the state, and the copies that the engine keeps.

The engine copies the state to `STACK.json.bak` before each write, and to `.pulumi/backups` after each update
(https://github.com/pulumi/pulumi/blob/master/pkg/backend/diy/state.go): the last of those is the state before the
update that is on.
"""

import contextlib
import glob
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from automation import locks
from automation.errors import Kind, Stopped

_STACKS: Final = ".pulumi/stacks"
_BACKUPS: Final = ".pulumi/backups"
_META: Final = ".pulumi/meta.yaml"
_BY_PROJECT: Final = "version: 1"
_VERSION: Final = 3
"""Of the states that the engine writes."""


@dataclass(frozen=True)
class Copy:
    """A copy of a state: where it is, and its text."""

    name: str
    text: str


class Place(Protocol):
    """Where a backend keeps its files, by names below its root."""

    def read(self, name: str) -> str | None:
        """Return a file's text; None where there is none."""

    def write(self, name: str, text: str) -> None:
        """Write a file, whole or not at all."""

    def below(self, folder: str) -> list[str]:
        """Return the names of the files below a folder."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""


def is_whole(text: str) -> bool:
    """Tell whether a text is a state that the engine can read: JSON with a checkpoint."""
    return _parsed(text) is not None


def deployment(text: str) -> dict[str, Any] | None:
    """Return what a state holds, as the engine exports it; None where it can't be read, or is of another version."""
    found = _parsed(text)
    return found["checkpoint"].get("latest") or {} if found and found.get("version") == _VERSION else None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("checkpoint"), dict) else None


def is_missing(place: Place, project: str, stack: str) -> bool:
    """Tell whether there surely is no such stack: no state in any of the forms that the engine may give one.

    Only of a store whose first word of its version is 1 are the states' names known, which may end with `.gz`
    (https://github.com/pulumi/pulumi/blob/master/pkg/backend/diy/store.go).
    """
    name = state_name(project, stack)
    return (place.read(_META) or "").strip() == _BY_PROJECT and not any(map(place.read, (name, f"{name}.gz")))


def state_name(project: str, stack: str) -> str:
    """Return the name of the file that holds a stack's state."""
    return f"{_STACKS}/{project}/{stack}.json"


def copies(place: Place, project: str, stack: str) -> Iterator[Copy]:
    """Yield the copies that the engine has kept of a state, the latest first."""
    name = state_name(project, stack)
    text = place.read(f"{name}.bak")
    if text is not None:
        yield Copy(f"{name}.bak", text)
    # Their names end with the nanosecond in which they were made.
    for backup in sorted(place.below(f"{_BACKUPS}/{project}/{stack}"), reverse=True):
        text = place.read(backup)
        if text is not None:
            yield Copy(backup, text)


def forget(place: Place, project: str, stack: str) -> None:
    """Remove the copies of a stack that is gone: the engine keeps them for ever."""
    name = state_name(project, stack)
    for copy in (f"{name}.bak", *place.below(f"{_BACKUPS}/{project}/{stack}")):
        place.remove(copy)


def set_aside(place: Place, project: str, stack: str) -> None:
    """Put a state away under another name, if there is one."""
    name = state_name(project, stack)
    found = place.read(name)
    if found is not None:
        place.write(f"{name}.broken-{int(time.time())}", found)
        place.remove(name)


def restore(place: Place, project: str, stack: str) -> str | None:
    """Put the latest whole copy in the place of a state that can't be read; the broken one is kept beside it.

    Returns:
        Which copy it is; None where the state is whole, and nothing was done.

    Raises:
        Stopped: there is neither a state nor a copy that can be read.
    """
    name = state_name(project, stack)
    found = place.read(name)
    if found is not None and is_whole(found):
        return None
    whole = next((copy for copy in copies(place, project, stack) if is_whole(copy.text)), None)
    if whole is None:
        raise Stopped(
            Kind.CONFIGURATION,
            "state_lost",
            f"stack {stack!r} has neither a state nor a copy of one that can be read: {name}",
            f"what it had made carries the tag liftoff-stack={stack}: delete it at the cloud, then `pulumi stack rm`",
        )
    if found is not None:
        place.write(f"{name}.broken-{int(time.time())}", found)
    place.write(name, whole.text)
    return whole.name


def place_of(backend_url: str) -> Place:
    """Return where a backend keeps its files.

    Raises:
        Stopped: it is neither files nor S3.
    """
    parts = urlsplit(backend_url)
    if parts.scheme == "file":
        return Folder(locks.root_of(parts))
    if parts.scheme == "s3":
        return S3(backend_url)
    raise Stopped(
        Kind.CONFIGURATION,
        "backend_unknown",
        f"the state in {parts.scheme}:// can't be repaired from here",
        "its own versions are the way back: see docs/state.md",
    )


class Folder:
    """A file backend."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> str | None:
        """Return a file's text; None where there is none."""
        try:
            return (self._root / name).read_text(errors="replace")
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a file, whole or not at all."""
        path = self._root / name
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def below(self, folder: str) -> list[str]:
        """Return the names of the files below a folder."""
        return [str(path.relative_to(self._root)) for path in (self._root / folder).glob("*.json")]

    def remove(self, name: str) -> None:
        """Remove a file with what the engine keeps beside it, or left of a write, and a folder that is empty then."""
        path = self._root / name
        for one in (path, path.with_name(f"{path.name}.attrs"), *path.parent.glob(f"{glob.escape(path.name)}.*.tmp")):
            one.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()


class S3:
    """A bucket, with the credentials that the engine uses for it."""

    def __init__(self, backend_url: str) -> None:
        parts = urlsplit(backend_url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._client = locks.client_of(parts)

    def read(self, name: str) -> str | None:
        """Return an object's text; None where there is none."""
        from botocore.exceptions import ClientError

        try:
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                return None
            raise
        return str(body.decode(errors="replace"))

    def write(self, name: str, text: str) -> None:
        """Write an object."""
        self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=text.encode())

    def below(self, folder: str) -> list[str]:
        """Return the names of the objects below a folder."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._key(folder)}/"
        )
        keys = [str(item["Key"]) for page in pages for item in page.get("Contents", ())]
        return [key.removeprefix(f"{self._prefix}/") if self._prefix else key for key in keys if key.endswith(".json")]

    def remove(self, name: str) -> None:
        """Remove an object."""
        self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}".removeprefix("/")
