"""Properties off the wire with unknowns left in place, and the paths of what differs between two of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

from provider import wire

UNKNOWN: Final = wire.UNKNOWN
DEFAULTS: Final = "__defaults"
"""Names the inputs that the provider filled in; Pulumi's Terraform bridge keeps them under this key."""

Values = dict[str, Any]
Path = tuple[str | int, ...]


def plain(message: struct_pb2.Struct) -> Values:
    """Return the values of a message: secrets unwrapped, unknowns as `UNKNOWN`, nulls left out."""
    return {
        name: value
        for name, value in ((name, _plain(value)) for name, value in json_format.MessageToDict(message).items())
        if value is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return _plain(value.get("value"))
        parts = {name: _plain(item) for name, item in value.items()}
        return {name: item for name, item in parts.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Say whether an unknown stands anywhere in a value."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def at(values: Any, path: str) -> Any:
    """Return what stands at a dotted path (`bootDisk.initializeParams.image`, `zones.0`), or None."""
    found = values
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return UNKNOWN if found == UNKNOWN else None
    return found


def known(values: Any, path: str) -> Any:
    """Return what stands at a dotted path, or None while it is not known."""
    found = at(values, path)
    return None if has_unknown(found) else found


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each leaf that differs; an unknown one counts, since it may."""
    if isinstance(old, Mapping | None) and isinstance(new, Mapping | None) and (old or new):
        old, new = old or {}, new or {}
        for name in sorted(old.keys() | new.keys()):
            if name != DEFAULTS:
                yield from changes(old.get(name), new.get(name), (*path, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from changes(before, after, (*path, index))
    elif old != new or has_unknown(new):
        yield path


def without_indices(path: Path) -> str:
    """Return a path as rules name it: dotted, without list indices."""
    return ".".join(part for part in path if isinstance(part, str))


def shown(path: Path) -> str:
    """Return a path in the engine's syntax: `a.b[0]["c.d"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Say whether a path without indices is one of these, below one of these, or the parent of one of these."""
    return any(
        path == pattern or path.startswith(f"{pattern}.") or pattern.startswith(f"{path}.") for pattern in patterns
    )
