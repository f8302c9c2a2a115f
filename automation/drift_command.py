"""`liftoff drift`: what of a stack was changed from outside, told by the exit code and in words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from automation import drift as looking
from automation import views
from automation.difference import Difference
from automation.drift import DriftResult
from automation.journal import redact
from automation.session import Interrupts

DRIFTED: Final = 20
"""The exit code for a stack that is not as its state says; failures have the codes of their kinds."""


def drift(
    *,
    stack: Annotated[
        str, typer.Option("--stack", "-s", help="Name of the stack; its settings are in Pulumi.<stack>.yaml.")
    ] = "dev",
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the Pulumi program.", envvar="LIFTOFF_PROJECT")
    ] = Path(),
    json_lines: Annotated[
        bool, typer.Option("--json", help="Write JSON lines, as docs/cli.md describes them.")
    ] = False,
) -> None:
    """Say what of a stack was changed from outside or is gone; nothing is changed or written."""
    view = views.choose(as_json=json_lines)
    with views.exits(view):
        result = looking.look(project, stack, view, Interrupts())
    lines = records(result) if json_lines else sentences(result)
    for line in lines:
        print(redact(line))
    raise typer.Exit(_code(result))


def records(result: DriftResult) -> Iterator[str]:
    """Return the JSON lines of a result."""
    for one in result.differences:
        changes = [change.model_dump() for change in one.changes]
        yield json.dumps(
            {"type": "difference", "resource": one.name, "of": one.type, "what": one.what, "changes": changes}
        )
    ended = {"operation": "drift", "ok": result.failure is None, "stack": result.stack, "seconds": result.seconds}
    found = {"drifted": bool(result.differences), "looked_at": result.looked_at}
    yield json.dumps({"type": "result", **ended, **found, "failure": views.plain_failure(result.failure)})


def sentences(result: DriftResult) -> Iterator[str]:
    """Return the lines for a person."""
    for one in result.differences:
        yield from _sentences(one)
    if result.failure is not None:
        failure = result.failure
        yield f"The look at stack {result.stack} failed: {failure.kind.title}/{failure.code}"
        yield from (f"  {line}" for line in failure.message.splitlines())
        yield f"What to do: {failure.hint}"
    elif result.differences:
        count = len(result.differences)
        yield f"{count} of {result.looked_at} resources of stack {result.stack} are not as its state says."
        yield f"What to do: liftoff launch --stack {result.stack} makes them so again. The state takes them over with:"
        yield f'  eval "$(liftoff env)"; pulumi refresh --stack {result.stack}'
    else:
        yield f"The {result.looked_at} resources of stack {result.stack} are as its state says."


def _sentences(one: Difference) -> Iterator[str]:
    if one.what == "gone":
        yield f"{one.name} ({one.type}) is gone"
        return
    yield f"{one.name} ({one.type}) was changed:"
    for change in one.changes:
        before, after = ("nothing" if side is None else side for side in (change.state, change.real))
        yield f"  {change.property}: in state {before}, really {after}"


def _code(result: DriftResult) -> int:
    if result.failure is not None:
        return result.failure.kind.exit_code
    return DRIFTED if result.differences else 0
