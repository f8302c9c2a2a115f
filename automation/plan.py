"""A launch that tries a plan of offers in one stack, until one of them answers."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from automation import errors, failover, lost, pending, stack_file
from automation.checks.checker import Checker, Stack, WhyNot
from automation.errors import Kind, LaunchFailure, Stopped
from automation.failover import Blocks, PlanResult
from automation.launch import LaunchRequest, LaunchResult, attempt, not_begun, overrides, validate
from automation.offers import Offer
from automation.preview.gate import Gate
from automation.session import Interrupts, Reporter, Session
from automation.stages import MACHINE_TYPES, Event
from automation.takedown import take_down
from automation.unheard import Unheard
from automation.worker import Result
from provider.status import Stage

_RESOURCES_SECONDS: Final = 120.0
# A boot session's mailbox holds the last words of the machine that failed.
_OF_ONE_MACHINE: Final = MACHINE_TYPES | {"liftoff:index:BootSession"}
"""What a failed attempt may leave that the next one can't use; a network it can."""

DEATHS: Final = frozenset({"worker_died", "engine_died", "provider_died"}) | errors.OF_THIS_HOST
"""Codes of failures that are not the offer's: the attempt may go on with what it has."""


class Watcher(Protocol):
    """Who keeps what happens to each offer. Called from one thread."""

    def skipped(self, offer: Offer, reason: str) -> None:
        """Be told of an offer that is not tried."""

    def trying(self, offer: Offer) -> None:
        """Be told of an offer before anything is asked of its cloud."""

    def happened(self, event: Event) -> None:
        """Be told of an event of the engine's."""

    def tried(self, offer: Offer, failure: LaunchFailure | None) -> None:
        """Be told how it went."""

    def never_made(self) -> None:
        """Be told that the machine that was asked for last was never made, whatever the cloud answered."""

    def cleared(self) -> None:
        """Be told that no machine of what was tried is left."""

    def gave_up(self) -> None:
        """Be told that no further offer will be tried, though there are some."""


@dataclass(frozen=True)
class Record:
    """Where a plan is recorded, and how it goes on where another process began it.

    Attributes:
        launch_id: the launch's id, under which its journal is.
        watcher: who keeps what happens.
        begun: whether an offer has been tried already: the stack may then hold what was made for it.
        blocks: what other launches found out.
        asked: whether a machine was asked for, and nobody has heard since that it is gone.
        again: whether the first offer of the plan is the one that was being tried: it goes on with what it has.
        goes_on: whether an attempt whose process was killed is to be gone on with, by whoever asked for it.
    """

    launch_id: str
    watcher: Watcher
    begun: bool
    blocks: Blocks
    again: bool = False
    goes_on: bool = False
    asked: bool = False


