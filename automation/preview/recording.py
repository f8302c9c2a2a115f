"""A step of the engine's as a JSON record, made in the worker: secrets never leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from automation.difference import SECRET

if TYPE_CHECKING:
    # The command line reads what is recorded, and comes up without the SDK.
    from pulumi.automation.events import StepEventMetadata, StepEventStateMetadata

# How the engine marks a secret in JSON: https://github.com/pulumi/pulumi, sdk/go/common/resource/sig.
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"


def masked(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a value as the engine's events hold it, each secret in it as the text `[secret]`."""
    if isinstance(value, dict):
        return SECRET if value.get(_SIGNATURE) == _SECRET_SIGNATURE else {key: masked(v) for key, v in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


def record(step: StepEventMetadata) -> dict[str, Any]:
    """Return a step with its inputs before and after, and how they differ; outputs only where one differs from them."""
    diff = step.detailed_diff or {}
    to_outputs = {_top(path) for path, entry in diff.items() if not entry.input_diff}
    return {
        "urn": step.urn,
        "type": step.type,
        "op": step.op.value,
        "provider": step.provider,
        "keys": step.keys or [],
        "diffs": step.diffs or [],
        "detailed_diff": {
            path: {"kind": entry.diff_kind.value, "of_inputs": bool(entry.input_diff)} for path, entry in diff.items()
        },
        "old": _inputs(step.old),
        "new": _inputs(step.new),
        "old_outputs": _some(step.old, to_outputs),
    }


def _inputs(state: StepEventStateMetadata | None) -> dict[str, Any] | None:
    return None if state is None else dict(masked(state.inputs or {}))


def _some(state: StepEventStateMetadata | None, names: set[str]) -> dict[str, Any]:
    outputs = (state.outputs if state is not None else None) or {}
    return {name: masked(value) for name, value in outputs.items() if name in names}


def _top(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]
