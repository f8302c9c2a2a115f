"""Why a launch, or one of its attempts, did not work, as it is recorded and told: without secrets."""

from dataclasses import asdict
from typing import Any

from automation.errors import Kind, LaunchFailure, Stopped
from automation.journal import redact


def make(kind: Kind, code: str, message: str, hint: str) -> dict[str, Any]:
    """Return an error of no stage and no resource."""
    return {"kind": kind.title, "code": code, "stage": "", "resource": "", "message": message, "hint": hint, "log": []}


def of_stop(error: Stopped) -> dict[str, Any]:
    """Return why something could not begin, or was ended."""
    return make(error.kind, error.code, redact(str(error)), error.hint)


def of_failure(failure: LaunchFailure) -> dict[str, Any]:
    """Return why an attempt failed."""
    found = asdict(failure)
    kept = {name: found[name] for name in ("code", "resource", "message", "hint")}
    texts = {name: redact(str(value)) for name, value in kept.items()}
    log_lines = [redact(line) for line in failure.log]
    return {"kind": failure.kind.title, "stage": failure.stage.title, **texts, "log": log_lines}
