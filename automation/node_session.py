"""The boot session of a stack's node, read from the stack's state: where the node's mailbox is, and what opens it.

The bucket's keys stay where they are, encrypted in the state: whoever may decrypt it may read the mailbox.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from automation import backend
from automation.errors import Kind, Stopped

if TYPE_CHECKING:
    from provider.storage import Storage

_TYPE: Final = "liftoff:index:BootSession"
# What the engine marks a secret with: https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/sig
_MARK: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class NodeSession:
    """One node's session: its run id, which names its mailbox, and the bucket that holds it."""

    run_id: str
    storage: "Storage" = field(repr=False)


def read(project: Path, stack: str) -> NodeSession:
    """Return the session of a stack's node.

    Raises:
        Stopped: there is no such stack, it has no node, or its state can't be read.
    """
    command = [str(backend.engine_folder() / "pulumi"), "--non-interactive", "stack", "export", "--show-secrets"]
    environment = {**os.environ, **backend.environment(os.environ)}
    done = subprocess.run(
        [*command, "--stack", stack], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        text = done.stderr.strip().removeprefix("error: ")
        raise Stopped(
            Kind.UNKNOWN,
            "stack_missing" if "no stack named" in text else "state_unreadable",
            f"the state of stack {stack!r} can't be read: {text}",
            "see what the text says",
        )
    found = session_in(json.loads(done.stdout))
    if found is None:
        raise Stopped(Kind.CONFIGURATION, "no_node", f"stack {stack!r} has no node", "launch it first")
    return found


def session_in(exported: Mapping[str, Any]) -> NodeSession | None:
    """Return the session in a state that was exported with its secrets; None where it has none."""
    # It brings boto3 along, which a command that reads no mailbox should not wait for.
    from provider.storage import Storage

    resources = (exported.get("deployment") or {}).get("resources") or ()
    for resource in resources:
        # One that is replaced stays in the state until it is deleted.
        if resource.get("type") == _TYPE and not resource.get("delete"):
            storage = _plain(resource["inputs"]["storage"])
            return NodeSession(str(resource["id"]), Storage.model_validate(storage))
    return None


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a value of the state without the marks of secrets."""
    if isinstance(value, dict):
        if value.get(_MARK) == _SECRET:
            return _plain(json.loads(value["plaintext"]))
        return {name: _plain(inner) for name, inner in value.items() if not name.startswith("__")}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
