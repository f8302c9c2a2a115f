"""The invariants: what the clouds hold is held against what Liftoff believes. Pure, over what was looked up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.campaign import expected
from tests.campaign.schedule import Fault

ENDED: Final = ("succeeded", "failed", "cancelled")


CUT_OFF: Final = frozenset({Fault.HOST_CRASHED, Fault.ENGINE_KILLED})
"""Faults that may cut a create off of which nobody hears any more."""


_PAID: Final = ("instance", "virtualmachine", "disk", "volume", ":eip", "address:", ":publicipaddress")


def is_part(type_: str) -> bool:
    """Tell whether a type is one that costs nothing: what is swept is what is paid for (docs/reliability.md)."""
    return not any(name in type_.lower() for name in _PAID)


@dataclass(frozen=True)
class Broken:
    """An invariant that does not hold."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


@dataclass(frozen=True)
class Machine:
    """A machine in truth: how long its cloud billed it, by how much the report may be off, and whether it exists."""

    id: str
    seconds: float
    price: float
    slack_seconds: float
    exists: bool


@dataclass(frozen=True)
class Seen:
    """One launch as it was found when everything had had its time.

    Attributes:
        launch: as the API tells it; None where the server does not know it.
        nodes: its nodes, as the API tells them.
        machines: its machines in truth, those that are gone included.
        most_at_once: how many of them ever existed together.
        left: what else of it exists in truth: types by id.
        unreadable: files of state that are not whole.
        faults: what went wrong for it, or for everybody while it was on.
    """

    stack: str
    launch: Mapping[str, Any] | None
    nodes: Sequence[Mapping[str, Any]]
    machines: Sequence[Machine]
    most_at_once: int
    left: Mapping[str, str]
    unreadable: Sequence[str]
    faults: frozenset[Fault]

    @property
    def slack(self) -> float:
        """By how many USD a report may be off without a machine: who died may not know that none was made."""
        return 0.03 if self.faults & {Fault.SERVER_KILLED, Fault.HOST_CRASHED} else 0.0001


def judge(seen: Seen) -> list[Broken]:
    """Return every invariant that a launch breaks."""
    launch = seen.launch
    if launch is None:
        return [Broken("no launch is forgotten", seen.stack)]
    broken = []
    if launch["status"] not in ENDED or launch["ended_at"] is None:
        broken.append(Broken("no launch without an end", f"{launch['status']} at {launch['stage']}"))
    if len(seen.nodes) > 1:
        broken.append(Broken("no node is registered twice", ", ".join(str(node["id"]) for node in seen.nodes)))
    owned = sum(node["state"] != "gone" for node in seen.nodes)
    existing = [machine.id for machine in seen.machines if machine.exists]
    if len(existing) > owned:
        broken.append(Broken("no machine without an owner", f"{', '.join(existing)}; nodes: {owned}"))
    if len(existing) < owned:
        broken.append(Broken("no node without a machine", f"{owned} believed, {len(existing)} exist"))
    if seen.most_at_once > 1:
        broken.append(Broken("never more machines than launches", f"{seen.most_at_once} at once"))
    left = {id_: type_ for id_, type_ in seen.left.items() if not (seen.faults & CUT_OFF and is_part(type_))}
    if not owned and left:
        broken.append(Broken("nothing is left", ", ".join(left)))
    if seen.unreadable:
        broken.append(Broken("state can be read", ", ".join(seen.unreadable)))
    return [*broken, *_misnamed(launch, seen.faults), *_miscounted(launch, seen.machines, seen.slack)]


def _misnamed(launch: Mapping[str, Any], faults: Iterable[Fault]) -> Iterable[Broken]:
    failed = [attempt["error"] for attempt in launch["attempts"] if attempt["error"]]
    # Where no offer was left to try, the last one's reason is the launch's.
    own = [launch["error"]] if launch["error"] and launch["error"]["code"] != "nothing_tried" else []
    names = expected.unexplained([*failed, *own], faults)
    if names:
        yield Broken("a failure is named after its fault", ", ".join(dict.fromkeys(names)))
    running = [attempt["number"] for attempt in launch["attempts"] if attempt["state"] == "running"]
    if running and launch["ended_at"] is not None:
        yield Broken("no attempt without an end", str(running))


def _miscounted(launch: Mapping[str, Any], machines: Sequence[Machine], least: float) -> Iterable[Broken]:
    if "cost_so_far" not in launch:
        return
    spent = sum(machine.seconds * machine.price for machine in machines) / 3600
    slack = sum(machine.slack_seconds * machine.price for machine in machines) / 3600 + least
    told = float(launch["cost_so_far"])
    if abs(told - spent) > slack:
        yield Broken("money spent is money reported", f"spent {spent:.4f}, told {told:.4f}, slack {slack:.4f} USD")
