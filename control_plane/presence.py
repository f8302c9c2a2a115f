"""Which commands of this host live that carry launches out: each holds a lock on a file, which no death leaves held."""

import fcntl
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from provider import places

_PREFIX: Final = "command-"


@contextmanager
def held() -> Iterator[str]:
    """Yield a name for this process under which it is known to live until it leaves, or dies."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"{_PREFIX}{uuid.uuid4()}"
    partial = folder / f"new-{name}"
    with partial.open("x") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # Whoever looks finds it with its lock, or not at all.
        partial.rename(folder / name)
        try:
            yield name
        finally:
            (folder / name).unlink(missing_ok=True)


def dead() -> list[str]:
    """Return the names of the commands that have died before they could leave."""
    folder = _folder()
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.glob(f"{_PREFIX}*") if not _is_locked(path))


def forget(names: Iterable[str]) -> None:
    """Forget commands that have died, whose work others have."""
    for name in names:
        (_folder() / name).unlink(missing_ok=True)


def _folder() -> Path:
    return places.state_folder() / "commands"


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        # It has just left.
        return True
    return False
