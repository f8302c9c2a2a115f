"""What the node needs before it can serve: packages of the operating system, and vLLM in an environment of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from boot.failure import BootFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UV_VERSION = "0.13.9"
MARKER = "liftoff-requirements.sha256"
"""File in the environment with the SHA-256 of the requirements it was made from: a baked image brings it along."""

_LOOK_SECONDS = 1.0
_APT_ATTEMPTS = 3


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Return the packages that are not installed."""
    if not packages:
        return []
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in packages if name not in installed]


def install_packages(packages: Sequence[str], say: Callable[[str], None], wait: Callable[[float], bool]) -> None:
    """Install packages of the operating system; tries again when the archive does not answer.

    Raises:
        BootFailed: they can't be installed.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "a"}
    # Another process, such as the cloud's own agent, may hold dpkg's lock for a while.
    options = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-q"]
    words = ""
    for attempt in range(_APT_ATTEMPTS):
        for step in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            code, words = follow(["apt-get", *options, *step], say, environment)
            if code != 0:
                break
        else:
            return
        if wait(5.0 * (attempt + 1)):
            break
    raise BootFailed(
        "install_failed",
        "install",
        f"apt-get could not install {', '.join(packages)}: {words}",
        "check that the node reaches its package archive, and launch again",
    )


def wanted(requirements: str) -> list[str]:
    """Return the lines of a requirements.txt that name a package."""
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def is_installed(venv: Path, requirements: str) -> bool:
    """Tell whether an environment was made from exactly these requirements."""
    try:
        return (venv / MARKER).read_text().strip() == _digest(requirements)
    except FileNotFoundError:
        return False


def install_environment(
    venv: Path, requirements: str, say: Callable[[str], None], progress: Callable[[int, int], None]
) -> None:
    """Make the environment from a list of requirements; a complete one is taken as it is, the same everywhere.

    Raises:
        BootFailed: it can't be made.
    """
    total = len(wanted(requirements))
    progress(0, total)
    venv.parent.mkdir(parents=True, exist_ok=True)
    listing = venv.with_name("requirements.txt")
    listing.write_text(requirements)
    uv = _uv(venv, say)
    over = threading.Event()
    looker = threading.Thread(target=_look, args=(venv, total, progress, over), daemon=True)
    looker.start()
    try:
        command = [str(uv), "pip", "install", "--python", str(venv / "bin" / "python")]
        # A list that names an index of its own is resolved here; any other is complete.
        command += [] if "--extra-index-url" in requirements else ["--no-deps"]
        # A company's proxy is trusted by the system, not by the list that uv brings along.
        command.append("--system-certs")
        code, words = follow([*command, "--compile-bytecode", "--requirements", str(listing)], say)
    finally:
        over.set()
        looker.join()
    if code != 0:
        raise BootFailed(
            "install_failed",
            "install",
            f"the serving environment could not be installed: {words}",
            "check that the node reaches the package index and has disk left, and launch again",
        )
    (venv / MARKER).write_text(_digest(requirements) + "\n")
    progress(total, total)


def _uv(venv: Path, say: Callable[[str], None]) -> Path:
    """Make the environment and return uv in it."""
    uv = venv / "bin" / "uv"
    if uv.exists():
        return uv
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}"],
    )
    for step in steps:
        code, words = follow(step, say)
        if code != 0:
            shutil.rmtree(venv, ignore_errors=True)
            raise BootFailed(
                "install_failed",
                "install",
                f"the installer could not be installed: {words}",
                "check that the node reaches the package index, and launch again",
            )
    return uv


def _look(venv: Path, total: int, progress: Callable[[int, int], None], over: threading.Event) -> None:
    """Count the packages that have arrived in the environment: the installer itself says nothing until its end."""
    while not over.wait(_LOOK_SECONDS):
        found = sum(1 for _ in venv.glob("lib/python*/site-packages/*.dist-info"))
        progress(min(found, total), total)


def follow(
    command: Sequence[str], say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program, pass its lines on, and return its exit code and its last words."""
    last: list[str] = []
    with subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment) if environment is not None else None,
    ) as process:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.rstrip()
            if line:
                last = [*last[-4:], line]
                say(line)
    return process.returncode, " | ".join(last)


def _digest(requirements: str) -> str:
    return hashlib.sha256(requirements.encode()).hexdigest()
