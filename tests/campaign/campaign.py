"""A campaign: many runs at once in one world, and at its end the leases of what stands."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from tests.campaign.execution import SETTLE_SECONDS, Execution, Outcome
from tests.campaign.ledger import Entry, Ledger
from tests.campaign.oracle import Broken
from tests.campaign.schedule import Run
from tests.campaign.world import World

_LEASE_SECONDS: Final = 3600.0 + 60.0
"""The nodes' lifetime, and some more."""


@dataclass
class Report:
    """What a campaign found.

    Attributes:
        broken: the stories of runs that broke an invariant, with what the clouds hold and what Liftoff believes.
        leases: machines that existed when the server was dead for good and all leases had ended.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    leases: list[str] = field(default_factory=list)

    @property
    def invariants(self) -> set[str]:
        """The names of the invariants that were broken."""
        found = {one.invariant for outcome in self.outcomes for one in outcome.broken}
        return found | ({"no machine after its lease"} if self.leases else set())

    def of(self, number: int) -> Outcome:
        """Return the outcome of a run."""
        return next(outcome for outcome in self.outcomes if outcome.run.number == number)


def carry_out(
    world: World,
    runs: Iterable[Run],
    at_once: int,
    tell: Callable[[str], None] = lambda _: None,
    *,
    ledger: Ledger | None = None,
    leases: bool = True,
    settle_seconds: float = SETTLE_SECONDS,
) -> Report:
    """Carry runs out, some at once, and let the leases end at last, if asked.

    Args:
        world: where.
        runs: each is taken when somebody is free.
        at_once: how many.
        tell: is told what happened, run by run.
        ledger: keeps what became of each run.
        leases: kill the server for good at the end, and look what the leases alone leave.
        settle_seconds: how long it may take until nothing is left that nobody owns.
    """
    report, lock, taking, ended = Report(), threading.Lock(), threading.Lock(), threading.Event()

    def one(run: Run) -> None:
        execution = Execution(run, world, settle_seconds)
        try:
            outcome = execution.carry_out()
        except Exception as error:  # noqa: BLE001 - what a run dies of is told as its story
            broken = Broken("the campaign goes on", f"{type(error).__name__}: {error}")
            outcome = Outcome(run, execution._story, tuple(execution._happened), "unended", (broken,))
        if ended.is_set():
            # The world has gone from under it.
            return
        with lock:
            report.outcomes.append(outcome)
        if ledger is not None:
            ledger.note(_entry(outcome, execution.machines))
        if outcome.broken:
            told = f"{outcome.story}\n{'; '.join(map(str, outcome.broken))}\n{_explained(execution)}"
            with lock:
                report.broken.append(told)
            tell(told)
        seconds = time.monotonic() - outcome.story.began
        tell(f"{run.name}: {outcome.status} after {seconds:.0f} s, {', '.join(outcome.happened) or 'no fault'}")

    waiting = iter(runs)

    def work() -> None:
        while True:
            with taking:
                run = next(waiting, None)
            if run is None or ended.is_set():
                return
            one(run)

    # Each is taken only when somebody is free: under load there is no end of them.
    pool = ThreadPoolExecutor(at_once)
    try:
        list(pool.map(lambda _: work(), range(at_once)))
    finally:
        # Whoever is interrupted waits for no run.
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
    if leases:
        report.leases = after_leases(world)
    return report


def after_leases(world: World) -> list[str]:
    """Kill the server for good, let all leases end, and return the machines that exist all the same."""
    world.end_server_for_good()
    world.let_leases_end(_LEASE_SECONDS)
    return [life.record.id for life in world.lives.values() if life.ended is None]


def _explained(execution: Execution) -> str:
    try:
        return execution.explain()
    except Exception as error:  # noqa: BLE001 - the story is told without it
        return f"nothing more can be told: {error}"


def _entry(outcome: Outcome, machines: int) -> Entry:
    run, faults = outcome.run, frozenset(outcome.happened)
    return Entry(
        seed=run.seed,
        number=run.number,
        faults=faults,
        machines=machines,
        status=outcome.status,
        broken=len(outcome.broken),
    )
