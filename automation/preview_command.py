"""`liftoff preview`: what a launch would create, change, replace and cost, for a reviewer."""

import io
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from automation import launch
from automation.errors import LaunchFailure, Stopped
from automation.policy import settings
from automation.preview import comment, digest, engine, report, sarif, text
from automation.preview.report import Report
from automation.session import Interrupts, Session
from provider.status import Stage, Status

Format = Literal["markdown", "json", "text", "sarif"]
_DEFAULT_STACK: Final = "dev"


def preview(
    *,
    stack: Annotated[
        list[str] | None,
        typer.Option("--stack", "-s", help="Name of a stack; its settings are in Pulumi.<stack>.yaml. Repeatable."),
    ] = None,
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the Pulumi program.", envvar="LIFTOFF_PROJECT")
    ] = Path(),
    format_: Annotated[
        Format, typer.Option("--format", help="markdown is a comment for a pull request; sarif is for code scanning.")
    ] = "text",
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file; left out, to standard output.")] = None,
    digest_file: Annotated[
        Path | None, typer.Option("--digest", help="Write the steps' digest to this file, for --expect-digest.")
    ] = None,
    destroys: Annotated[bool, typer.Option("--destroy", help="Preview `liftoff destroy` instead.")] = False,
) -> None:
    """Say what a launch would create, change, replace and cost, and which rules it breaks. Nothing is made."""
    names = list(dict.fromkeys(stack or [_DEFAULT_STACK]))
    reports = [_report(project, name, destroys=destroys) for name in names]
    if format_ == "text" and out is None:
        text.show(reports, Console())
    else:
        written = _rendered(reports, format_, project)
        if out is None:
            print(written, end="")
        else:
            out.write_text(written, encoding="utf-8")
    if digest_file is not None:
        found = {one.stack: one.digest for one in reports if one.digest is not None}
        digest_file.write_text(digest.render(found), encoding="utf-8")
    raise typer.Exit(exit_code(reports))


def exit_code(reports: Sequence[Report]) -> int:
    """Return the code of the first stack that failed, else that of the rules, else 0."""
    failed = [one.exit_code for one in reports if one.failure is not None]
    return next((code for code in (*failed, *(one.exit_code for one in reports)) if code), 0)


class _Quiet:
    """Says what has to be known on standard error: standard output is the preview's."""

    def status(self, status: Status, elapsed: float) -> None:
        """A preview has no stages."""

    def note(self, text: str) -> None:
        """Tell it."""
        typer.echo(text, err=True)


def _report(project: Path, stack: str, *, destroys: bool) -> Report:
    try:
        allowed = settings.load(project, stack)
        if not destroys:
            launch.validate(project, stack, {})
        with Session(project, stack, Interrupts(), _Quiet()) as session:
            found, _ = engine.look(session, allowed, {}, destroys=destroys)
    except Stopped as error:
        failure = LaunchFailure(error.kind, error.code, Stage.VALIDATE, "", str(error), error.hint, False, str(error))
        return report.failed(stack, failure, destroys=destroys)
    return found


def _rendered(reports: Sequence[Report], format_: Format, project: Path) -> str:
    if format_ == "markdown":
        return comment.render(reports) + "\n"
    if format_ == "json":
        return json.dumps({"version": 1, "stacks": [text.document(one) for one in reports]}, indent=2) + "\n"
    if format_ == "sarif":
        return sarif.render(reports, lambda stack: _file(project, stack), metadata.version("liftoff"))
    written = io.StringIO()
    text.show(reports, Console(file=written, width=120, color_system=None))
    return written.getvalue()


def _file(project: Path, stack: str) -> str:
    path = project / sarif.file_name(stack)
    return path.read_text(encoding="utf-8") if path.exists() else ""
