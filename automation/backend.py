"""Where the engine is, where it keeps its state, and with which passphrase: the same for Liftoff and by hand."""

import json
import os
import secrets
import shlex
import socket
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from automation import locks, stack_file
from automation.errors import LOCKED, Kind, Stopped
from automation.locks import Lock
from provider import places

_URL: Final = "PULUMI_BACKEND_URL"
_PASSPHRASES: Final = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def version() -> str:
    """Return the version that engine and SDK share."""
    return metadata.version("pulumi")


def engine_folder() -> Path:
    """Return the folder of the `pulumi` executable.

    Raises:
        Stopped: it is not there.
    """
    folder = places.cache_folder() / "engine" / version() / "bin"
    if not (folder / "pulumi").exists():
        raise Stopped(
            Kind.CONFIGURATION,
            "engine_missing",
            f"the Pulumi engine {version()} is not in {folder}",
            "install it: make setup",
        )
    return folder


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return what the engine needs in its environment beside what is given; makes the state's folder and passphrase."""
    made = {
        "PATH": os.pathsep.join([str(engine_folder()), given.get("PATH", os.defpath)]),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if url_of_user(given) is None:
        state = places.state_folder() / "pulumi"
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        made[_URL] = f"file://{state}"
    if not any(given.get(name) for name in _PASSPHRASES):
        made["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file())
    return made


def shell_lines(given: Mapping[str, str]) -> Iterator[str]:
    """Return the same as `export` lines for a shell; a passphrase is only ever named by its file."""
    for name, value in environment(given).items():
        if name == "PATH":
            yield f'export PATH={shlex.quote(str(engine_folder()))}:"$PATH"'
        else:
            yield f"export {name}={shlex.quote(value)}"


def url_of_user(given: Mapping[str, str]) -> str | None:
    """Return the backend that the user has chosen, by environment or by `pulumi login`, or None."""
    if given.get(_URL):
        return given[_URL]
    home = Path(given.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        current = json.loads((home / "credentials.json").read_text()).get("current")
    except (OSError, ValueError, AttributeError):
        return None
    return str(current) if current else None


def _passphrase_file() -> Path:
    folder = places.keys_folder()
    path = folder / "passphrase"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = folder / f".passphrase.{secrets.token_hex(4)}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
    try:
        # A link fails where another process was first, and whoever reads sees a whole passphrase.
        path.hardlink_to(partial)
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    return path


def is_locked(project: Path, stack: str) -> bool:
    """Tell whether a stack has a lock, of the living or the dead, as far as the backend's locks can be read."""
    url = url_of_user(os.environ) or environment(os.environ)[_URL]
    return any(locks.read(url, stack_file.project_name(project), stack))


def release_stale_locks(backend_url: str, project: str, stack: str) -> list[Lock]:
    """Release the locks in a file backend whose owner on this host is dead, and return them; broken ones go, too.

    Those in a bucket are left alone: a host's name alone does not tell that it is this one.

    Raises:
        Stopped: a living process, or one on another host, holds the stack.
    """
    released = []
    locks.remove_broken(backend_url, project, stack)
    for lock in locks.read(backend_url, project, stack):
        if not backend_url.startswith("file:") or lock.host != socket.gethostname() or _is_engine(lock.pid):
            raise Stopped(
                Kind.CONFIGURATION,
                LOCKED,
                f"stack {stack!r} is locked by {lock.holder}",
                f"wait for it to end; if you know that it is dead: {lock.release}",
            )
        Path(lock.place).unlink(missing_ok=True)
        released.append(lock)
    return released


def _is_engine(pid: int) -> bool:
    """Tell whether a process lives and is an engine: another program may have got the number since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return "pulumi" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        # No /proc on this system: alive is all that is known.
        return True
