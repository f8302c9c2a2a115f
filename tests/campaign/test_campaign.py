"""The schedules of the campaign, and a short campaign as part of `make test`."""

from pathlib import Path

import pytest

from tests.campaign.campaign import carry_out
from tests.campaign.ledger import Entry, Ledger
from tests.campaign.load import Sample, Samples
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


def test_a_campaign_that_is_gone_on_with_counts_each_run_once(tmp_path: Path) -> None:
    file = tmp_path / "campaign.jsonl"
    Ledger(file).note(Entry(seed=1, number=0, faults=frozenset({Fault.STORM}), machines=2, status="failed", broken=0))
    again = Ledger(file)
    assert (again.has(1, 0), again.has(1, 1), again.has(2, 0)) == (True, False, False)
    again.note(Entry(seed=1, number=1, faults=frozenset(Fault), machines=1, status="succeeded", broken=1))
    assert Ledger(file).summary() == "2 runs of seed 1: 3 machines, 1 broke an invariant"
    rows = Ledger(file).table().splitlines()
    assert f"| {Fault.STORM} | 2 | 1 | 1 | 0 | 1 |" in rows
    assert f"| {Fault.CANCELLED} | 1 | 1 | 0 | 0 | 1 |" in rows


def test_the_table_of_faults_is_that_of_the_runs_that_are_kept() -> None:
    docs = Path(__file__).parents[2] / "docs"
    ledger = Ledger(docs / "campaign.jsonl")
    assert ledger.table() in (docs / "reliability.md").read_text()
    assert not [entry for entry in ledger.entries if entry.broken]


@pytest.mark.parametrize(("each", "grown"), [(0.0, []), (3.0, ["handles: 414, then 564"])])
def test_what_grows_under_load_is_not_flat(each: float, grown: list[str]) -> None:
    samples = Samples([Sample(float(at), 200.0, round(300 + each * at), 40, 10.0 + at) for at in range(1, 101)])
    assert samples.grown() == grown


@pytest.mark.engine
def test_no_fault_of_a_short_campaign_breaks_an_invariant(world: World) -> None:
    runs = [schedule(SEED, number, quick=True) for number in range(RUNS)]
    report = carry_out(world, runs, at_once=RUNS, leases=False)
    assert not report.broken, "\n\n".join(report.broken)
    assert len(report.outcomes) == RUNS
