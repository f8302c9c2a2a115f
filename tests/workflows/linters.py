"""What the workflows are checked with: actionlint, from its Go module as this host's S3 server is, and zizmor."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from provider import places
from provider.local.host import locked

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint"
ACTIONLINT_VERSION = "v1.7.12"
ROOT = Path(__file__).parents[2]
ZIZMOR = Path(sys.executable).parent / "zizmor"


def actionlint() -> Path:
    """Return the pinned actionlint; build it if need be."""
    path = places.cache_folder() / "actionlint" / ACTIONLINT_VERSION / "actionlint"
    with locked(path.parent.parent / "lock"):
        if not path.exists():
            go = shutil.which("go")
            assert go is not None, "actionlint has to be built, and there is no go on PATH"
            environment = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-buildvcs=false"}
            subprocess.run([go, "install", f"{ACTIONLINT}@{ACTIONLINT_VERSION}"], env=environment, check=True)
    return path