class Died(Exception):  # noqa: N818 - named after what happened
    """A process of an attempt was killed, or this host had no room: it may go on with what it has made."""

    def __init__(self, failure: LaunchFailure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def launch(
    request: LaunchRequest,
    plan: Sequence[Offer],
    reporter: Reporter,
    interrupts: Interrupts,
    record: Record,
    checker: Checker | None = None,
    gate: Gate | None = None,
) -> PlanResult:
    """Try the offers in order, and return what happened to each.

    Args:
        request: what the user asked for.
        plan: the offers.
        reporter: is told how it goes.
        interrupts: the user's Ctrl-C.
        record: where the plan is recorded.
        checker: looks up first what the launch needs; None looks nothing up.
        gate: holds each offer to the rules before it is tried; None lets everything through.

    Raises:
        Stopped: the request can't be used, lacks what only a person can give, or the stack is in use; nothing has
            been made.
        Died: the record says that it goes on, and a process was killed, or this host had no room.
    """
    require(plan)
    config = overrides(request)
    first = plan[0]
    # Nothing may be found wrong only after the first offers have been paid for.
    for offer in plan:
        validate(request.project, request.stack, {**config, **_with_keys(request, offer)})
    why_not: WhyNot | None = None
    if checker is not None:
        plan, why_not = checker.plan(
            Stack(request.project, request.stack, config, request.secrets_of), plan, reporter.note
        )
    session_of = Session(request.project, request.stack, interrupts, reporter, record.launch_id)
    with _died_if_it_goes_on(record, interrupts), session_of as session:
        session.journal.write(
            "plan",
            {
                "stack": request.stack,
                "config": config,
                "wall": time.time(),
                "offers": [offer.model_dump(mode="json") for offer in plan],
            },
        )
        if not record.begun:
            _refuse_used(session)
        else:
            _look_for_lost(session, record)
        site = _Stack(session, request, config, record.watcher, gate, goes_on=record.goes_on)
        if gate is not None:
            why_not = site.held_to(gate, why_not)
        again = record.again and plan[0] == first
        if record.begun and not again:
            _clear_left(site)
        return failover.run(plan, site, record.blocks, reporter.note, interrupts.wait, why_not=why_not, again=again)


def require(offers: Sequence[Offer]) -> None:
    """Refuse a plan of nothing.

    Raises:
        Stopped: there is no offer.
    """
    if not offers:
        raise Stopped(
            Kind.CONFIGURATION,
            "no_offer",
            "no offer fits what was asked for",
            "allow more providers, regions, GPUs or a higher price: liftoff offers MODEL shows what there is",
        )


def _may_go_on(code: str, interrupts: Interrupts, *, goes_on: bool) -> bool:
    """Tell whether what failed with this code is left to whoever goes on with it."""
    return goes_on and code in DEATHS and not interrupts.count


@contextlib.contextmanager
def _died_if_it_goes_on(record: Record, interrupts: Interrupts) -> Iterator[None]:
    """Leave to whoever goes on what stopped, before an offer is tried, as an attempt's process may have."""
    try:
        yield
    except Stopped as error:
        if not _may_go_on(error.code, interrupts, goes_on=record.goes_on):
            raise
        raise Died(errors.of_stopped(error, Stage.REQUEST)) from error


def _look_for_lost(session: Session, record: Record) -> None:
    """Delete what whoever began it has asked for and did not live to hear of."""
    state = pending.resolve(session)
    is_lost = record.asked and not _has_machine(state)
    if not state.pending:
        # A state that could not be written says nothing of what was made.
        if is_lost:
            lost.delete(session, state, patient=True)
        else:
            lost.delete_if_listed(session, state)
    if is_lost:
        # It is paid for until now, and not until the next one is asked for.
        record.watcher.cleared()


class _Stack:
    """One stack in which one offer after the other is tried."""

    def __init__(
        self,
        session: Session,
        request: LaunchRequest,
        config: dict[str, str],
        watcher: Watcher,
        gate: Gate | None,
        *,
        goes_on: bool,
    ) -> None:
        self._session = session
        self._goes_on = goes_on
        self._watcher = watcher
        self._request = request
        self._config = config
        self._gate = gate
        self._unheard = Unheard()

    def held_to(self, gate: Gate, why_not: WhyNot | None) -> WhyNot:
        """Return what says why an offer is not tried: what is known already, else a rule."""

        def ask(offer: Offer) -> str:
            known = why_not(offer) if why_not is not None else ""
            config = {**self._config, **_with_keys(self._request, offer)}
            return known or gate.why_not(self._session, offer, config)

        return ask

    def attempt(self, offer: Offer, following: Offer | None) -> LaunchResult:
        """Run one update for an offer and leave what it made."""
        self._session.reporter.note(f"Trying {offer}")
        self._session.journal.write("attempt", offer.model_dump(mode="json"))
        self._watcher.trying(offer)

        def meanwhile(event: Event) -> None:
            self._watcher.happened(event)
            self._unheard.take(event)
            # The cloud is asked for the machine now: what comes after a refusal is got ready.
            if following is not None and event.kind == "pre" and event.type in MACHINE_TYPES:
                self._session.start_ahead(f"components.{following.provider}")

        config = {**self._config, **_with_keys(self._request, offer)}
        refused = self._gate.failure(offer) if self._gate is not None else None
        if refused is not None:
            result = not_begun(self._session, refused)
        else:
            result = attempt(self._session, self._request, config, meanwhile)
        failure = result.failure
        if failure is not None and _may_go_on(failure.code, self._session.interrupts, goes_on=self._goes_on):
            raise Died(failure)
        if result.failure is not None and failover.made_nothing(offer, result.failure):
            self._unheard.clear()
        self._watcher.tried(offer, result.failure)
        return result

    def skip(self, offer: Offer, reason: str) -> None:
        """Pass on that an offer is not tried."""
        self._watcher.skipped(offer, reason)

    def gave_up(self) -> None:
        """Pass on that no further offer will be tried."""
        self._watcher.gave_up()

    def clear(self, *, keep_network: bool) -> LaunchFailure | None:
        """Delete what failed attempts left; the network may stay for the next one in the same region."""
        only_types = _OF_ONE_MACHINE if keep_network else frozenset()
        try:
            self._find_lost()
        except Stopped as error:
            return errors.of_stopped(error, Stage.REQUEST)
        try:
            _, failure, _ = take_down(self._session, only_types=only_types, on_event=self._watcher.happened)
        except Stopped as error:
            if error.code != "stack_missing":
                raise
            # Such as on a full disk: not even the stack could be made.
            failure = None
        if failure is None:
            self._watcher.cleared()
        return failure

    def _find_lost(self) -> None:
        """Delete what was asked for and whose answer was lost, before anything else is asked for."""
        if self._unheard:
            state = pending.resolve(self._session)
            deleted = () if state.pending else lost.delete(self._session, state, patient=True)
            if deleted and not _has_machine(state):
                self._watcher.cleared()
            elif self._unheard.has_machine and not state.pending and not deleted:
                self._watcher.never_made()
        self._unheard.clear()


def _has_machine(state: Result) -> bool:
    return any(resource.type in MACHINE_TYPES for resource in state.resources)


def _with_keys(request: LaunchRequest, offer: Offer) -> dict[str, str]:
    return stack_file.overrides(request.project, offer.config())


def _clear_left(site: _Stack) -> None:
    """Delete what an attempt left whose end another process saw, and did not live to clear up."""
    problem = site.clear(keep_network=False)
    if problem is not None:
        text = f"what an earlier attempt left could not be deleted: {problem.message}"
        raise Stopped(problem.kind, problem.code, text, problem.hint)


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
