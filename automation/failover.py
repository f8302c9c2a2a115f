"""One offer after another until one works: what each failure says decides what is tried next."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from automation.blocked import Block, block_of
from automation.cloud_errors import Scope
from automation.errors import OF_THIS_HOST, Kind, LaunchFailure
from automation.launch import LaunchResult
from automation.offers import Offer
from provider.status import INTERRUPTED

_THROTTLED_RETRIES: Final = 2
_THROTTLED_SECONDS: Final = 5.0
_BOOT_FAILURES: Final = 2
"""A boot that fails in two places fails for its own reasons, and every further one is paid for."""


@dataclass(frozen=True)
class Attempt:
    """What happened to one offer.

    Attributes:
        offer: the offer.
        result: how its update ended; None where it was not tried.
        skipped: why it was not tried: a block or a quota, or empty.
        seconds: from its beginning to the beginning of the next, or to the end.
    """

    offer: Offer
    result: LaunchResult | None
    skipped: str
    seconds: float

    @property
    def failure(self) -> LaunchFailure | None:
        """Why it failed."""
        return self.result.failure if self.result else None


@dataclass(frozen=True)
class PlanResult:
    """How a plan ended: the last attempt's result, if any was made, and what happened to each offer in order."""

    attempts: tuple[Attempt, ...]

    @property
    def result(self) -> LaunchResult | None:
        """The result of the last offer that was tried."""
        return next((attempt.result for attempt in reversed(self.attempts) if attempt.result), None)

    @property
    def ok(self) -> bool:
        """Whether a node answers."""
        return self.result is not None and self.result.failure is None


class Blocks(Protocol):
    """What launches find out for each other."""

    def add(self, block: Block) -> None:
        """Remember a block."""

    def active(self, now: float) -> tuple[Block, ...]:
        """Return the blocks that hold at `now`, in seconds since 1970."""


class Site(Protocol):
    """Where attempts are made: one stack."""

    def attempt(self, offer: Offer, following: Offer | None) -> LaunchResult:
        """Run one update for an offer and leave what it made; `following` is what may have to be tried after it."""

    def skip(self, offer: Offer, reason: str) -> None:
        """Be told of an offer that is not tried."""

    def gave_up(self) -> None:
        """Be told that no further offer will be tried, though there are some."""

    def clear(self, *, keep_network: bool) -> LaunchFailure | None:
        """Delete what failed attempts left, and look that it is gone; the network may stay for the next one there."""


def run(
    plan: Sequence[Offer],
    site: Site,
    blocked: Blocks,
    tell: Callable[[str], None],
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.time,
    why_not: Callable[[Offer], str] | None = None,
    *,
    again: bool = False,
) -> PlanResult:
    """Try the offers in order until one works.

    Args:
        plan: the offers.
        site: where they are tried.
        blocked: what other launches found out.
        tell: is told each decision.
        wait: waits so many seconds; True ends the plan.
        clock: the time in seconds since 1970.
        why_not: says why an offer is not to be tried, or nothing; asked when its turn comes, maybe more than once.
        again: the first offer goes on that another process was trying: what it already has is not asked for again.
    """

    def skipped(offer: Offer) -> str:
        hit = _hit(blocked, offer, clock())
        return _reason(hit, clock()) if hit is not None else why_not(offer) if why_not is not None else ""

    attempts: list[Attempt] = []
    left = list(plan)
    boots = retries = 0
    # Whose network, or more, is there.
    dirty: Offer | None = None
    while left:
        offer = left.pop(0)
        # Its own machine may be what fills the quota.
        reason = "" if again else skipped(offer)
        again = False
        if reason:
            attempts.append(Attempt(offer, None, reason, 0.0))
            site.skip(offer, reason)
            continue
        # What was to be tried next there, and then was not, would have used its network.
        if dirty is not None and not _same_region(dirty, offer) and not _cleared(site, dirty, tell, keep_network=False):
            break
        began = clock()
        result = site.attempt(offer, left[0] if left else None)
        failure = result.failure
        attempts.append(Attempt(offer, result, "", clock() - began))
        if failure is None:
            return PlanResult(tuple(attempts))
        dirty = offer
        if failure.kind is Kind.THROTTLED and retries < _THROTTLED_RETRIES:
            retries += 1
            tell(f"{offer}: {failure.code}; the same again in {_wait_of(failure):.0f} s")
            if wait(_wait_of(failure)):
                break
            left.insert(0, offer)
            continue
        retries = 0
        block = block_of(offer, failure, clock())
        if block is not None and failure.kind is not Kind.THROTTLED:
            blocked.add(block)
        boots += failure.kind is Kind.BOOT
        if _ends_plan(failure, block, boots):
            site.gave_up()
            break
        following = next((other for other in left if not skipped(other)), None)
        if following is None:
            continue
        tell(f"{offer}: {failure.kind.title} ({failure.code}); next: {following}")
        same_region = _same_region(offer, following)
        if same_region and made_nothing(offer, failure):
            continue
        if not _cleared(site, offer, tell, keep_network=same_region):
            break
        dirty = offer if same_region else None
    if dirty is not None:
        site.clear(keep_network=False)
    return PlanResult(tuple(attempts))


def _cleared(site: Site, offer: Offer, tell: Callable[[str], None], *, keep_network: bool) -> bool:
    """Delete what an offer left, and return whether it is gone."""
    problem = site.clear(keep_network=keep_network)
    if problem is not None:
        tell(f"what {offer} left could not be deleted: {problem.message}")
    return problem is None


def _same_region(one: Offer, other: Offer) -> bool:
    return (one.provider, one.region) == (other.provider, other.region)


def _wait_of(failure: LaunchFailure) -> float:
    """Return for how many seconds the same is not asked for again; not every answer says so."""
    return failure.blocked_seconds or _THROTTLED_SECONDS


def made_nothing(offer: Offer, failure: LaunchFailure) -> bool:
    """Tell whether a cloud refused the machine in words that are known, and keeps nothing of one that it refuses.

    Azure does: a machine that could not be allocated stays behind, failed. One that is taken back was made first.
    """
    refused = failure.scope is not Scope.NONE and failure.code != INTERRUPTED
    return failure.kind is Kind.THROTTLED or (offer.provider != "azure" and refused)


def _ends_plan(failure: LaunchFailure, block: Block | None, boots: int) -> bool:
    """Tell whether every further offer would fail, too."""
    if failure.code in OF_THIS_HOST:
        return True
    if failure.kind is Kind.CANCELLED or (failure.kind is Kind.BOOT and boots >= _BOOT_FAILURES):
        return True
    # A wrong setting is wrong everywhere; a type that a zone does not sell is not.
    return failure.kind is Kind.CONFIGURATION and block is None


def _hit(blocked: Blocks, offer: Offer, now: float) -> Block | None:
    return next((block for block in blocked.active(now) if block.covers(offer)), None)


def _reason(block: Block, now: float) -> str:
    return f"{block.code} was answered there; not asked again for {block.until - now:.0f} s"
