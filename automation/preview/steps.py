"""From the engine's records (`recording`) to what happens to each resource: pure, in an order that stays."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from automation.difference import SECRET
from automation.stages import MACHINE_TYPES

Action = Literal["create", "update", "replace", "delete", "same"]
"""What happens to a resource; `replace` is one thing here and three steps of the engine's."""
Values = Mapping[str, Any]

STACK: Final = "pulumi:pulumi:Stack"
SETTINGS: Final = "pulumi:providers:liftoff"
"""The project's own provider is given the stack's plain settings: so those before the change are known, too."""
UNKNOWN: Final = "[known after the update]"
"""Stands for a value that only the update will tell."""

# The engine's marks of values that are not known yet, one for each kind:
# https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/resource/plugin/rpc.go
_UNKNOWNS: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_ACTIONS: Final[tuple[tuple[Action, frozenset[str]], ...]] = (
    ("replace", frozenset({"replace", "create-replacement", "delete-replaced", "import-replacement"})),
    ("create", frozenset({"create", "import"})),
    ("update", frozenset({"update"})),
    ("delete", frozenset({"delete", "discard", "remove-pending-replace"})),
)
_ORDER: Final[Mapping[Action, int]] = {"replace": 0, "delete": 1, "update": 2, "create": 3, "same": 4}
_OWN: Final = "__"
"""Properties of the engine's and the bridges' own begin so."""
_PART: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)')


@dataclass(frozen=True)
class Change:
    """One property that differs.

    Attributes:
        path: where, as the engine writes it: `tags["owner"]`, `disks[0].size`.
        kind: whether it is new, gone, or has another value.
        forces: whether the resource is replaced for it.
        old: the value before, None where there is none.
        new: the value after, None where there will be none.
    """

    path: str
    kind: Literal["add", "delete", "update"]
    forces: bool
    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Step:
    """What happens to one resource.

    Attributes:
        urn: its URN.
        type: its type token.
        action: what happens.
        provider: the URN of its provider, without the id.
        forced_by: the properties for which it is replaced, in order.
        changes: the properties that differ, in order; of an update and a replacement only.
        deleted_first: of a replacement: whether the old one goes before the new one comes.
        old: inputs before; None for a new resource.
        new: inputs after; None for one that is deleted.
    """

    urn: str
    type: str
    action: Action
    provider: str = ""
    forced_by: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    deleted_first: bool = False
    old: Values | None = field(default=None, repr=False)
    new: Values | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", maxsplit=1)[-1]

    @property
    def is_plumbing(self) -> bool:
        """Whether it is the engine's own: the stack, a provider."""
        return self.type.startswith("pulumi:")


def read(records: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return a step for each resource: what is lost first, then what changes, then what is new; machines before all."""
    by_urn: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_urn.setdefault(str(record["urn"]), []).append(record)
    found = [_step(urn, of) for urn, of in by_urn.items()]
    return tuple(
        sorted(found, key=lambda step: (_ORDER[step.action], step.type not in MACHINE_TYPES, step.type, step.urn))
    )


def settings(steps: Iterable[Step]) -> tuple[Change, ...]:
    """Return the stack's settings that differ; empty for a new stack and for one that goes."""
    for step in steps:
        if step.type == SETTINGS and step.old is not None and step.new is not None:
            old, new = dict(leaves(step.old)), dict(leaves(step.new))
            return tuple(
                Change(key, "update", False, old.get(key), new.get(key))
                for key in sorted(old.keys() | new.keys())
                if old.get(key) != new.get(key)
            )
    return ()


def leaves(values: object, path: str = "") -> Iterable[tuple[str, Any]]:
    """Return each value with its path, as the engine writes it; what is the engine's own is left out."""
    if isinstance(values, Mapping):
        for key in sorted(values):
            if not key.startswith(_OWN):
                yield from leaves(values[key], _joined(path, key))
    elif isinstance(values, list) and values:
        for index, item in enumerate(values):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, values


def at(values: object, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what stands at a path, or None; what stands in a secret or is not known yet is as the whole is."""
    found: Any = values
    for quoted, index, plain in _PART.findall(path):
        if found in (SECRET, UNKNOWN):
            return found
        if isinstance(found, Mapping):
            found = found.get(quoted or plain)
        elif isinstance(found, list) and index and int(index) < len(found):
            found = found[int(index)]
        else:
            return None
    return found


def _joined(path: str, key: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w]*", key):
        return f"{path}.{key}" if path else key
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{quoted}"]'


def _step(urn: str, records: Sequence[Mapping[str, Any]]) -> Step:
    ops = [str(record["op"]) for record in records]
    action: Action = next((one for one, of in _ACTIONS if of & set(ops)), "same")
    # The record of the new one tells the most: the last of these that there is.
    told = max(records, key=lambda record: (record["op"] == "create-replacement", bool(record["detailed_diff"])))
    old = next((record["old"] for record in records if record["old"] is not None), None)
    new = next((record["new"] for record in reversed(records) if record["new"] is not None), None)
    if action == "delete":
        new = None
    shown_old, shown_new = _known(old), _known(new)
    changes: tuple[Change, ...] = ()
    if action in ("update", "replace"):
        changes = tuple(_changes(told, shown_old or {}, shown_new or {}))
    return Step(
        urn=urn,
        type=str(told["type"]),
        action=action,
        provider="::".join(str(told["provider"]).split("::")[:-1]),
        forced_by=tuple(change.path for change in changes if change.forces) if action == "replace" else (),
        changes=changes,
        deleted_first=_comes_first(ops, "delete-replaced", "create-replacement"),
        old=shown_old if action != "create" else None,
        new=shown_new,
    )


def _comes_first(ops: Sequence[str], first: str, second: str) -> bool:
    return first in ops and second in ops and ops.index(first) < ops.index(second)


def _changes(record: Mapping[str, Any], old: Values, new: Values) -> Iterable[Change]:
    keys = {str(key) for key in record["keys"]}
    detailed: Mapping[str, Mapping[str, Any]] = record["detailed_diff"]
    # A provider that tells no details names the properties that differ, or only those that replace.
    plain = [] if detailed else [*record["diffs"], *record["keys"]]
    paths = {path: (entry["kind"], entry["of_inputs"]) for path, entry in detailed.items()}
    paths |= {str(path): ("update-replace" if path in keys else "update", True) for path in plain}
    outputs = _known(record["old_outputs"]) or {}
    for path in sorted(paths):
        kind, of_inputs = paths[path]
        before = at(old, path)
        if before is None and not of_inputs:
            before = at(outputs, path)
        after = at(new, path)
        # Bridged providers call it an update when one key of a map is new.
        shown: Literal["add", "delete", "update"] = "add" if before is None else "delete" if after is None else "update"
        yield Change(path, shown, kind.endswith("-replace"), before, after)


def _known(values: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(values, Mapping):
        return {key: _known(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_known(item) for item in values]
    return UNKNOWN if isinstance(values, str) and values in _UNKNOWNS else values
