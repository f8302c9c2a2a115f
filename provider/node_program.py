"""The boot program of `cloud-init/boot`, as it travels to a node: in the session document, checked by its digest there.

It is not in the user data because a cloud's limit on user data (16 KB on AWS) would be a limit on the program.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent.parent / "cloud-init" / "boot"


@cache
def files() -> dict[str, str]:
    """Return the program's modules by file name."""
    return {path.name: path.read_text() for path in sorted(FOLDER.glob("*.py"))}


def digest() -> str:
    """Return the program's SHA-256; another program is another session."""
    return hashlib.sha256(json.dumps(files(), sort_keys=True).encode()).hexdigest()
