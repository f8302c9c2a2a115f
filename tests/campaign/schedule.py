"""What is done and what goes wrong in each run of the campaign: pure, and the same for the same seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class Fault(StrEnum):
    """What goes wrong, in the words of the table in docs/reliability.md."""

    SERVER_KILLED = "the server is killed"
    HOST_CRASHED = "the whole host dies"
    WORKER_KILLED = "the update's process is killed"
    ENGINE_KILLED = "the engine is killed"
    NODE_DIED = "the node dies, its machine stays"
    ANSWER_LOST = "a machine is made, the answer is an error"
    ADDRESS_LOST = "an address is made, the answer is an error"
    ANSWER_NEVER = "a machine is made, no answer comes, and the launch is cancelled"
    ANSWER_LATE = "the answer takes long"
    REQUEST_REPEATED = "the request reaches the cloud twice"
    PROVIDER_GONE = "a machine is made, the cloud's plugin is gone"
    THROTTLED = "too many requests"
    STORM = "every call of a launch is one too many, for a while"
    CAPACITY = "no capacity"
    QUOTA = "the quota is used up"
    REGION_DOWN = "a region is down"
    DELETE_REFUSED = "a delete is refused"
    DELETE_LOST = "a machine is deleted, the answer is an error"
    LISTING_STALE = "the cloud's listing lags behind"
    LISTING_REFUSED = "the cloud can't be listed"
    EVICTED = "the cloud takes the machine back"
    BOOT_FAILED = "the boot fails"
    BUCKET_REFUSES = "the bucket refuses"
    BUCKET_SLOW = "the bucket is slow"
    DISK_FULL = "the disk is full"
    DATABASE_GONE = "the database is gone"
    CLOCK_AHEAD = "the clock jumps ahead"
    CLOCK_BACK = "the clock jumps back"
    CANCELLED = "somebody cancels"


class Moment(StrEnum):
    """When: at the first time that something happens to a launch."""

    RECORDED = "recorded"
    """The server has taken the launch."""
    ASKED = "asked"
    """The cloud is asked for the first resource."""
    MACHINE = "machine"
    """The cloud is asked for a machine."""
    MADE = "made"
    """The machine exists, and the cloud has not answered yet."""
    BEGIN = "begin"
    INSTALL = "install"
    WEIGHTS = "weights"
    SERVE = "serve"
    ANSWER = "answer"
    """The node is asked for its first completion."""
    READY = "ready"
    """The node is registered."""
    DELETING = "deleting"
    """The cloud is asked to delete the machine."""
    DELETED = "deleted"
    """The machine is gone, its network is not."""


BOOTING: Final = (Moment.BEGIN, Moment.INSTALL, Moment.WEIGHTS, Moment.SERVE, Moment.ANSWER)
WAY_UP: Final = (Moment.RECORDED, Moment.ASKED, Moment.MACHINE, Moment.MADE, *BOOTING)
ANY_TIME: Final = (*WAY_UP, Moment.READY, Moment.DELETING, Moment.DELETED)
_OF_ENGINE: Final = (Moment.ASKED, Moment.MACHINE, Moment.MADE, *BOOTING, Moment.DELETING, Moment.DELETED)

MOMENTS: Final[Mapping[Fault, tuple[Moment, ...]]] = {
    Fault.SERVER_KILLED: ANY_TIME,
    Fault.HOST_CRASHED: ANY_TIME,
    Fault.WORKER_KILLED: _OF_ENGINE,
    Fault.ENGINE_KILLED: _OF_ENGINE,
    Fault.NODE_DIED: (*BOOTING[:-1], Moment.READY),
    Fault.ANSWER_LOST: (Moment.MACHINE,),
    Fault.ADDRESS_LOST: (Moment.ASKED,),
    Fault.ANSWER_NEVER: (Moment.MACHINE,),
    Fault.ANSWER_LATE: (Moment.MACHINE,),
    Fault.REQUEST_REPEATED: (Moment.MACHINE,),
    Fault.PROVIDER_GONE: (Moment.MACHINE,),
    Fault.THROTTLED: (Moment.MACHINE,),
    Fault.STORM: (Moment.ASKED, Moment.READY),
    Fault.CAPACITY: (Moment.MACHINE,),
    Fault.QUOTA: (Moment.MACHINE,),
    Fault.REGION_DOWN: (Moment.ASKED, Moment.MACHINE),
    Fault.DELETE_REFUSED: (Moment.DELETING,),
    Fault.DELETE_LOST: (Moment.DELETING,),
    Fault.LISTING_STALE: (Moment.RECORDED,),
    Fault.LISTING_REFUSED: (Moment.MADE, Moment.DELETING),
    Fault.EVICTED: (Moment.MADE, *BOOTING, Moment.READY),
    Fault.BOOT_FAILED: (Moment.SERVE,),
    Fault.BUCKET_REFUSES: (Moment.RECORDED, Moment.BEGIN, Moment.SERVE, Moment.DELETING),
    Fault.BUCKET_SLOW: (Moment.RECORDED, Moment.BEGIN),
    Fault.DISK_FULL: (Moment.MACHINE, Moment.MADE, Moment.BEGIN, Moment.DELETING),
    Fault.DATABASE_GONE: (Moment.ASKED, Moment.MADE, Moment.SERVE, Moment.READY),
    Fault.CLOCK_AHEAD: (Moment.MADE, Moment.INSTALL, Moment.READY),
    Fault.CLOCK_BACK: (Moment.MADE, Moment.INSTALL, Moment.READY),
    Fault.CANCELLED: WAY_UP,
}
"""When a fault may happen."""

_WEIGHTS: Final[Mapping[Fault, int]] = {
    **dict.fromkeys(Fault, 4),
    Fault.HOST_CRASHED: 2,
    Fault.SERVER_KILLED: 5,
    Fault.CANCELLED: 6,
    Fault.ANSWER_LOST: 6,
    Fault.DISK_FULL: 2,
    Fault.DATABASE_GONE: 1,
    Fault.CLOCK_AHEAD: 2,
    Fault.CLOCK_BACK: 2,
}
SLOW: Final = frozenset({Fault.DATABASE_GONE, Fault.NODE_DIED, Fault.EVICTED, Fault.DISK_FULL, Fault.ANSWER_NEVER})
"""Faults after which it takes minutes until Liftoff may be sure of anything; a short campaign has none of them."""
Ending = Literal["destroy", "leave"]


@dataclass(frozen=True)
class Injection:
    """One fault, the moment at which it happens, and how long or how often."""

    fault: Fault
    moment: Moment
    amount: int = 1

    def __str__(self) -> str:
        return f"{self.fault} (x{self.amount}) at {self.moment}"


@dataclass(frozen=True)
class Run:
    """One launch and its fate.

    Attributes:
        seed: of the campaign.
        number: of the run in it.
        provider: at which cloud.
        injections: what goes wrong; each once.
        keep: whether the launch asks to be launched again when its node is evicted.
        ending: whether the node is destroyed at the end, or left to its lease.
    """

    seed: int
    number: int
    provider: str
    injections: tuple[Injection, ...]
    keep: bool = False
    ending: Ending = "destroy"

    @property
    def name(self) -> str:
        """What it is called in a story."""
        return f"seed {self.seed}, run {self.number}"

    def has(self, *faults: Fault) -> bool:
        """Tell whether one of these happens in it."""
        return any(injection.fault in faults for injection in self.injections)


def schedule(seed: int, number: int, *, quick: bool = False) -> Run:
    """Return a run of a campaign; each depends on its own number alone, so that it can be replayed alone."""
    chance = random.Random(f"{seed}/{number}")
    allowed = [fault for fault in Fault if not (quick and fault in SLOW)]
    how_many = chance.choices((0, 1, 2, 3), (1, 6, 3, 1))[0]
    faults = chance.choices(allowed, [_WEIGHTS[fault] for fault in allowed], k=how_many)
    injections = tuple(_injection(fault, chance) for fault in dict.fromkeys(faults))
    return Run(
        seed,
        number,
        chance.choice(("aws", "aws", "azure", "gcp")),
        injections,
        keep=chance.random() < 0.3,
        ending="leave" if chance.random() < 0.1 else "destroy",
    )


def _injection(fault: Fault, chance: random.Random) -> Injection:
    moment = chance.choice(MOMENTS[fault])
    if fault in {Fault.THROTTLED, Fault.DELETE_REFUSED, Fault.CAPACITY}:
        return Injection(fault, moment, chance.randint(1, 3))
    if fault in {Fault.LISTING_STALE, Fault.ANSWER_LATE, Fault.LISTING_REFUSED, Fault.STORM}:
        return Injection(fault, moment, chance.randint(2, 10))
    if fault is Fault.REGION_DOWN:
        return Injection(fault, moment, chance.randint(2, 4))
    if fault in {Fault.BUCKET_REFUSES, Fault.BUCKET_SLOW}:
        return Injection(fault, moment, chance.randint(1, 4))
    if fault in {Fault.DISK_FULL, Fault.DATABASE_GONE}:
        return Injection(fault, moment, chance.randint(20, 40))
    if fault in {Fault.CLOCK_AHEAD, Fault.CLOCK_BACK}:
        return Injection(fault, moment, chance.choice((30, 300, 7200)))
    return Injection(fault, moment)
