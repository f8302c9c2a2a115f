"""The first program of a node: fetches the session document, checks it, unpacks the boot program and becomes it.

Usage: bootstrap.py SETTINGS ROOT [OPTION OF THE BOOT PROGRAM …]. It has to stay small: it travels in the user data.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import pathlib
import ssl
import sys
import time
import urllib.parse
from typing import Any


def main() -> None:
    settings_path, root = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    settings = json.loads(settings_path.read_text())
    program = root / "usr/local/lib/liftoff"
    session = root / "var/lib/liftoff/session.json"
    if not session.exists():
        document = fetch(settings)
        session.parent.mkdir(parents=True, exist_ok=True)
        for name, text in json.loads(document)["program"].items():
            (program / "boot").mkdir(parents=True, exist_ok=True)
            (program / "boot" / os.path.basename(name)).write_text(text)
        partial = session.with_suffix(".partial")
        # The document holds presigned URLs: nobody else may read it.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(document)
        partial.rename(session)
    os.chdir(program)
    os.execv(sys.executable, [sys.executable, "-m", "boot", str(settings_path), str(session), *sys.argv[3:]])


def fetch(settings: dict[str, Any]) -> bytes:
    """Return the session document; without it there is no boot, which the mailbox is told if it can be."""
    reason = ""
    for pause in (1, 2, 4, 8, 15, 30, 60):
        status, body = request(settings, "GET", settings["session_url"])
        if status == 200 and hashlib.sha256(body).hexdigest() == settings["session_sha256"]:
            return body
        reason = f"HTTP {status}" if status != 200 else "it is not the one that was announced"
        print(f"bootstrap: no session document: {reason}", flush=True)
        if status in (200, 403, 404):
            break
        time.sleep(pause)
    request(settings, "PUT", settings["mailbox_url"], json.dumps(letter(settings, reason)).encode())
    sys.exit(1)


def request(settings: dict[str, Any], method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(url)
    trusted = ssl.create_default_context()
    if settings["storage_ca"]:
        trusted.load_verify_locations(cadata=settings["storage_ca"])
    connection = http.client.HTTPSConnection(parts.netloc, timeout=30, context=trusted)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        print(f"bootstrap: {type(error).__name__}: {error}", flush=True)
        return 0, b""
    finally:
        connection.close()


def letter(settings: dict[str, Any], reason: str) -> dict[str, Any]:
    now = time.time()
    phase = {"state": "pending", "started_at": None, "ended_at": None, "done": 0, "total": 0, "unit": "steps"}
    return {
        "version": 1,
        "run_id": settings["run_id"],
        "sequence": int(now * 1000),
        "written_at": now,
        "started_at": now,
        "state": "failed",
        "phases": [{"name": name, "message": "", **phase} for name in ("install", "weights", "serve")],
        "error": {
            "code": "download_failed",
            "phase": "",
            "message": f"the session document could not be fetched: {reason}",
            "hint": "its URL may have ended, or somebody changed it: destroy the node and launch it again",
        },
        "log": [],
    }


main()
