"""How a launch is shown: live in a terminal, as plain lines in a pipe, as JSON lines for programs (docs/cli.md)."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Protocol, Self

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from automation.errors import LaunchFailure, Stopped
from automation.failover import Attempt, PlanResult
from automation.launch import LaunchResult
from automation.session import Reporter
from automation.takedown import Cleanup, DestroyResult
from provider import status as words
from provider.status import Stage, Status

_CLEANUPS = {
    "nothing": "Nothing was made, nothing is left.",
    "removed": "Everything that this launch made is deleted, and verified gone",
    "kept": "What was made is still there",
    "left": "Something may be left",
}


class View(Reporter, Protocol):
    """A reporter that also tells how it ended."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Stop showing."""

    def launched(self, result: LaunchResult, talk: str) -> None:
        """Tell how a launch ended; `talk` is how the endpoint is reached."""

    def planned(self, result: PlanResult, talk: str) -> None:
        """Tell what happened to each offer of a plan, and how its last launch ended."""

    def destroyed(self, result: DestroyResult) -> None:
        """Tell how a destroy ended."""

    def stopped(self, error: Stopped) -> None:
        """Tell why the command can't go on."""


def choose(*, as_json: bool) -> View:
    """Return the view for where standard output goes."""
    if as_json:
        return JsonLines()
    return Terminal(Console()) if sys.stdout.isatty() else Plain()


@contextmanager
def exits(view: View) -> Iterator[None]:
    """Show what stops a command, and end it with the exit code of its kind."""
    try:
        yield
    except Stopped as error:
        view.stopped(error)
        raise typer.Exit(error.kind.exit_code) from error


class JsonLines:
    """One JSON object per line on standard output."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def status(self, status: Status, elapsed: float) -> None:
        """Show a status."""
        self._say(
            "status",
            percent=status.percent,
            stage=status.stage.title,
            message=status.message,
            elapsed_seconds=round(elapsed, 3),
        )

    def note(self, text: str) -> None:
        """Show a note."""
        self._say("note", text=text)

    def launched(self, result: LaunchResult, talk: str) -> None:
        """Tell the result."""
        self._say(
            "result",
            operation="launch",
            ok=result.failure is None,
            launch_id=result.launch_id,
            stack=result.stack,
            seconds=result.seconds,
            outputs=dict(result.outputs),
            changes=dict(result.changes),
            timeline=[
                {"stage": span.stage.title, "began_seconds": span.began, "ended_seconds": span.ended}
                for span in result.timeline
            ],
            server=result.server or None,
            events_file=str(result.events_file) if result.events_file else None,
            failure=plain_failure(result.failure),
            cleanup=None if result.cleanup is None else asdict(result.cleanup),
        )

    def planned(self, result: PlanResult, talk: str) -> None:
        """Tell the result."""
        if result.result is not None:
            self.launched(result.result, talk)
        self._say("plan", ok=result.ok, attempts=[_plain_attempt(attempt) for attempt in result.attempts])

    def destroyed(self, result: DestroyResult) -> None:
        """Tell the result."""
        self._say(
            "result",
            operation="destroy",
            ok=result.failure is None and not result.left,
            stack=result.stack,
            seconds=result.seconds,
            deleted=list(result.deleted),
            left=list(result.left),
            failure=plain_failure(result.failure),
        )

    def stopped(self, error: Stopped) -> None:
        """Tell the reason."""
        self._say("error", kind=error.kind.title, code=error.code, message=str(error), hint=error.hint)

    def _say(self, type_: str, **record: object) -> None:
        print(json.dumps({"type": type_, **record}, separators=(",", ":")), flush=True)


class Plain:
    """A line for each change, as in a log."""

    def __init__(self) -> None:
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def status(self, status: Status, elapsed: float) -> None:
        """Show a status, if its words changed."""
        line = words.render(status)
        if line != self._shown:
            self._shown = line
            print(f"{_clock(elapsed)}  {line}", flush=True)

    def note(self, text: str) -> None:
        """Show a note."""
        print(text, flush=True)

    def launched(self, result: LaunchResult, talk: str) -> None:
        """Tell the result."""
        if result.failure is None:
            print("\n".join(["", *_registered(result), "", talk]))
        else:
            print("\n".join(_failed(result.failure, result.cleanup, result.story)), file=sys.stderr)

    def planned(self, result: PlanResult, talk: str) -> None:
        """Tell the result."""
        print("\n".join(["", *_plan(result)]))
        if result.result is not None:
            self.launched(result.result, talk)

    def destroyed(self, result: DestroyResult) -> None:
        """Tell the result."""
        ok = result.failure is None and not result.left
        print("\n".join(_gone(result)), file=sys.stdout if ok else sys.stderr)

    def stopped(self, error: Stopped) -> None:
        """Tell the reason."""
        print("\n".join(_stopped(error)), file=sys.stderr)


class Terminal:
    """The stages with their marks, a bar, the node's words, the clock; at the end the timeline."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._offset = time.monotonic()
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def status(self, status: Status, elapsed: float) -> None:
        """Show a status."""
        self._status = status
        self._offset = time.monotonic() - elapsed
        if self._live is None:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=8)
            self._live.start()

    def note(self, text: str) -> None:
        """Show a note above the stages."""
        self._console.print(Text(text, style="cyan"))

    def launched(self, result: LaunchResult, talk: str) -> None:
        """Tell the result."""
        self._end()
        if result.failure is None:
            table = Table(
                "stage", "began", "took", title="Timeline", title_justify="left", box=None, padding=(0, 2, 0, 0)
            )
            for span in result.timeline:
                table.add_row(span.stage.title, _clock(span.began), f"{span.ended - span.began:.1f} s")
            self._console.print(table)
            self._lines(["", *_registered(result), ""])
            self._console.print(Text(talk), soft_wrap=True)
        else:
            self._lines(_failed(result.failure, result.cleanup, result.story), style="red")

    def planned(self, result: PlanResult, talk: str) -> None:
        """Tell the result."""
        self._end()
        self._console.print("\n".join(["", *_plan(result)]), highlight=False, soft_wrap=True)
        if result.result is not None:
            self.launched(result.result, talk)

    def destroyed(self, result: DestroyResult) -> None:
        """Tell the result."""
        self._lines(_gone(result), style="" if result.failure is None and not result.left else "red")

    def stopped(self, error: Stopped) -> None:
        """Tell the reason."""
        self._end()
        self._lines(_stopped(error), style="red")

    def _lines(self, lines: list[str], style: str = "") -> None:
        # Only the first line carries the colour: the rest is for reading, and may hold what looks like markup.
        for index, line in enumerate(lines):
            self._console.print(Text(line, style=style if index == 0 else ""), soft_wrap=True)

    def _end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> RenderableType:
        status = self._status
        if status is None:
            return Text("")
        table = Table.grid(padding=(0, 1))
        for stage in Stage:
            done = status.stage.start > stage.start or status.percent >= Stage.REGISTER.start
            on = stage is status.stage and not done
            mark: RenderableType = Text("✓", "green") if done else self._spinner if on else Text("·", "dim")
            message = status.message if stage is status.stage else ""
            table.add_row(mark, Text(stage.title, "bold" if on else "" if done else "dim"), Text(message, "dim"))
        bar = Table.grid(padding=(0, 1))
        clock = _clock(time.monotonic() - self._offset)
        bar.add_row(
            ProgressBar(total=100, completed=status.percent, width=40), Text(f"{status.percent:5.1f}%  {clock}")
        )
        return Group(table, bar)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def _registered(result: LaunchResult) -> list[str]:
    outputs = result.outputs
    price = outputs.get("pricePerHour")
    cost = f", {price:.2f} USD/hour" if isinstance(price, int | float) and price else ""
    return [
        f"{outputs.get('model')} is served at {outputs.get('endpoint')} after {result.seconds:.1f} s",
        f"  on {outputs.get('instanceType')} at {outputs.get('provider')} {outputs.get('region')}{cost}, "
        f"until {outputs.get('expiresAt')}",
        f"  take it down: {result.take_down_command}",
    ]


