"""Which Python runs a program, and with which environment variables."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOOLCHAINS = ("pip", "uv")


@dataclass(frozen=True)
class RuntimeOptions:
    """`runtime.options` of a Pulumi.yaml, as far as this host knows them."""

    virtualenv: str | None = None
    toolchain: str | None = None

    @classmethod
    def parse(cls, options: Mapping[str, object]) -> RuntimeOptions:
        """Read the options of a request.

        Raises:
            HostError: an option has a value that this host can't serve.
        """
        for name in ("virtualenv", "toolchain", "typechecker"):
            value = options.get(name)
            if value is not None and not isinstance(value, str):
                message = f"runtime.options.{name} in Pulumi.yaml is {value!r}; it must be a string"
                raise HostError(message)
        toolchain, typechecker = options.get("toolchain"), options.get("typechecker")
        if toolchain is not None and toolchain not in _TOOLCHAINS:
            message = (
                f"runtime.options.toolchain in Pulumi.yaml is {toolchain!r}; the language host of an engine "
                f"built from source knows {' and '.join(_TOOLCHAINS)}. Install the official Pulumi for more."
            )
            raise HostError(message)
        if typechecker is not None:
            message = (
                f"runtime.options.typechecker in Pulumi.yaml is {typechecker!r}; the language host of an "
                "engine built from source runs no type checker. Remove the option or install the official "
                "Pulumi."
            )
            raise HostError(message)
        virtualenv = options.get("virtualenv")
        return cls(
            virtualenv=virtualenv if isinstance(virtualenv, str) and virtualenv else None,
            toolchain=toolchain if isinstance(toolchain, str) else None,
        )


@dataclass(frozen=True)
class PythonEnvironment:
    """The Python that runs a program; `virtualenv` is None where it is no virtual environment."""

    python: Path
    virtualenv: Path | None

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return `inherited` as it is after this environment has been activated."""
        variables = dict(inherited)
        if self.virtualenv is not None:
            variables.pop("PYTHONHOME", None)
            variables["VIRTUAL_ENV"] = str(self.virtualenv)
            variables["PATH"] = os.pathsep.join(filter(None, [str(self.python.parent), inherited.get("PATH", "")]))
        return variables


def declared_virtualenv(root: Path, options: RuntimeOptions) -> Path | None:
    """Return the folder that Pulumi.yaml names, which need not exist yet; it is relative to `root`."""
    return root / Path(options.virtualenv).expanduser() if options.virtualenv else None


def find_environment(
    root: Path, program: Path, options: RuntimeOptions, inherited: Mapping[str, str]
) -> PythonEnvironment:
    """Choose the Python for the program in folder `program` of the project in folder `root`.

    The order: the virtual environment that Pulumi.yaml names, `LIFTOFF_PYTHON`, the nearest `.venv` at or
    above the program, the Python of this host.

    Raises:
        HostError: the environment that was asked for is not there.
    """
    declared = declared_virtualenv(root, options)
    if declared is not None:
        python = declared / "bin" / "python"
        if not python.is_file():
            message = (
                f"runtime.options.virtualenv in Pulumi.yaml is {options.virtualenv!r}, but {python} does not "
                "exist. Make it (`make setup` in Liftoff, else `pulumi install`) and try again."
            )
            raise HostError(message)
        return PythonEnvironment(python, declared)
    asked = inherited.get("LIFTOFF_PYTHON")
    if asked:
        python = Path(asked).expanduser()
        if not os.access(python, os.X_OK):
            message = f"LIFTOFF_PYTHON is {asked!r}, which is no executable file. Name a Python that has `pulumi`."
            raise HostError(message)
        return PythonEnvironment(python, _virtualenv_of(python))
    for folder in _upwards(program):
        python = folder / ".venv" / "bin" / "python"
        if python.is_file():
            return PythonEnvironment(python, python.parent.parent)
    own = Path(sys.executable)
    return PythonEnvironment(own, _virtualenv_of(own))


def _virtualenv_of(python: Path) -> Path | None:
    folder = python.parent.parent
    return folder if (folder / "pyvenv.cfg").is_file() else None


def _upwards(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.parents
