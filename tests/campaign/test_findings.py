"""What the campaign has found: each run that broke an invariant once, and breaks none any more.

A run is written out, so that it stays the same when schedules change; seed and number are those that found it, and
seed 0 is what was found by reading.
"""

import pytest

from tests.campaign.campaign import Report, carry_out
from tests.campaign.schedule import Fault, Injection, Moment, Run
from tests.campaign.world import World

pytestmark = pytest.mark.engine

LOST = Injection(Fault.ANSWER_LOST, Moment.MACHINE)

FINDINGS = {
    "a machine whose answer was lost goes before another one is asked for": Run(1, 3, "aws", (LOST,), keep=True),
    "a machine whose answer was lost is found though the listing lags behind": Run(
        1, 17, "gcp", (LOST, Injection(Fault.LISTING_STALE, Moment.RECORDED, 8))
    ),
    "a cloud that can't be listed for a moment ends no launch that has to look for its machine": Run(
        1, 52, "gcp", (LOST, Injection(Fault.LISTING_REFUSED, Moment.MADE, 6))
    ),
    "a machine of a plugin that is gone is looked for until the cloud can be listed, before another is asked for": Run(
        3, 52, "gcp", (Injection(Fault.PROVIDER_GONE, Moment.MACHINE), Injection(Fault.LISTING_REFUSED, Moment.MADE, 6))
    ),
    "an address whose answer was lost is released before another one is asked for": Run(
        0, 0, "aws", (Injection(Fault.ADDRESS_LOST, Moment.ASKED),)
    ),
    "a machine of a plugin that is gone goes, and the fault has its name": Run(
        1, 0, "aws", (Injection(Fault.PROVIDER_GONE, Moment.MACHINE),)
    ),
    "an engine that was killed is gone on with, and holds nobody up": Run(
        1, 14, "aws", (Injection(Fault.ENGINE_KILLED, Moment.BEGIN),)
    ),
    "an update whose process was killed is gone on with": Run(
        1, 10, "azure", (Injection(Fault.WORKER_KILLED, Moment.BEGIN),)
    ),
    "an engine whose driver was killed ends what it has begun, and nothing of it is left": Run(
        9, 504, "gcp", (Injection(Fault.WORKER_KILLED, Moment.ASKED),)
    ),
    "a take-down of a cancelled launch goes on when its engine is killed": Run(
        3,
        170,
        "aws",
        (Injection(Fault.CANCELLED, Moment.BEGIN), Injection(Fault.ENGINE_KILLED, Moment.DELETING)),
    ),
    "what an engine that was killed has deleted is counted no longer than it takes to delete it again": Run(
        2, 286, "gcp", (Injection(Fault.ENGINE_KILLED, Moment.DELETED),), keep=True
    ),
    "too many requests are waited for, and a machine that was refused costs nothing": Run(
        1, 9, "azure", (Injection(Fault.THROTTLED, Moment.MACHINE, 2),)
    ),
    "a take-down that was refused is tried again until nothing is left": Run(
        1, 19, "aws", (Injection(Fault.DELETE_REFUSED, Moment.DELETING, 3),), keep=True
    ),
}


@pytest.fixture(scope="module")
def report(world: World) -> Report:
    return carry_out(world, FINDINGS.values(), at_once=len(FINDINGS), leases=False)


@pytest.mark.parametrize("finding", FINDINGS)
def test_what_was_found_once_breaks_nothing_any_more(report: Report, finding: str) -> None:
    run = FINDINGS[finding]
    outcome = next(outcome for outcome in report.outcomes if outcome.run is run)
    assert outcome.broken == (), "\n\n".join(report.broken)
    assert set(outcome.happened) == {injection.fault for injection in run.injections}
    assert outcome.status == ("cancelled" if run.has(Fault.CANCELLED) else "succeeded")
