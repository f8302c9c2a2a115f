"""Properties on the engine's wire: plain values on our side, with secrets and unknowns kept apart from them.

The encoding is Pulumi's own, a struct with a signature key:
https://github.com/pulumi/pulumi, `resource/plugin/rpc.go`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

UNKNOWN: Final = rpc.UNKNOWN
"""Stands on the wire for a value that is not known before the update."""

_SIGNATURE: Final = rpc._special_sig_key
_SECRET: Final = rpc._special_secret_sig


@dataclass(frozen=True)
class Properties:
    """What a resource was given: values without wrapping, and the names of the secret and the unknown ones."""

    values: dict[str, Any]
    secret: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


def read(message: struct_pb2.Struct) -> Properties:
    """Return the properties of a message; one that holds an unknown or a secret anywhere counts as such."""
    values: dict[str, Any] = {}
    secret: set[str] = set()
    unknown: set[str] = set()
    for name, value in json_format.MessageToDict(message).items():
        plain, has_secret, has_unknown = _unwrap(value)
        if has_secret:
            secret.add(name)
        if has_unknown:
            unknown.add(name)
        else:
            values[name] = plain
    return Properties(values, frozenset(secret), frozenset(unknown))


def write(values: Mapping[str, Any], secret: Iterable[str] = (), unknown: Iterable[str] = ()) -> struct_pb2.Struct:
    """Return the message for properties, with the named ones wrapped as secrets or marked as unknown."""
    hidden = frozenset(secret)
    fields = {name: _secret(value) if name in hidden else value for name, value in values.items()}
    fields.update({name: _secret(UNKNOWN) if name in hidden else UNKNOWN for name in unknown})
    message = struct_pb2.Struct()
    json_format.ParseDict(fields, message)
    return message


def _secret(value: object) -> dict[str, object]:
    return {_SIGNATURE: _SECRET, "value": value}


def _unwrap(value: Any) -> tuple[Any, bool, bool]:  # noqa: ANN401 - a JSON value
    """Return the plain value, whether it holds a secret, and whether it holds an unknown."""
    if value == UNKNOWN:
        return None, False, True
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            plain, _, has_unknown = _unwrap(value.get("value"))
            return plain, True, has_unknown
        parts = {name: _unwrap(item) for name, item in value.items()}
        return (
            {name: plain for name, (plain, _, _) in parts.items()},
            any(part[1] for part in parts.values()),
            any(part[2] for part in parts.values()),
        )
    if isinstance(value, list):
        items = [_unwrap(item) for item in value]
        return [item[0] for item in items], any(item[1] for item in items), any(item[2] for item in items)
    return value, False, False
