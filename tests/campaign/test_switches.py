"""The campaign is able to fail: with a safeguard switched off, it finds the leak that this safeguard prevents."""

from collections.abc import Iterator

import pytest

from tests.campaign.campaign import Report, after_leases, carry_out
from tests.campaign.schedule import Fault, Injection, Moment, Run
from tests.campaign.world import World
from tests.control_plane.server import until

pytestmark = pytest.mark.engine

REPEATED = Run(1, 0, "aws", (Injection(Fault.REQUEST_REPEATED, Moment.MACHINE),), ending="leave")
LOST = Run(1, 1, "aws", (Injection(Fault.ANSWER_LOST, Moment.MACHINE),))
SOUND = Run(1, 3, "gcp", (), ending="leave")


@pytest.fixture(autouse=True)
def _all_safeguards_after(world: World) -> Iterator[None]:
    yield
    world.leases = world.clouds.world.tokens = True
    for life in list(world.lives.values()):
        if life.ended is None:
            world.clouds.cloud(life.record.provider).delete(life.record.id)


def carried_out(world: World, run: Run) -> Report:
    return carry_out(world, [run], at_once=1, leases=False, settle_seconds=30.0)


def test_without_the_token_a_request_that_is_sent_twice_makes_two_machines(world: World) -> None:
    world.clouds.world.tokens = False
    found = carried_out(world, REPEATED)
    assert found.invariants == {"never more machines than launches"}, found.broken


def test_without_a_look_before_it_is_asked_again_there_are_two_machines(world: World) -> None:
    world.serve_without("recovery")
    found = carried_out(world, LOST)
    world.serve_without()
    assert "never more machines than launches" in found.invariants, found.broken


def test_without_the_sweep_a_machine_that_no_attempt_missed_stays(world: World) -> None:
    world.clouds.world.tokens = False
    world.serve_without("sweep")
    found = carried_out(world, REPEATED)
    assert "no machine without an owner" in found.invariants, found.broken
    (stack,) = {life.stack for life in world.lives.values() if life.ended is None}
    assert len(world.machines(stack)) == 2
    # With the sweep the twin goes, and the node's own machine stays.
    world.serve_without()
    until(lambda: len(world.machines(stack)) == 1, "the machine that nobody owns is deleted")
    node = world.server.node_of(stack)
    assert node is not None
    assert node["state"] == "healthy"


def test_without_its_lease_a_node_outlives_a_control_plane_that_is_gone_for_good(world: World) -> None:
    assert carried_out(world, SOUND).broken == []
    world.leases = False
    (left,) = after_leases(world)
    world.leases = True
    assert after_leases(world) == []
    assert world.lives[left].ended is not None
    world.serve_without()
