"""`liftoff check`: what a launch needs and does not have, with what to do about it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from automation import views
from automation.checks import survey
from automation.checks.finding import Finding, State, worst
from automation.errors import Kind, Stopped
from automation.offer_options import ANY, InstanceTypes, Providers, Regions
from components.catalog import PROVIDERS

_STYLES: Final = {State.OK: "green", State.MISSING: "red", State.UNKNOWN: "yellow", State.SKIPPED: "dim"}


def check(
    *,
    stack: Annotated[
        str, typer.Option("--stack", "-s", help="Name of the stack; its settings are in Pulumi.<stack>.yaml.")
    ] = "dev",
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the Pulumi program.", envvar="LIFTOFF_PROJECT")
    ] = Path(),
    provider: Providers = None,
    region: Regions = None,
    instance_type: InstanceTypes = None,
    market: Annotated[
        Literal["spot", "on-demand", "auto"] | None,
        typer.Option("--market", help="Which quota has to have room; auto: either. Left out, the stack's."),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Write one JSON object per line.")] = False,
) -> None:
    """Say what a launch needs of credentials, permissions, quota and bucket, and does not have."""
    with views.exits(views.choose(as_json=json_lines)):
        asked = survey.Asked(_clouds(provider or []), tuple(region or ()), tuple(instance_type or ()), market)
        found = survey.survey(project, stack, asked)
    kind = worst(found)
    if json_lines:
        _write(found, kind, stack)
    else:
        _show(found, kind)
    raise typer.Exit(kind.exit_code if kind else 0)


def _clouds(given: Sequence[str]) -> frozenset[str]:
    for name in given:
        if name not in (*PROVIDERS, ANY):
            raise Stopped(
                Kind.CONFIGURATION,
                "provider_unknown",
                f"--provider: given {name!r}; allowed: {', '.join(PROVIDERS)}",
                "correct the name",
            )
    return frozenset() if ANY in given else frozenset(given)


def _write(found: Sequence[Finding], kind: Kind | None, stack: str) -> None:
    for one in found:
        record = {
            "provider": one.provider,
            "subject": one.subject,
            "state": one.state.value,
            "message": one.message,
            "hint": one.hint,
            "kind": one.kind.title if one.kind else None,
        }
        print(json.dumps({"type": "finding", **record}))
    ended = {"operation": "check", "ok": kind is None, "stack": stack, "kind": kind.title if kind else None}
    print(json.dumps({"type": "result", **ended}))


def _show(found: Sequence[Finding], kind: Kind | None) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=False)
    for width in (7, 7, 11):
        table.add_column(min_width=width, no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        # Text, not markup: what a cloud says may look like it.
        state = Text(one.state.value, style=_STYLES[one.state])
        table.add_row(Text(one.provider), state, Text(one.subject), Text(one.message))
        if one.hint:
            table.add_row("", "", "", Text(f"→ {one.hint}", style="bold" if one.kind else "dim"))
    console.print(table)
    told = f"A launch would end with: {kind.title}." if kind else "Nothing that was looked up stands in a launch's way."
    console.print(told, highlight=False)
