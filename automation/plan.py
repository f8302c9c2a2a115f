"""A launch that tries a plan of offers in one stack, until one of them answers."""

import time
from collections.abc import Sequence
from typing import Final

from automation import failover, stack_file
from automation.blocked import Blocked
from automation.checks.checker import Checker, Stack, WhyNot
from automation.errors import Kind, LaunchFailure, Stopped
from automation.failover import PlanResult
from automation.launch import LaunchRequest, LaunchResult, attempt, overrides, validate
from automation.offers import Offer
from automation.session import Interrupts, Reporter, Session
from automation.takedown import take_down
from provider import places

_RESOURCES_SECONDS: Final = 120.0
_OF_ONE_MACHINE: Final = frozenset(
    {
        "aws:ec2/instance:Instance",
        "azure-native:compute:VirtualMachine",
        "gcp:compute/instance:Instance",
        "liftoff:index:LocalMachine",
        # Its mailbox holds the last words of the machine that failed.
        "liftoff:index:BootSession",
    }
)
"""What a failed attempt may leave that the next one can't use; a network it can."""


def launch(
    request: LaunchRequest,
    plan: Sequence[Offer],
    reporter: Reporter,
    interrupts: Interrupts,
    checker: Checker | None = None,
) -> tuple[PlanResult, str]:
    """Try the offers in order; return what happened to each, and the launch's id.

    Args:
        request: what the user asked for.
        plan: the offers.
        reporter: is told how it goes.
        interrupts: the user's Ctrl-C.
        checker: looks up first what the launch needs; None looks nothing up.

    Raises:
        Stopped: the request can't be used, lacks what only a person can give, or the stack is in use; nothing has
            been made.
    """
    if not plan:
        raise Stopped(
            Kind.CONFIGURATION,
            "no_offer",
            "no offer fits what was asked for",
            "allow more providers, regions, GPUs or a higher price: liftoff offers MODEL shows what there is",
        )
    config = overrides(request)
    # Nothing may be found wrong only after the first offers have been paid for.
    for offer in plan:
        validate(request.project, request.stack, {**config, **_with_keys(request, offer)})
    why_not: WhyNot | None = None
    if checker is not None:
        plan, why_not = checker.plan(Stack(request.project, request.stack, config), plan, reporter.note)
    blocked = Blocked(places.state_folder() / "blocked.sqlite")
    with Session(request.project, request.stack, interrupts, reporter) as session:
        session.journal.write(
            "plan",
            {
                "stack": request.stack,
                "config": config,
                "wall": time.time(),
                "offers": [offer.model_dump(mode="json") for offer in plan],
            },
        )
        _refuse_used(session)
        site = _Stack(session, request, config)
        return failover.run(plan, site, blocked, reporter.note, interrupts.wait, why_not=why_not), session.launch_id


class _Stack:
    """One stack in which one offer after the other is tried."""

    def __init__(self, session: Session, request: LaunchRequest, config: dict[str, str]) -> None:
        self._session = session
        self._request = request
        self._config = config

    def attempt(self, offer: Offer) -> LaunchResult:
        """Run one update for an offer and leave what it made."""
        self._session.reporter.note(f"Trying {offer}")
        self._session.journal.write("attempt", offer.model_dump(mode="json"))
        return attempt(self._session, self._request, {**self._config, **_with_keys(self._request, offer)})

    def clear(self, *, keep_network: bool) -> LaunchFailure | None:
        """Delete what failed attempts left; the network may stay for the next one in the same region."""
        targets: tuple[str, ...] = ()
        if keep_network:
            found = self._session.run("resources", _RESOURCES_SECONDS)
            targets = tuple(resource.urn for resource in found.resources if resource.type in _OF_ONE_MACHINE)
            if found.ok and not targets and not found.pending:
                return None
        _, failure, _ = take_down(self._session, targets=targets)
        return failure


def _with_keys(request: LaunchRequest, offer: Offer) -> dict[str, str]:
    return stack_file.overrides(request.project, offer.config())


def _refuse_used(session: Session) -> None:
    found = session.run("resources", _RESOURCES_SECONDS)
    if found.ok and found.resources:
        raise Stopped(
            Kind.CONFIGURATION,
            "stack_in_use",
            f"stack {session.stack!r} has {len(found.resources)} resources; offers are tried in an empty stack only, "
            "since what fails is deleted",
            f"name another one (--stack), or take it down: liftoff destroy --stack {session.stack}",
        )
