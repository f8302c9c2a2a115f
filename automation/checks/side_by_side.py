"""Several look-ups at once, each with a time limit."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from typing import Final, TypeVar

LIMIT_SECONDS: Final = 20.0

Key = TypeVar("Key")
Value = TypeVar("Value")


def run(
    looks: Mapping[Key, Callable[[], Value]], late: Callable[[Key, float], Value], limit_seconds: float = LIMIT_SECONDS
) -> dict[Key, Value]:
    """Return what each look-up answers, in order; `late` stands for one that has not ended in time.

    Args:
        looks: the look-ups. What one raises is raised here.
        late: is given a look-up's key and the limit in seconds.
        limit_seconds: for each of them; they begin together.
    """
    end = time.monotonic() + limit_seconds
    begun = {key: _begin(look) for key, look in looks.items()}
    found: dict[Key, Value] = {}
    for key, future in begun.items():
        try:
            found[key] = future.result(timeout=max(0.0, end - time.monotonic()))
        except TooLate:
            found[key] = late(key, limit_seconds)
    return found


def _begin(look: Callable[[], Value]) -> "Future[Value]":
    """Start one in a thread of its own: those of an executor are waited for when the command ends, however late."""
    future: Future[Value] = Future()

    def work() -> None:
        try:
            future.set_result(look())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future
