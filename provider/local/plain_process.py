"""The fallback where no real machine can run: the same boot program as plain processes of this user."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from provider import places
from provider.local import process

_BOOTSTRAP: Final = "/usr/local/lib/liftoff/bootstrap.py"
_SETTINGS: Final = "/etc/liftoff/boot.json"


def start(folder: Path, user_data: str) -> process.Identity:
    """Unpack what the user data would have written, and start the boot program below the folder."""
    root = folder / "root"
    files = {file["path"]: file for file in yaml.safe_load(user_data)["write_files"]}
    for path, file in files.items():
        if path in (_BOOTSTRAP, _SETTINGS):
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            mode = int(str(file.get("permissions", "0600")), 8) & 0o700
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT, mode), "w") as output:
                output.write(file["content"])
    settings = root / _SETTINGS.lstrip("/")
    given: dict[str, Any] = json.loads(settings.read_text())
    settings.write_text(json.dumps({**given, "root": str(root), "packages": []}))
    with (folder / "console.log").open("ab") as console:
        started = subprocess.Popen(
            [sys.executable, str(root / _BOOTSTRAP.lstrip("/")), str(settings), str(root)],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            env=_environment(),
        )
    identity = process.detached(started)
    (folder / "session").write_text(str(identity.pid))
    return identity


def _environment() -> dict[str, str]:
    """Return what the node may know of this host's environment: no key of the stack, no credentials of a cloud."""
    passed = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY")
    wheels = places.cache_folder() / "wheels"
    return {name: os.environ[name] for name in passed if name in os.environ} | {
        "UV_CACHE_DIR": str(wheels),
        "PYTHONUNBUFFERED": "1",
    }


def end(identity: process.Identity, seconds: float) -> None:
    """Ask the boot program to end, which ends vLLM and the proxy; kill it after so many seconds."""
    process.end([identity], signal.SIGTERM, seconds=seconds)


def sweep(folder: Path) -> None:
    """Kill whatever is left of the machine's session."""
    try:
        session = int((folder / "session").read_text())
    except FileNotFoundError:
        return
    process.end(_members(session), signal.SIGKILL, seconds=5)


def _members(session: int) -> Iterator[process.Identity]:
    for path in Path("/proc").glob("[0-9]*"):
        # Processes come and go while they are looked at.
        with contextlib.suppress(OSError):
            if os.getsid(int(path.name)) == session:
                yield process.identify(int(path.name))
