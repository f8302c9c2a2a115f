"""What is kept of a launch on disk: one JSON object per line, without secrets, for whoever asks later what happened."""

import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from automation.stages import Event
from provider import places

# The engine hides what it knows to be secret. This is for text that others wrote: keys, signatures, tokens.
_SECRETS: Final = (
    re.compile(r"sk-liftoff-[0-9A-Za-z]+"),
    re.compile(r"\blo_[0-9A-Za-z_-]{20,}"),
    re.compile(r"(?<=X-Amz-Signature=)[0-9a-fA-F]+"),
    re.compile(r"(?<=X-Amz-Credential=)[^&\s\"]+"),
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/-]+=*"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
)


def redact(text: str) -> str:
    """Return text with everything that looks like a key as `[secret]`."""
    for pattern in _SECRETS:
        text = pattern.sub("[secret]", text)
    return text


def remove(launch_id: str) -> None:
    """Delete the journal of a launch that is forgotten."""
    shutil.rmtree(_folder(launch_id), ignore_errors=True)


def _folder(launch_id: str) -> Path:
    return places.state_folder() / "launches" / launch_id


class Journal:
    """The folder of one launch: `events.jsonl` and the worker's own log."""

    def __init__(self, launch_id: str) -> None:
        self.folder = _folder(launch_id)
        # A launch that goes on after its server died has one already.
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)

    @property
    def events_file(self) -> Path:
        """Where the events are."""
        return self.folder / "events.jsonl"

    @property
    def worker_log(self) -> Path:
        """Where the worker's processes write what is no event."""
        return self.folder / "worker.log"

    def event(self, event: Event) -> None:
        """Add an engine event."""
        self.write("event", {name: value for name, value in asdict(event).items() if value not in ("", False)})

    def write(self, kind: str, record: dict[str, Any]) -> None:
        """Add a line: one object under the name of its kind."""
        self._file.write(redact(json.dumps({kind: record}, separators=(",", ":"), default=str)) + "\n")

    def close(self) -> None:
        """End it."""
        self._file.close()
