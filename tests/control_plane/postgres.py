"""A PostgreSQL of its own for the time of the tests, from Debian's package."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_PROGRAMS: Final = Path("/usr/lib/postgresql")
_USER: Final = "postgres"


class Postgres:
    """A cluster that runs."""

    def __init__(self, programs: Path, port: int) -> None:
        self._programs = programs
        self._port = port

    def database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"test_{secrets.token_hex(4)}"
        where = ("-h", "127.0.0.1", "-p", str(self._port), "-U", _USER)
        subprocess.run([self._programs / "createdb", *where, name], check=True, capture_output=True)
        return f"postgresql://{_USER}@127.0.0.1:{self._port}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A cluster; skips where the package is not installed (`engine/debian.sh postgresql`)."""
    found = sorted(_PROGRAMS.glob("*/bin"), key=lambda path: float(path.parent.name))
    if not found:
        pytest.skip("PostgreSQL is not installed: make test-packages")
    programs, folder = found[-1], Path(tempfile.mkdtemp(prefix="liftoff-postgres-"))
    # It refuses to run as root.
    as_user: list[str | Path] = (
        ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"] if os.getuid() == 0 else []
    )
    if as_user:
        user = pwd.getpwnam(_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, port = folder / "data", _free_port()
    options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
    control: list[str | Path] = [*as_user, programs / "pg_ctl", "-D", data, "-w"]
    try:
        _run([*as_user, programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync"], folder)
        _run([*control, "-l", folder / "log", "-o", options, "start"], folder)
        try:
            yield Postgres(programs, port)
        finally:
            _run([*control, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str | Path], folder: Path) -> None:
    # Its server outlives the command, and would hold a pipe open.
    with (folder / "told").open("ab") as told:
        done = subprocess.run(command, cwd=folder, stdout=told, stderr=told, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, (folder / "told").read_text()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
