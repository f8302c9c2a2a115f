"""`liftoff affected`: the stacks that a change in git may affect, for people and for a workflow's matrix."""

import json
from pathlib import Path
from typing import Annotated

import typer

from automation import affected as finding
from automation import views


def affected(
    *,
    base: Annotated[
        str | None, typer.Option("--base", help="The commit that the change begins at; left out, every stack is named.")
    ] = None,
    head: Annotated[str, typer.Option("--head", help="The commit that it ends at.")] = "HEAD",
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the Pulumi program.", envvar="LIFTOFF_PROJECT")
    ] = Path(),
    clouds: Annotated[bool, typer.Option("--clouds", help="Leave out stacks of the provider local.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Name the stacks that a change in git may affect."""
    with views.exits(views.choose(as_json=as_json)):
        found = finding.find(project, base or None, head)
    stacks = {name: provider for name, provider in found.stacks.items() if not (clouds and provider == "local")}
    if as_json:
        matrix = [{"stack": name, "provider": provider} for name, provider in stacks.items()]
        print(json.dumps({"stacks": matrix, "removed": found.removed}))
    else:
        print("".join(f"{name}\n" for name in stacks), end="")
