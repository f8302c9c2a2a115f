"""What GitHub Actions is told of a command: annotations, a step summary and outputs for later steps.

Each text that a cloud or a node wrote is escaped for where it goes, and what looks like a key is hidden. While the view
itself writes, the runner takes no commands: a line of a node's log that begins with `::` stays a line of a log.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

import contextlib
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Self

from automation.errors import LaunchFailure, Stopped
from automation.failover import Attempt, PlanResult
from automation.journal import redact
from automation.launch import LaunchResult
from automation.takedown import DestroyResult
from automation.views import View
from automation.worker import SECRET
from provider.status import Status

_OUTPUTS: Final = {
    "endpoint": "endpoint",
    "provider": "provider",
    "region": "region",
    "instance-type": "instanceType",
    "price-per-hour": "pricePerHour",
    "expires-at": "expiresAt",
}
"""The outputs of a step, and which of the stack's they are. The API key is none of them."""


def told(view: View, environment: Mapping[str, str]) -> View:
    """Return a view that tells GitHub Actions, too, where the environment names its files; else the view itself."""
    summary, outputs = environment.get("GITHUB_STEP_SUMMARY"), environment.get("GITHUB_OUTPUT")
    if not summary and not outputs:
        return view
    return Actions(view, Path(summary) if summary else None, Path(outputs) if outputs else None)


class Actions:
    """A view that passes everything on to another one, and tells GitHub Actions how it ended.

    Args:
        view: who shows it.
        summary: the file of the step's summary, in Markdown.
        outputs: the file of the step's outputs.
    """

    def __init__(self, view: View, summary: Path | None, outputs: Path | None) -> None:
        self._view = view
        self._summary = summary
        self._outputs = outputs
        self._token = ""

    def __enter__(self) -> Self:
        self._stop_commands()
        self._view.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._view.__exit__(*reason)
        self._take_commands()

    def status(self, status: Status, elapsed: float) -> None:
        """Show a status."""
        self._view.status(status, elapsed)

    def note(self, text: str) -> None:
        """Show a note."""
        self._view.note(text)

    def launched(self, result: LaunchResult, talk: str) -> None:
        """Tell how a launch ended."""
        with self._quietly():
            self._view.launched(result, talk)
        self._write_launch(result, ())

    def planned(self, result: PlanResult, talk: str) -> None:
        """Tell what happened to each offer."""
        with self._quietly():
            self._view.planned(result, talk)
        failed = [attempt for attempt in result.attempts if attempt.failure is not None]
        if failed and result.ok:
            lines = [f"{one.offer}: {one.failure.kind.title}/{one.failure.code}" for one in failed if one.failure]
            self._annotate("warning", f"{len(failed)} offers failed before one answered", "\n".join(lines))
        if result.result is not None:
            self._write_launch(result.result, result.attempts)
            return
        self._annotate("error", "No offer was tried", "\n".join(attempt.skipped for attempt in result.attempts))
        self._summarise(["### No offer was tried", "", *_attempts(result.attempts)])

    def destroyed(self, result: DestroyResult) -> None:
        """Tell how a destroy ended."""
        with self._quietly():
            self._view.destroyed(result)
        if result.failure is None and not result.left:
            self._summarise(
                [f"### Stack {_code(result.stack)} is empty", "", f"{len(result.deleted)} resources deleted."]
            )
            return
        if result.failure is not None:
            self._annotate_failure(f"Destroy of stack {result.stack} failed", result.failure)
        left = ", ".join(result.left)
        if left:
            self._annotate("error", f"Stack {result.stack} is not empty", f"left: {left}")
        lines = [f"### Stack {_code(result.stack)} is not empty", "", f"Left: {_cell(left) or 'unknown'}", ""]
        self._summarise(lines + (_failure(result.failure) if result.failure else []))

    def stopped(self, error: Stopped) -> None:
        """Tell why the command can't go on."""
        with self._quietly():
            self._view.stopped(error)
        self._annotate("error", f"{error.kind.title}/{error.code}", f"{error}\nWhat to do: {error.hint}")
        self._summarise(
            [f"### Not begun: {error.kind.title}/{_code(error.code)}", "", *_fenced(str(error).splitlines())]
        )
        self._summarise([f"What to do: {_cell(error.hint)}"])
        self._put({"failure-kind": error.kind.title, "failure-code": error.code})

    def _write_launch(self, result: LaunchResult, attempts: Sequence[Attempt]) -> None:
        failure, stack = result.failure, _code(result.stack)
        values = {"launch-id": result.launch_id}
        if failure is None:
            found = {name: result.outputs.get(key) for name, key in _OUTPUTS.items()}
            values |= {name: str(value) for name, value in found.items() if value not in (None, SECRET)}
            rows = [f"| {name} | {_cell(value)} |" for name, value in values.items()]
            lines = [f"### Stack {stack} answers after {result.seconds:.0f} s", "", "| | |", "|---|---|", *rows, ""]
        else:
            self._annotate_failure(f"Launch of stack {result.stack} failed in stage {failure.stage.title}", failure)
            values |= {"failure-kind": failure.kind.title, "failure-code": failure.code}
            lines = [f"### Launch of stack {stack} failed: {failure.kind.title}/{_code(failure.code)}", ""]
            lines += _failure(failure)
        if result.cleanup is not None:
            cleanup = result.cleanup
            names = ", ".join(cleanup.resources)
            lines += [f"What was made: {cleanup.outcome}{f' ({_cell(names)})' if names else ''}", ""]
            if cleanup.command:
                level: Literal["error", "warning"] = "error" if cleanup.outcome == "left" else "warning"
                text = f"{cleanup.outcome}: {names or 'unknown'}; {cleanup.reason}\nremove it: {cleanup.command}"
                self._annotate(level, f"Stack {result.stack} may still cost money", text)
        self._summarise([*lines, *_timeline(result), *_attempts(attempts)])
        self._put(values)

    def _annotate_failure(self, title: str, failure: LaunchFailure) -> None:
        self._annotate("error", f"{title}: {failure.kind.title}", f"{failure.message}\nWhat to do: {failure.hint}")

    def _annotate(self, level: Literal["error", "warning"], title: str, text: str) -> None:
        # To standard error: standard output may be JSON lines for a program.
        print(f"::{level} title={_property(redact(title))}::{_data(redact(text))}", file=sys.stderr, flush=True)

    def _summarise(self, lines: Sequence[str]) -> None:
        if self._summary is not None:
            with self._summary.open("a", encoding="utf-8") as file:
                file.write(redact("\n".join([*lines, "", ""])))

    def _put(self, values: Mapping[str, str]) -> None:
        if self._outputs is None:
            return
        with self._outputs.open("a", encoding="utf-8") as file:
            for name, value in values.items():
                # A value can't end itself early and begin an output of its own: it does not know the delimiter.
                end = f"end_{secrets.token_hex(16)}"
                file.write(f"{name}<<{end}\n{redact(value)}\n{end}\n")

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        self._stop_commands()
        try:
            yield
        finally:
            self._take_commands()

    def _stop_commands(self) -> None:
        if not self._token:
            self._token = secrets.token_hex(16)
            print(f"::stop-commands::{self._token}", file=sys.stderr, flush=True)

    def _take_commands(self) -> None:
        if self._token:
            sys.stdout.flush()
            print(f"::{self._token}::", file=sys.stderr, flush=True)
            self._token = ""


