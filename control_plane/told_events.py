"""The events of a launch as they come over the wire: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

END: Final = "end"
OPEN: Final = "open"
"""Not of docs/api.md: a connection stands, and what follows comes over it."""


@dataclass(frozen=True)
class Told:
    """One event of docs/api.md; `id` is that of the last event where it has none of its own."""

    id: int
    kind: str
    data: Mapping[str, Any]


def read(lines: Iterable[str], after: int) -> Iterator[Told]:
    """Return the events that the lines of a stream hold; one that is cut off is not told."""
    data: list[str] = []
    kind, last = "", after
    for line in lines:
        if not line:
            if data:
                yield Told(last, kind, json.loads("\n".join(data)))
            kind, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "data":
            data.append(value)
        elif field == "id" and value.isdecimal():
            last = int(value)
