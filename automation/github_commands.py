"""`liftoff github`: what the workflows say below pull requests and in issues."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from automation import views
from automation.github_threads import Threads

app = typer.Typer(help="Comments and issues that workflows keep up to date.", no_args_is_help=True)
Marker = Annotated[str, typer.Option("--marker", help="The name under which it is found again, such as drift:chat.")]


@app.command()
def comment(
    *,
    number: Annotated[int, typer.Option("--number", help="The pull request, by its number.")],
    marker: Marker,
    file: Annotated[Path, typer.Option("--file", help="The comment, in Markdown.", exists=True, dir_okay=False)],
) -> None:
    """Write a comment below a pull request, or update the one that is there."""
    _do(lambda threads: threads.comment(number, marker, file.read_text(encoding="utf-8")))


@app.command()
def issue(
    *,
    marker: Marker,
    title: Annotated[str, typer.Option("--title", help="The issue's title.")],
    file: Annotated[
        Path | None, typer.Option("--file", help="Its text, in Markdown; left out, an open issue is closed.")
    ] = None,
) -> None:
    """Open an issue, update the one that is there, or close it."""
    _do(
        lambda threads: (
            threads.close(marker) if file is None else threads.issue(marker, title, file.read_text(encoding="utf-8"))
        )
    )


def _do(work: Callable[[Threads], str]) -> None:
    with views.exits(views.choose(as_json=False)), Threads() as threads:
        typer.echo(work(threads))
