"""What the workflows are checked with: actionlint, from its Go module as this host's S3 server is, and zizmor."""

import sys
from pathlib import Path

from tests.go_programs import installed

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint"
ACTIONLINT_VERSION = "v1.7.12"
ROOT = Path(__file__).parents[2]
ZIZMOR = Path(sys.executable).parent / "zizmor"


def actionlint() -> Path:
    """Return the pinned actionlint; build it if need be."""
    return installed(ACTIONLINT, ACTIONLINT_VERSION)
