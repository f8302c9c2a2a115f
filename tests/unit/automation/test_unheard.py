"""What was asked for and not answered is known, until it is answered or nothing was made."""

from automation.stages import Event, EventKind
from automation.unheard import Unheard

MACHINE = "aws:ec2/instance:Instance"
ADDRESS = "aws:ec2/eip:Eip"


def event(kind: EventKind, type_: str, op: str = "create") -> Event:
    return Event(1, 0.0, kind, urn=f"urn:pulumi:dev::liftoff::{type_}::it", type=type_, op=op)


def test_a_create_is_unheard_of_until_it_is_answered() -> None:
    unheard = Unheard()
    assert not unheard
    unheard.take(event("pre", MACHINE))
    assert unheard
    unheard.take(event("outputs", MACHINE))
    assert not unheard


def test_one_that_failed_stays_so_since_an_error_may_be_no_answer() -> None:
    unheard = Unheard()
    unheard.take(event("pre", ADDRESS))
    unheard.take(event("failed", ADDRESS))
    assert (bool(unheard), unheard.has_machine) == (True, False)
    unheard.take(event("pre", MACHINE, "create-replacement"))
    assert unheard.has_machine
    unheard.clear()
    assert not unheard


def test_what_costs_nothing_or_is_only_deleted_is_not_waited_for() -> None:
    unheard = Unheard()
    unheard.take(event("pre", "aws:ec2/vpc:Vpc"))
    unheard.take(event("pre", MACHINE, "delete"))
    assert not unheard
