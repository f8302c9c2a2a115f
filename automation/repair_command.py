"""`liftoff repair`: a state that can't be read is taken from its last copy, and held against the clouds."""

import json
from pathlib import Path
from typing import Annotated

import typer

from automation import repair as repairing
from automation import views
from automation.errors import Kind
from automation.journal import redact
from automation.session import Interrupts


def repair(
    *,
    stack: Annotated[
        str, typer.Option("--stack", "-s", help="Name of the stack; its settings are in Pulumi.<stack>.yaml.")
    ] = "dev",
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the Pulumi program.", envvar="LIFTOFF_PROJECT")
    ] = Path(),
    delete_unknown: Annotated[
        bool, typer.Option("--delete-unknown", help="Delete the stack's machines that its state does not know.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Write JSON lines, as docs/cli.md describes them.")
    ] = False,
) -> None:
    """Restore a state that can't be read from its last copy, and make it say what there really is."""
    view = views.choose(as_json=json_lines)
    with views.exits(view):
        done = repairing.repair(project, stack, view, Interrupts(), delete_unknown=delete_unknown)
    left = [machine for machine in done.unknown if machine not in done.deleted]
    if json_lines:
        told = {"operation": "repair", "ok": done.failure is None and not left, "stack": stack, "copy": done.copy}
        counts = {"pending": done.pending, "resources": done.resources}
        machines = {"unknown": done.unknown, "deleted": done.deleted}
        print(
            redact(
                json.dumps(
                    {"type": "result", **told, **counts, **machines, "failure": views.plain_failure(done.failure)}
                )
            )
        )
    else:
        print(redact("\n".join(_sentences(done, left))))
    if done.failure is not None:
        raise typer.Exit(done.failure.kind.exit_code)
    raise typer.Exit(Kind.UNKNOWN.exit_code if left else 0)


def _sentences(done: repairing.Repaired, left: list[str]) -> list[str]:
    lines = [f"The state of stack {done.stack} was taken from {done.copy}." if done.copy else "The state can be read."]
    if done.pending:
        lines.append(f"{done.pending} creates whose end nobody saw are settled.")
    if done.failure is not None:
        lines.append(f"The refresh failed: {done.failure.message}")
        lines.append(f"What to do: {done.failure.hint}")
    else:
        lines.append(f"It has {done.resources} resources, which the clouds were asked for.")
    lines += [f"Deleted {machine}, which it did not know." for machine in done.deleted]
    if left:
        lines.append(f"It does not know {', '.join(left)}, which carries the stack's tags; one of them may serve.")
        lines.append(f"What to do: look, then liftoff repair --stack {done.stack} --delete-unknown")
    return lines
