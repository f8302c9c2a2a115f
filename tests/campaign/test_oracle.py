"""What breaks an invariant, and what does not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.campaign import expected
from tests.campaign.oracle import Machine, Seen, judge
from tests.campaign.schedule import Fault

LAUNCH: dict[str, Any] = {
    "status": "succeeded",
    "ended_at": "2026-01-01T00:00:00Z",
    "stage": "Registering node",
    "attempts": [{"number": 1, "state": "succeeded", "error": None}],
    "error": None,
    "cost_so_far": 0.5,
}
NODE = {"id": "node", "state": "healthy"}
MACHINE = Machine("i-1", 3600.0, 0.5, 20.0, exists=True)
SOUND = Seen("launch-1", LAUNCH, [NODE], [MACHINE], 1, {"vpc-1": "aws:ec2/vpc:Vpc"}, [], frozenset())
CAPACITY = {"kind": "capacity", "code": "InsufficientInstanceCapacity"}


def names(seen: Seen) -> list[str]:
    return [broken.invariant for broken in judge(seen)]


def test_a_node_with_its_machine_breaks_nothing() -> None:
    assert names(SOUND) == []


@pytest.mark.parametrize(
    ("changed", "invariant"),
    [
        ({"launch": None}, "no launch is forgotten"),
        ({"launch": {**LAUNCH, "status": "running", "ended_at": None}}, "no launch without an end"),
        ({"nodes": [NODE, NODE], "machines": [MACHINE, replace(MACHINE, seconds=0.0)]}, "no node is registered twice"),
        ({"nodes": [], "left": {}}, "no machine without an owner"),
        ({"nodes": [{**NODE, "state": "gone"}], "left": {}}, "no machine without an owner"),
        ({"machines": [replace(MACHINE, exists=False)]}, "no node without a machine"),
        ({"most_at_once": 2}, "never more machines than launches"),
        ({"nodes": [], "machines": [replace(MACHINE, exists=False)]}, "nothing is left"),
        ({"unreadable": ["launch-1.json"]}, "state can be read"),
        ({"launch": {**LAUNCH, "cost_so_far": 0.6}}, "money spent is money reported"),
        (
            {"launch": {**LAUNCH, "attempts": [{"number": 1, "state": "failed", "error": CAPACITY}]}},
            "a failure is named after its fault",
        ),
        (
            {"launch": {**LAUNCH, "attempts": [{"number": 1, "state": "running", "error": None}]}},
            "no attempt without an end",
        ),
    ],
)
def test_what_may_not_be_is_found(changed: dict[str, Any], invariant: str) -> None:
    assert names(replace(SOUND, **changed)) == [invariant]


def test_a_part_whose_create_was_cut_off_may_be_left_and_what_costs_money_may_not() -> None:
    cut_off = replace(SOUND, nodes=[], machines=[], most_at_once=0, faults=frozenset({Fault.HOST_CRASHED}))
    free = replace(cut_off, launch={**LAUNCH, "cost_so_far": 0.0})
    assert names(free) == []
    assert names(replace(free, left={"vpc-1": "aws:ec2/vpc:Vpc"})) == []
    for paid in (
        "aws:ebs/volume:Volume",
        "aws:ec2/eip:Eip",
        "azure-native:network:PublicIPAddress",
        "gcp:compute/address:Address",
    ):
        assert names(replace(free, left={"it-1": paid})) == ["nothing is left"]


def test_a_failure_is_explained_by_a_fault_that_was_injected() -> None:
    assert expected.unexplained([CAPACITY], {Fault.CAPACITY}) == []
    assert expected.unexplained([CAPACITY], {Fault.QUOTA}) == ["capacity/InsufficientInstanceCapacity"]
    assert expected.unexplained([], {Fault.QUOTA}) == []
