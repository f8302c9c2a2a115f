"""What a resource is really like, against what the state says; from the events of a refresh that writes nothing."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

SECRET: Final = "[secret]"
_LONGEST: Final = 200
"""Characters of a value that are shown: a machine's user data is thousands."""
_STEPS: Final = re.compile(r'\["(?P<quoted>[^"]*)"\]|\[(?P<index>\d+)\]|(?P<name>[^.\[\]]+)')
_ABSENT: Final = object()


class Change(BaseModel):
    """One property. `state` and `real` are texts for a person, None where the property is not there."""

    model_config = ConfigDict(frozen=True)

    property: str
    state: str | None
    real: str | None


class Difference(BaseModel):
    """One resource that is not as the state says.

    Attributes:
        urn: of the resource.
        type: its type token.
        what: whether it was changed from outside, or is gone.
        changes: the properties that differ, secrets hidden; empty for what is gone.
    """

    model_config = ConfigDict(frozen=True)

    urn: str
    type: str
    what: Literal["changed", "gone"]
    changes: tuple[Change, ...] = ()

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", maxsplit=1)[-1]


def of_step(
    urn: str,
    type_: str,
    op: str,
    old: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
    paths: Sequence[str],
) -> Difference | None:
    """Return what a refresh found of one resource, or None where it is as the state says.

    Args:
        urn: of the resource.
        type_: its type token.
        op: what the refresh would do to the state: `same`, `update` or `delete`.
        old: inputs and outputs in state, secrets as `[secret]`.
        new: the same as they really are.
        paths: the properties that differ, as the engine tells them; empty looks at the outputs.
    """
    if op == "delete":
        return Difference(urn=urn, type=type_, what="gone")
    if op != "update":
        return None
    named = paths or sorted(name for name in {*old[-1], *new[-1]} if old[-1].get(name) != new[-1].get(name))
    return Difference(urn=urn, type=type_, what="changed", changes=tuple(_changes(named, old, new)))


def _changes(
    paths: Sequence[str], old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> Iterator[Change]:
    for path in paths:
        pairs = [(_at(before, path), _at(after, path)) for before, after in zip(old, new, strict=True)]
        before, after = next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])
        if _is_hidden(before) or _is_hidden(after):
            before, after = (value if value is _ABSENT else SECRET for value in (before, after))
        yield Change(property=path, state=_text(before), real=_text(after))


def _at(values: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    for step in _STEPS.finditer(path):
        if isinstance(values, Mapping):
            values = values.get(step["quoted"] or step["name"] or step["index"], _ABSENT)
        elif isinstance(values, list) and step["index"] and int(step["index"]) < len(values):
            values = values[int(step["index"])]
        else:
            return _ABSENT
    return values


def _is_hidden(value: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return any(map(_is_hidden, value.values()))
    return any(map(_is_hidden, value)) if isinstance(value, list) else bool(value == SECRET)


def _text(value: Any) -> str | None:  # noqa: ANN401 - JSON
    if value is _ABSENT or value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
