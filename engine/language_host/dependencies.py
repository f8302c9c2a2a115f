"""Installs a program's dependencies, for `pulumi install`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from .environments import declared_virtualenv, find_environment
from .errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .environments import RuntimeOptions


def install_dependencies(root: Path, program: Path, options: RuntimeOptions) -> Iterator[bytes]:
    """Install what the program declares and yield the installer's output as it comes.

    A uv.lock at or above the program means `uv sync`, a requirements.txt means pip; without either there is
    nothing to install.

    Raises:
        HostError: the installer is missing or failed.
    """
    locked = next((folder for folder in (program, *program.parents) if (folder / "uv.lock").is_file()), None)
    virtualenv = declared_virtualenv(root, options)
    if options.toolchain != "pip" and locked is not None:
        uv = shutil.which("uv")
        if uv is None:
            message = f"{locked / 'uv.lock'} needs `uv`, which is not on PATH. Install uv, or run `make setup`."
            raise HostError(message)
        extra = {"UV_PROJECT_ENVIRONMENT": str(virtualenv)} if virtualenv else {}
        yield from _output([uv, "sync", "--frozen"], locked, extra)
        return
    requirements = program / "requirements.txt"
    if virtualenv is not None and not (virtualenv / "bin" / "python").is_file():
        yield from _output([sys.executable, "-m", "venv", str(virtualenv)], program, {})
    if requirements.is_file():
        python = find_environment(root, program, options, os.environ).python
        yield from _output([str(python), "-m", "pip", "install", "-r", str(requirements)], program, {})


def _output(command: list[str], folder: Path, extra: dict[str, str]) -> Iterator[bytes]:
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | extra,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        if process.stdout is not None:
            yield from process.stdout
    if process.returncode != 0:
        message = f"`{' '.join(command)}` in {folder} failed (exit {process.returncode}); its output is above"
        raise HostError(message)
