"""`liftoff status`, `logs`, `cancel`: the launches of a server, or of this host's own control plane."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Console
from rich.text import Text

from automation import tables, views
from automation.errors import Kind, Stopped
from automation.offers import Offer
from automation.server_options import DatabaseUrl, ServerUrl, TokenFile
from control_plane import following, outcome, plane, server_launch, told_events
from control_plane.following import Inbox
from control_plane.plane import Plane
from provider.status import printable

_STYLES: Final = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}

JsonLines = Annotated[bool, typer.Option("--json", help="Write one JSON object per line.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The launch's id.")]


def status(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Only this launch, and all of it.")] = None,
    *,
    status_: Annotated[
        Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"] | None,
        typer.Option("--status", help="Only launches of this status."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Launches on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before this one ended.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show JOB to its end; Ctrl-C cancels it.")] = False,
    server: ServerUrl = "",
    token_file: TokenFile = None,
    database: DatabaseUrl = "",
    json_lines: JsonLines = False,
) -> None:
    """Tell how launches are: the latest, or one in full."""
    view = views.choose(as_json=json_lines)
    with views.exits(view), plane.choose(server, token_file, database) as where:
        if job is None:
            _refuse_follow(follow)
            _show_page(where.page(status_, limit, cursor), where, as_json=json_lines)
            return
        if follow:
            inbox = Inbox()
            with server_launch.interrupts(inbox):
                raise typer.Exit(server_launch.follow(where, job, inbox, view))
        found = where.status(job)
    if json_lines:
        print(json.dumps({"type": "launch", **found}))
    else:
        _show(found, where)


def logs(
    job: JobId,
    *,
    source: Annotated[
        Literal["engine", "node"] | None, typer.Option("--source", help="Only what this one wrote.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the launch has ended.")] = False,
    server: ServerUrl = "",
    token_file: TokenFile = None,
    database: DatabaseUrl = "",
    json_lines: JsonLines = False,
) -> None:
    """Show what engine and node wrote during a launch."""
    view = views.choose(as_json=json_lines)
    try:
        with views.exits(view), plane.choose(server, token_file, database) as where:
            _write_log(where, job, source, follow=follow, as_json=json_lines)
    except KeyboardInterrupt:
        # The log is left, the launch is not touched.
        raise typer.Exit(Kind.CANCELLED.exit_code) from None


def cancel(
    job: JobId,
    *,
    server: ServerUrl = "",
    token_file: TokenFile = None,
    database: DatabaseUrl = "",
    json_lines: JsonLines = False,
) -> None:
    """End a launch, and leave nothing of it in any cloud."""
    view = views.choose(as_json=json_lines)
    with views.exits(view):
        with plane.choose(server, token_file, database) as where:
            found = where.cancel(job)
        _refuse_succeeded(found, where)
    if json_lines:
        print(json.dumps({"type": "launch", **found}))
    elif found["status"] == "cancelling":
        whose = "" if where.option else "; a running `liftoff serve` carries it out"
        print(f"{job} is being cancelled{whose}: liftoff status {job} --follow{where.option}")
    else:
        print(f"{job} has ended: {found['status']}" + (f", {found['message']}" if found["message"] else ""))


def _refuse_follow(follow: bool) -> None:
    if follow:
        raise Stopped(Kind.CONFIGURATION, "job_missing", "--follow: given without JOB", "name the launch")


def _refuse_succeeded(launch: Mapping[str, Any], where: Plane) -> None:
    if launch["status"] == "succeeded":
        text = f"{launch['job_id']} has succeeded: there is nothing left to cancel"
        hint = f"take its node down: liftoff destroy {launch['job_id']}{where.option}"
        raise Stopped(Kind.CONFIGURATION, "launch_ended", text, hint)


def _write_log(where: Plane, job: str, source: str | None, *, follow: bool, as_json: bool) -> None:
    # Without --follow the log ends with what was there when it was asked for.
    last = None if follow else int(where.status(job)["event_id"])
    if last == 0:
        return

    def note(text: str) -> None:
        print(
            json.dumps({"type": "note", "text": text}) if as_json else text, file=sys.stdout if as_json else sys.stderr
        )

    for told in following.events(where, job, following.PATIENCE_SECONDS, note):
        if told.kind == "log" and source in {None, told.data["source"]}:
            if as_json:
                print(json.dumps({"type": "log", **told.data}), flush=True)
            else:
                print("\n".join(map(printable, told.data["lines"])), flush=True)
        if told.kind == told_events.END or (last is not None and told.id >= last):
            return


def _show_page(page: Mapping[str, Any], where: Plane, *, as_json: bool) -> None:
    if as_json:
        for launch in page["items"]:
            print(json.dumps({"type": "launch", **launch}))
        print(json.dumps({"type": "page", "next": page["next"]}))
        return
    console = Console()
    if not page["items"]:
        console.print("No launches.")
        return
    table = tables.make("job", "model", "status", "began", "what")
    for launch in page["items"]:
        state = launch["status"]
        table.add_row(
            launch["job_id"],
            Text(launch["model_name"]),
            Text(state, _STYLES.get(state, "")),
            clock(launch["created_at"]),
            Text(_what(launch)),
        )
    tables.show(table)
    if page["next"]:
        console.print(f"more: liftoff status --cursor {page['next']}{where.option}", highlight=False, soft_wrap=True)


def _what(launch: Mapping[str, Any]) -> str:
    if launch["error"]:
        return printable(f"{launch['error']['kind']} ({launch['error']['code']})")
    if launch["ended_at"]:
        return printable(str(launch["message"]))
    return printable(f"{launch['percentage']:.1f}% {launch['stage']}")


def _show(launch: Mapping[str, Any], where: Plane) -> None:
    console = Console()

    def say(*lines: str, style: str = "") -> None:
        for line in lines:
            console.print(Text(line, style), soft_wrap=True)

    say(f"{launch['job_id']}  {launch['model_name']}: {launch['status']}", style=_STYLES.get(launch["status"], ""))
    if launch["ended_at"] is None:
        say(f"  {_what(launch)}" + (f": {launch['message']}" if launch["message"] else ""))
        if launch["waiting_before"] is not None:
            say(f"  waits; {launch['waiting_before']} launches are before it")
        if launch["estimated_seconds_left"] is not None:
            say(f"  about {launch['estimated_seconds_left']:.0f} s more, by earlier launches of the same provider")
    say(f"  asked for at {clock(launch['created_at'])}" + _ended(launch))
    if launch["attempts"]:
        say("What was tried:", *_tries(launch["attempts"]))
    error = launch["error"]
    if error:
        say(f"{error['kind']}/{error['code']}:", *(f"  {line}" for line in str(launch["message"]).splitlines()))
        if error["log"]:
            say("Last lines of the node:", *(f"  {printable(line)}" for line in error["log"]))
        say(f"What to do: {error['hint']}")
    if launch["cost_so_far"]:
        say(f"Its machines have cost {launch['cost_so_far']:.2f} USD, those of failed attempts included")
    node = launch["node"]
    if node:
        say(f"Node {node['id']}: {node['state']}, {node['endpoint']}, {node['cost_so_far']:.2f} USD so far")
        if node["state"] != "gone":
            say(outcome.talk(node, where.option), f"Take it down: liftoff destroy {launch['job_id']}{where.option}")


def _ended(launch: Mapping[str, Any]) -> str:
    if launch["ended_at"] is None:
        return ""
    took = datetime.fromisoformat(launch["ended_at"]) - datetime.fromisoformat(launch["created_at"])
    return f", ended after {took.total_seconds():.0f} s"


def _tries(attempts: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for attempt in attempts:
        error = attempt["error"]
        lines.append(f"{attempt['number']:3}. {Offer.model_validate({**attempt['offer'], 'seen': None})}")
        if error:
            first = (str(error["message"]).splitlines() or [""])[0]
            lines.append(f"     {error['kind']} ({error['code']}): {printable(first)}")
        elif attempt["state"] == "skipped":
            lines.append(f"     not tried: {printable(attempt['reason'])}")
        else:
            lines.append(f"     {attempt['state']}")
    return lines


def clock(at: str | None) -> str:
    """Return a time of the API for a person, in UTC; nothing for none."""
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}Z" if at else ""
