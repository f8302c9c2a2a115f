"""Programs that the tests need and that come as Go modules: built once into the cache, at a pinned version."""

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

from provider import places
from provider.local.host import locked


def installed(package: str, version: str) -> Path:
    """Return the executable of a Go package; build it if need be."""
    parts = PurePosixPath(package).parts
    # A module's major version is no name.
    name = parts[-2] if parts[-1].removeprefix("v").isdecimal() else parts[-1]
    path = places.cache_folder() / name / version / name
    with locked(path.parent.parent / "lock"):
        if not path.exists():
            go = shutil.which("go")
            assert go is not None, f"{name} has to be built, and there is no go on PATH"
            environment = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-buildvcs=false"}
            subprocess.run([go, "install", f"{package}@{version}"], env=environment, check=True)
    return path
