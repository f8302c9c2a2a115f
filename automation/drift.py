"""Drift: what was changed in the cloud, or is gone, behind the stack's back. Looks, and writes nothing."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from automation import stages
from automation.difference import Difference
from automation.errors import LaunchFailure
from automation.session import Interrupts, Reporter, Session, judge
from automation.stages import Event
from automation.takedown import refuse_missing
from provider.status import Stage

_SECONDS: Final = 900.0


@dataclass(frozen=True)
class DriftResult:
    """What a look at the cloud has found.

    Attributes:
        stack: the stack.
        seconds: how long it took.
        looked_at: how many resources there are in state.
        differences: those that are not as the state says.
        failure: why the look failed; what else is told then is not everything.
    """

    stack: str
    seconds: float
    looked_at: int = 0
    differences: tuple[Difference, ...] = ()
    failure: LaunchFailure | None = None


def look(project: Path, stack: str, reporter: Reporter, interrupts: Interrupts) -> DriftResult:
    """Ask the clouds for each resource of a stack, and compare.

    Raises:
        Stopped: there is no such stack, or it is in use.
    """
    began = time.monotonic()
    seen: set[str] = set()
    failing: list[Event] = []

    def take(event: Event) -> None:
        if event.kind == "outputs" and stages.is_resource(event.type):
            seen.add(event.urn)
        elif event.kind == "failed" or (event.kind == "diagnostic" and event.severity == "error"):
            failing.append(event)

    with Session(project, stack, interrupts, reporter) as session:
        result = session.run("drift", _SECONDS, take)
        refuse_missing(session, result)
    failure = None if result.ok else judge(result, failing, Stage.VALIDATE)
    return DriftResult(stack, round(time.monotonic() - began, 3), len(seen), result.drift, failure)