def _data(text: str) -> str:
    # https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    """Return text for a table of Markdown: one line, and nothing in it that is markup."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", plain)


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def _fenced(lines: Sequence[str]) -> list[str]:
    """Return lines as a block of code that none of them can end."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence, ""]


def _failure(failure: LaunchFailure) -> list[str]:
    at = f" at {_cell(failure.resource)}" if failure.resource else ""
    lines = [f"In stage {failure.stage.title}{at}:", "", *_fenced(failure.message.splitlines())]
    lines += [f"What to do: {_cell(failure.hint)}", ""]
    if failure.log:
        lines += ["<details><summary>Last lines of the node</summary>", "", *_fenced(failure.log), "</details>", ""]
    return lines


def _timeline(result: LaunchResult) -> list[str]:
    rows = [
        f"| {span.stage.title} | {span.began:.1f} s | {span.ended - span.began:.1f} s |" for span in result.timeline
    ]
    return ["| stage | began | took |", "|---|---|---|", *rows, ""] if rows else []


def _attempts(attempts: Sequence[Attempt]) -> list[str]:
    rows = [f"| {_cell(str(one.offer))} | {_cell(_outcome(one))} | {one.seconds:.1f} s |" for one in attempts]
    return ["| offer | what happened | took |", "|---|---|---|", *rows, ""] if rows else []


def _outcome(attempt: Attempt) -> str:
    if attempt.failure is not None:
        return f"{attempt.failure.kind.title}/{attempt.failure.code}"
    return f"not tried: {attempt.skipped}" if attempt.skipped else "answers"
