"""The schedules of the campaign, and a short campaign as part of `make test`."""

import pytest

from tests.campaign.campaign import carry_out
from tests.campaign.schedule import MOMENTS, SLOW, Fault, schedule
from tests.campaign.world import World

SEED = 20_261_126
RUNS = 4


def test_the_same_seed_gives_the_same_runs_and_another_one_others() -> None:
    first = [schedule(SEED, number) for number in range(200)]
    assert first == [schedule(SEED, number) for number in range(200)]
    assert first != [schedule(SEED + 1, number) for number in range(200)]
    # Whichever runs are left out, each is the same.
    assert schedule(SEED, 137) == first[137]


def test_a_campaign_has_every_fault_at_every_moment_that_it_may_happen_at() -> None:
    runs = [schedule(SEED, number) for number in range(5000)]
    found = {(injection.fault, injection.moment) for run in runs for injection in run.injections}
    assert found == {(fault, moment) for fault in Fault for moment in MOMENTS[fault]}


def test_a_quick_campaign_has_no_fault_that_takes_minutes() -> None:
    runs = [schedule(SEED, number, quick=True) for number in range(500)]
    assert not SLOW & {injection.fault for run in runs for injection in run.injections}


@pytest.mark.engine
def test_no_fault_of_a_short_campaign_breaks_an_invariant(world: World) -> None:
    runs = [schedule(SEED, number, quick=True) for number in range(RUNS)]
    report = carry_out(world, runs, at_once=RUNS, leases=False)
    assert not report.broken, "\n\n".join(report.broken)
    assert report.ledger.runs == RUNS