def _failed(failure: LaunchFailure, cleanup: Cleanup | None, story: str) -> list[str]:
    at = f" at {failure.resource}" if failure.resource else ""
    lines = [
        f"Launch failed in stage '{failure.stage.title}'{at}: {failure.kind.title}/{failure.code}",
        *(f"  {line}" for line in failure.message.splitlines()),
    ]
    if failure.log:
        lines += ["", "Last lines of the node:", *(f"  {line}" for line in failure.log)]
    lines += ["", f"What to do: {failure.hint}"]
    if cleanup is not None:
        lines += _cleaned(cleanup)
    return [*lines, f"Everything that happened: {story}"]


def _cleaned(cleanup: Cleanup) -> list[str]:
    names = f": {', '.join(cleanup.resources)}" if cleanup.resources else ""
    reason = f" ({cleanup.reason})" if cleanup.reason else ""
    lines = [f"{_CLEANUPS[cleanup.outcome]}{names}{reason}"]
    return [*lines, f"  remove it: {cleanup.command}"] if cleanup.command else lines


def _gone(result: DestroyResult) -> list[str]:
    if result.failure is None and not result.left:
        what = f"{len(result.deleted)} resources deleted and verified gone" if result.deleted else "there was nothing"
        return [f"Stack {result.stack} is empty after {result.seconds:.1f} s: {what}"]
    lines = [f"Stack {result.stack} is not empty"]
    if result.failure is not None:
        at = f" at {result.failure.resource}" if result.failure.resource else ""
        lines[0] += f": {result.failure.kind.title}/{result.failure.code}{at}"
        lines += [*(f"  {line}" for line in result.failure.message.splitlines()), f"What to do: {result.failure.hint}"]
    if result.left:
        lines.append(f"Left: {', '.join(result.left)}")
    return [*lines, f"  try again: {result.again}"]


def _stopped(error: Stopped) -> list[str]:
    return [f"{error.kind.title}/{error.code}: {error}", f"What to do: {error.hint}"]


def plain_failure(failure: LaunchFailure | None) -> dict[str, object] | None:
    """Return a failure for JSON."""
    if failure is None:
        return None
    return {
        "kind": failure.kind.title,
        "code": failure.code,
        "stage": failure.stage.title,
        "resource": failure.resource,
        "message": failure.message,
        "hint": failure.hint,
        "retryable": failure.retryable,
        "log": list(failure.log),
    }


def _plan(result: PlanResult) -> list[str]:
    """Return what happened to each offer, in order."""
    lines = ["What was tried:"]
    for number, attempt in enumerate(result.attempts, 1):
        lines += [f"{number:3}. {attempt.offer}", f"     {_outcome(attempt)}"]
    return lines


def _outcome(attempt: Attempt) -> str:
    if attempt.failure is not None:
        first = attempt.failure.message.splitlines()[0]
        return f"{attempt.failure.kind.title} ({attempt.failure.code}) after {attempt.seconds:.1f} s: {first}"
    return f"not tried: {attempt.skipped}" if attempt.skipped else f"answers after {attempt.seconds:.1f} s"


def _plain_attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "offer": attempt.offer.model_dump(mode="json"),
        "seconds": round(attempt.seconds, 3),
        "skipped": attempt.skipped,
        "failure": plain_failure(attempt.failure),
    }
