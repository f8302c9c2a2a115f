"""`liftoff sweep`: what ended launches have left is deleted."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Annotated

import typer

from automation import views
from automation.errors import Kind, Stopped
from automation.server_options import DatabaseUrl
from automation.session import Interrupts, Reporter
from automation.takedown import DestroyResult
from control_plane.launch_commands import JsonLines
from control_plane.own import Own
from control_plane.own_take_down import take_down


@dataclass(frozen=True)
class Leftover:
    """Something that nobody looks after any more.

    Attributes:
        name: the launch that it is of.
        why: how it is known to be left.
        remove: deletes it; None where it is told only.
    """

    name: str
    why: str
    remove: Callable[[Reporter, Interrupts], DestroyResult] | None


def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False,
    database: DatabaseUrl = "",
    json_lines: JsonLines = False,
) -> None:
    """Delete what ended launches have left."""
    view = views.choose(as_json=json_lines)
    interrupts = _interrupts()
    found = swept = 0
    with views.exits(view):
        with Own(database) as own:
            leftovers = sorted(left_folders(own), key=lambda leftover: leftover.name)
        for leftover in leftovers:
            found += 1
            _tell(leftover, view, as_json=json_lines)
            if dry_run or leftover.remove is None or interrupts.count:
                continue
            try:
                with view:
                    result = leftover.remove(view, interrupts)
            except Stopped as error:
                # Such as a server that works on it just now: the others are swept all the same.
                view.note(f"{leftover.name}: {error}; {error.hint}")
                continue
            view.destroyed(result)
            swept += result.failure is None and not result.left
    if json_lines:
        told = {"operation": "sweep", "ok": swept == found, "found": found, "deleted": swept, "dry_run": dry_run}
        print(json.dumps({"type": "result", **told}))
    else:
        print(
            f"{found} left behind, {swept} deleted{' (--dry-run)' if dry_run else ''}" if found else "Nothing is left."
        )
    if interrupts.count:
        raise typer.Exit(Kind.CANCELLED.exit_code)
    raise typer.Exit(Kind.UNKNOWN.exit_code if found > swept and not dry_run else 0)


def left_folders(own: Own) -> Iterator[Leftover]:
    """Yield what the launches have left: to be deleted, or only told."""
    found = own.left_behind()
    for name in found.unknown:
        why = "its folder is here, and this database does not know it: give the --database of its server"
        yield Leftover(name, why, None)
    for launch in found.ended:

        def remove(reporter: Reporter, interrupts: Interrupts, name: str = launch.id) -> DestroyResult:
            return take_down(own, name, reporter, interrupts)

        why = f"its launch has ended ({launch.status}), and its folder is still here"
        yield Leftover(launch.id, why, remove)


def _tell(leftover: Leftover, view: Reporter, *, as_json: bool) -> None:
    if as_json:
        told = {"name": leftover.name, "why": leftover.why, "known": leftover.remove is not None}
        print(json.dumps({"type": "leftover", **told}), flush=True)
    else:
        view.note(f"{leftover.name}: {leftover.why}")


def _interrupts() -> Interrupts:
    found = Interrupts()

    def press(_signal: int, _frame: FrameType | None) -> None:
        found.press()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, press)
    return found
