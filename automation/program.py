"""The stack's program as a function: run in the worker, it needs none of the processes of a language host."""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

from automation import stack_file


def of(project: Path) -> Callable[[], None]:
    """Return what runs the program that Pulumi.yaml names, as `pulumi-language-python-exec` would.

    Raises:
        Stopped: there is no such file.
    """
    named = (project / stack_file.program(project)).resolve()
    entry = named / "__main__.py" if named.is_dir() else named

    def run() -> None:
        os.chdir(entry.parent)
        if str(entry.parent) not in sys.path:
            sys.path.insert(0, str(entry.parent))
        runpy.run_path(str(entry), run_name="__main__")

    return run
