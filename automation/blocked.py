"""Places where an offer would fail for now: found by one launch, known to all others, for a limited time."""

from dataclasses import dataclass

from automation.cloud_errors import Scope
from automation.errors import INTERRUPTED_SECONDS, LaunchFailure
from automation.offers import Offer
from provider.status import INTERRUPTED


@dataclass(frozen=True)
class Block:
    """What not to ask for; an empty field means all of them.

    Attributes:
        until: when it ends, in seconds since 1970.
        code: the answer that led to it.
    """

    provider: str
    region: str
    zone: str
    instance_type: str
    market: str
    until: float
    code: str

    def covers(self, offer: Offer) -> bool:
        """Tell whether an offer would fail in the same way."""
        pairs = (
            (self.provider, offer.provider),
            (self.region, offer.region),
            (self.zone, offer.zone),
            (self.instance_type, offer.instance_type),
            (self.market, _market(offer)),
        )
        return all(own in ("", other) for own, other in pairs)


def block_of(offer: Offer, failure: LaunchFailure, now: float) -> Block | None:
    """Return what a failed offer says about others, if anything."""
    if failure.scope is Scope.NONE or failure.blocked_seconds <= 0:
        return None
    until = now + failure.blocked_seconds
    if failure.scope is Scope.ACCOUNT:
        return Block(offer.provider, "", "", "", "", until, failure.code)
    zone = offer.zone if failure.scope is Scope.ZONE else ""
    return Block(offer.provider, offer.region, zone, offer.instance_type, _market(offer), until, failure.code)


def after_interruption(offer: Offer, at: float) -> Block:
    """Return what to leave alone after a cloud has taken the machine of an offer back, at a time since 1970."""
    until = at + INTERRUPTED_SECONDS
    return Block(offer.provider, offer.region, offer.zone, offer.instance_type, _market(offer), until, INTERRUPTED)


def _market(offer: Offer) -> str:
    return "spot" if offer.spot else "on-demand"
