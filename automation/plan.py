"""A launch that tries a plan of offers in one stack, until one of them answers."""

import time
from collections.abc import Sequence
from typing import Final

from automation import failover, stack_file
from automation.blocked import Blocked
from automation.errors import Kind, LaunchFailure, Stopped
from automation.failover import PlanResult
from automation.launch import LaunchRequest, LaunchResult, attempt, overrides, validate
from automation.offers import Offer
from automation.session import Interrupts, Reporter, Session
from automation.stages import MACHINE_TYPES, Event
from automation.takedown import take_down
from provider import places

_RESOURCES_SECONDS: Final = 120.0
# A boot session's mailbox holds the last words of the machine that failed.
_OF_ONE_MACHINE: Final = MACHINE_TYPES | {"liftoff:index:BootSession"}
"""What a failed attempt may leave that the next one can't use; a network it can."""


def launch(
    request: LaunchRequest, plan: Sequence[Offer], reporter: Reporter, interrupts: Interrupts
) -> tuple[PlanResult, str]:
    """Try the offers in order; return what happened to each, and the launch's id.

    Raises:
        Stopped: the request can't be used, or the stack is in use; nothing has been asked of any cloud.
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
        return failover.run(plan, site, blocked, reporter.note, interrupts.wait), session.launch_id


class _Stack:
    """One stack in which one offer after the other is tried."""

    def __init__(self, session: Session, request: LaunchRequest, config: dict[str, str]) -> None:
        self._session = session
        self._request = request
        self._config = config

    def attempt(self, offer: Offer, following: Offer | None) -> LaunchResult:
        """Run one update for an offer and leave what it made."""
        self._session.reporter.note(f"Trying {offer}")
        self._session.journal.write("attempt", offer.model_dump(mode="json"))

        def meanwhile(event: Event) -> None:
            # The cloud is asked for the machine now: what comes after a refusal is got ready.
            if following is not None and event.kind == "pre" and event.type in MACHINE_TYPES:
                self._session.start_ahead(f"components.{following.provider}")

        config = {**self._config, **_with_keys(self._request, offer)}
        return attempt(self._session, self._request, config, meanwhile)

    def clear(self, *, keep_network: bool) -> LaunchFailure | None:
        """Delete what failed attempts left; the network may stay for the next one in the same region."""
        only_types = _OF_ONE_MACHINE if keep_network else frozenset()
        _, failure, _ = take_down(self._session, only_types=only_types)
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
