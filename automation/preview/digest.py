"""What was reviewed, in a form that can be compared: the same steps have the same digest everywhere and always."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from automation.errors import Kind, Stopped
from automation.preview.steps import STACK, Step, Values, leaves

VERSION: Final = 1
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_RANDOM: Final = "[random]"


@dataclass(frozen=True)
class Digest:
    """The steps of one stack's preview.

    Attributes:
        sha256: of `steps` as canonical JSON, in hex.
        steps: an object for each step that does something: `urn`, `type`, `provider`, `op`, `forced_by`, `properties`.
    """

    sha256: str
    steps: tuple[Mapping[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"sha256": self.sha256, "steps": list(self.steps)}


def of(steps: Iterable[Step]) -> Digest:
    """Return the digest of a preview's steps. A secret is in it as `[secret]`: only that it changes is told."""
    entries = tuple(
        sorted(
            (_entry(step) for step in steps if step.action != "same" and step.type != STACK),
            key=lambda entry: str(entry["urn"]),
        )
    )
    return Digest(hashlib.sha256(canonical(entries).encode()).hexdigest(), entries)


def canonical(value: object) -> str:
    """Return JSON that is the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def render(stacks: Mapping[str, Digest]) -> str:
    """Return the text of a digest file."""
    document = {"version": VERSION, "stacks": {name: digest.document() for name, digest in stacks.items()}}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def expected(given: str, stack: str) -> tuple[str, tuple[Mapping[str, Any], ...] | None]:
    """Return the digest that `--expect-digest` names, and its steps where it names a file.

    Raises:
        Stopped: it is neither a file of `liftoff preview --digest` with this stack, nor 64 hex digits.
    """
    if _HEX.fullmatch(given.lower()):
        return given.lower(), None
    try:
        document = json.loads(Path(given).read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise _refused(f"version {document['version']!r} in {given}", f"version {VERSION}")
        stacks = document["stacks"]
        if stack not in stacks:
            raise _refused(f"{given}, which is for {', '.join(sorted(stacks)) or 'no stack'}", f"one for stack {stack}")
        steps = tuple(stacks[stack]["steps"])
        sha256 = str(stacks[stack]["sha256"])
    except OSError as error:
        raise _refused(
            f"{given!r}: {error.strerror}", "a file of `liftoff preview --digest`, or 64 hex digits"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(f"{given!r}, which can't be read", "a file of `liftoff preview --digest`") from error
    if hashlib.sha256(canonical(steps).encode()).hexdigest() != sha256:
        raise _refused(f"{given}, whose steps are not those of its own digest", "the file as it was written")
    return sha256, steps


def differences(reviewed: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each step that was not reviewed so, was reviewed and is not there, or differs."""
    before = {str(entry["urn"]): entry for entry in reviewed}
    after = {str(entry["urn"]): entry for entry in now}
    lines = []
    for urn in sorted(before.keys() | after.keys()):
        old, new = before.get(urn), after.get(urn)
        name = f"{urn.rsplit('::', 1)[-1]} ({(new or old or {}).get('type')})"
        if old is None and new is not None:
            lines.append(f"{name}: {new['op']}, which was not reviewed")
        elif new is None and old is not None:
            lines.append(f"{name}: {old['op']} was reviewed, now nothing happens")
        elif old is not None and new is not None and old != new:
            lines += [f"{name}: {line}" for line in _entry_differences(old, new)]
    return lines


def _entry_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    if old["op"] != new["op"]:
        yield f"{old['op']} was reviewed, now {new['op']}"
    before, after = dict(old["properties"]), dict(new["properties"])
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"{path}: {_shown(before, path)} was reviewed, now {_shown(after, path)}"
    for key in ("provider", "type", "forced_by"):
        if old.get(key) != new.get(key):
            yield f"{key}: {json.dumps(old.get(key))} was reviewed, now {json.dumps(new.get(key))}"


def _shown(properties: Mapping[str, Any], path: str) -> str:
    return json.dumps(properties[path], sort_keys=True) if path in properties else "nothing"


def _entry(step: Step) -> dict[str, Any]:
    if step.action in ("update", "replace"):
        properties: dict[str, Any] = {
            change.path: [change.kind, _plain(step, change.old), _plain(step, change.new)] for change in step.changes
        }
    else:
        values: Values = (step.new if step.action == "create" else None) or {}
        properties = {path: _plain(step, value) for path, value in leaves(values)}
    return {
        "urn": step.urn,
        "type": step.type,
        "provider": step.provider,
        "op": step.action,
        "forced_by": list(step.forced_by),
        "properties": properties,
    }


def _plain(step: Step, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a value without the part of it that the engine makes up anew for each preview."""
    if isinstance(value, str):
        # Names that the engine makes: https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
        return re.sub(rf"^{re.escape(step.name)}-?[0-9a-f]{{7,8}}$", f"{step.name}-{_RANDOM}", value)
    if isinstance(value, Mapping):
        return {key: _plain(step, item) for key, item in value.items()}
    return [_plain(step, item) for item in value] if isinstance(value, list) else value


def _refused(given: str, allowed: str) -> Stopped:
    return Stopped(
        Kind.CONFIGURATION,
        "digest_refused",
        f"--expect-digest: given {given}; allowed: {allowed}",
        "write it with `liftoff preview --stack STACK --digest FILE`",
    )
