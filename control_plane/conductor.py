"""Carries a launch out to its end, or takes it down, from wherever another server may have left it."""

import contextlib
import errno
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from automation import backend, market, plan, repair, stack_file, takedown
from automation import launch as launching
from automation.checks.before_launch import BeforeLaunch
from automation.errors import LOCKED, OF_THIS_HOST, Kind, Stopped
from automation.failover import Blocks
from automation.journal import redact
from automation.launch import LaunchRequest, LaunchResult, Recorded
from automation.offers import Offer
from automation.policy import settings as policy
from automation.preview.gate import Gate
from automation.prices import live
from automation.session import Interrupts
from automation.takedown import Cleanup
from control_plane import own_stack, recorded_error, tracing
from control_plane.audience import Audience
from control_plane.listener import Listener
from control_plane.own_stack import OwnStack
from control_plane.project import Template
from control_plane.request import LOCAL_OFFER, LaunchAsked
from control_plane.store.launches import Launch, Launches
from control_plane.store.nodes import NOT_TAKEN_DOWN, Node, Nodes
from provider.status import Stage, Status

_LOCK_SECONDS: Final = 240.0
"""How long the engine of a server that died may take to finish what was in flight."""
_DEATHS: Final = 3
"""How often a launch goes on whose engine, or whose engine's driver, was killed."""
_WAITS: Final = 30
_WAIT_SECONDS: Final = 10.0
"""How often, and after how long, a launch goes on that found this host's disk full, or a state cut off by that."""
_LOOK_SECONDS: Final = 1.0
_INTERRUPTED: Final = "What worked on it was interrupted"
"""A process that died, a host that was started again, a disk that was full: nobody can know afterwards."""

_Result = TypeVar("_Result")

log = logging.getLogger(__name__)


class Conductor:
    """Works on launches, each in a thread of its own, and knows which it works on."""

    def __init__(
        self,
        launches: Launches,
        nodes: Nodes,
        blocks: Blocks,
        template: Template,
        server: str,
        *,
        catalog_only: bool = False,
        audience: Audience | None = None,
        plane: str = "",
    ) -> None:
        self._plane = plane
        self._launches = launches
        self._nodes = nodes
        self._blocks = blocks
        self._template = template
        self._server = server
        self._catalog_only = catalog_only
        self._audience = audience
        self._checker = BeforeLaunch()
        self._tracing = tracing.choose(launches)

    def carry_out(self, launch_id: str) -> None:
        """Bring a launch to its end. It may be called again, by any server, after the one that called it has died."""
        launch = self._launches.begin(launch_id, self._server)
        if launch is None:
            return
        self._work_on(launch)
        self._tracing.ended(launch_id)

    def _work_on(self, launch: Launch) -> None:
        launch_id = launch.id
        audience = self._audience
        listener = Listener(self._launches, launch_id, audience.reporter if audience else None)
        with self._interrupts_of(launch_id) as interrupts:
            try:
                self._carry_out(launch, listener, interrupts)
            except Stopped as error:
                if audience is not None:
                    audience.ended = error
                if self._launches.get(launch_id).status == "cancelling":
                    # Whoever waits for the engine of a dead server stops to wait when the launch is cancelled.
                    self._end_cancelled(launch_id, listener)
                else:
                    self._end_failed(launch_id, recorded_error.of_stop(error))
            except SQLAlchemyError:
                # The database is away, which is no end of a launch: it is begun again once it answers.
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno == errno.ENOSPC and audience is None:
                    raise
                log.exception("launch %s", launch_id)
                message = redact(f"{type(error).__name__}: {error}")
                hint = "look into the server's log; what the launch had made is listed by its stack"
                if audience is not None:
                    audience.ended = Stopped(Kind.UNKNOWN, "internal", message, hint)
                self._end_failed(launch_id, recorded_error.make(Kind.UNKNOWN, "internal", message, hint))

    def take_down(self, launch_id: str) -> None:
        """Delete everything that a launch has made; call it again where it could not be finished."""
        node = self._nodes.of_launch(launch_id)
        listener = Listener(self._launches, launch_id)
        left = self._delete(self._launches.get(launch_id), listener, Interrupts())
        if node is None:
            return
        if left:
            # It stays so until it is gone: whoever looks after nodes would take it for one that may answer again.
            self._nodes.set_state(node.id, "terminating", f"{NOT_TAKEN_DOWN}: {left}")
        else:
            self._nodes.set_state(node.id, "gone", "taken down")

    def _carry_out(self, launch: Launch, listener: Listener, interrupts: Interrupts) -> None:
        asked = LaunchAsked.model_validate(launch.request)
        own = None if launch.stack is None else OwnStack.model_validate(launch.stack)
        if own is not None and self._superseded(launch, own):
            self._launches.end_interrupted(launch.id)
            return
        if own is not None and not launch.plan:
            self._carry_out_own(launch, asked, own, listener, interrupts)
            return
        if launch.status == "cancelling":
            self._end_cancelled(launch.id, listener)
            return
        why = _INTERRUPTED
        if own is not None:
            request = own.request
        else:
            if not launch.percent:
                listener.status(Status(Stage.VALIDATE.start, Stage.VALIDATE), 0.0)
            folder = self._template.prepare(launch.id)
            config = self._marked(asked, asked.config(stack_file.read(folder, launch.id, {})))
            template = (self._template.project, self._template.stack)
            # The launch's own stack is there only once it has begun.
            request = LaunchRequest(folder, launch.id, config=config, secrets_of=template)
        deaths = waits = 0
        while True:
            goes_on = deaths < _DEATHS and waits < _WAITS
            try:
                self._try_offers(launch, asked, request, listener, interrupts, why=why, goes_on=goes_on)
            except plan.Died as died:
                why = _first_line(died.failure.message)
                of_host = died.failure.code in OF_THIS_HOST
                deaths, waits = deaths + (not of_host), waits + of_host
                if of_host:
                    interrupts.wait(_WAIT_SECONDS)
                launch = self._launches.get(launch.id)
            else:
                return

    def _superseded(self, launch: Launch, own: OwnStack) -> bool:
        """Tell whether a later launch has worked on a stack; one that was refused for its lock has not."""
        later = itertools.takewhile(lambda one: one.id != launch.id, self._launches.of_stack(own.project, own.stack))
        return any(one.error is None or one.error["code"] != LOCKED for one in later)

    def _marked(self, asked: LaunchAsked, config: dict[str, str]) -> dict[str, str]:
        """Return config values with the tag of this control plane, by which the clouds' listings tell what it made."""
        return config if asked.provider == "local" or not self._plane else {**config, "plane": self._plane}

    def _try_offers(
        self,
        launch: Launch,
        asked: LaunchAsked,
        request: LaunchRequest,
        listener: Listener,
        interrupts: Interrupts,
        *,
        why: str,
        goes_on: bool,
    ) -> None:
        self._mend_state(launch, listener)
        todo = self._plan_left(launch, asked, request, listener, why)
        if launch.stack is not None and launch.stack["after"] == "offers":
            todo = replace(todo, begun=True)
        if todo.begun and not todo.offers:
            # What it failed with is known: only taking it down was not finished.
            self._end_failed(launch.id, self._last_error(launch.id))
            return
        if todo.again:
            listener.go_on_from(launch.percent, todo.offers[0])
        asked_for = self._launches.machines.may_exist(launch.id)
        record = plan.Record(launch.id, listener, todo.begun, self._blocks, todo.again, goes_on, asked_for)
        gate = self._gate(request)
        result = _unlocked(
            lambda: plan.launch(request, todo.offers, listener, interrupts, record, self._checker, gate),
            interrupts,
            self._patience(todo.begun),
        )
        if self._audience is not None:
            self._audience.ended = result
        last = result.result
        if last is None:
            self._end_failed(launch.id, self._last_error(launch.id))
        else:
            offer = next(one.offer for one in reversed(result.attempts) if one.result is last)
            self._end(launch.id, asked, offer, last, listener)

    def _carry_out_own(
        self, launch: Launch, asked: LaunchAsked, own: OwnStack, listener: Listener, interrupts: Interrupts
    ) -> None:
        """Bring a person's own stack to its settings."""
        request = own.request
        begun = bool(own.after) or bool(self._launches.attempts_of(launch.id))
        if begun:
            listener.note(f"{_INTERRUPTED}; the launch goes on")
        offer = own_stack.offer(launching.validate(request.project, request.stack, launching.overrides(request)))
        listener.trying(offer)
        recorded = Recorded(launch.id, own.since or launch.created_at, listener.happened, begun)
        gate = self._gate(request)
        try:
            _refuse_cancelled(launch)
            result = _unlocked(
                lambda: launching.launch(request, listener, interrupts, self._checker, gate, recorded=recorded),
                interrupts,
                self._patience(begun),
            )
            listener.tried(offer, result.failure)
            if result.failure is None and not self._registered(launch.id, asked, offer, result):
                raise _cancelled()
        except Stopped as error:
            cleanup = None
            if begun or error.kind is Kind.CANCELLED:
                # What stops it has made nothing; it, or whoever began it, may have.
                cleanup = _unlocked(lambda: launching.take_back(request, recorded, listener, interrupts), interrupts)
            self._end_own(launch.id, recorded_error.of_stop(error), cleanup, cancelled=error.kind is Kind.CANCELLED)
            if self._audience is not None:
                self._audience.ended = error
            return
        if self._audience is not None:
            self._audience.ended = result
        if result.failure is not None:
            cancelled = result.failure.kind is Kind.CANCELLED
            self._end_own(launch.id, recorded_error.of_failure(result.failure), result.cleanup, cancelled=cancelled)

    def _end_own(
        self, launch_id: str, error: dict[str, Any], cleanup: Cleanup | None, *, cancelled: bool = False
    ) -> None:
        """Record the end of a launch that came to no node and has cleared up itself."""
        self._end_running_attempt(launch_id, error)
        left = ""
        if cleanup is not None and cleanup.outcome == "left":
            left = redact(f"{', '.join(cleanup.resources) or 'something'}: {cleanup.reason}")
        if cancelled and not left:
            kept = cleanup is not None and cleanup.outcome == "kept"
            what = "what was made is kept" if kept else "nothing is left"
            self._launches.end(launch_id, "cancelled", f"cancelled; {what}")
        else:
            self._launches.end(launch_id, "failed", _with_left(str(error["message"]), left), error)

    def _patience(self, begun: bool) -> float:
        """Return how long a lock is waited for, in seconds: whoever begins something new at a terminal is told."""
        return _LOCK_SECONDS if begun or self._audience is None else 0.0

    def _gate(self, request: LaunchRequest) -> Gate | None:
        """Return what a launch is held to: what its command says, else the project's rules where it has some."""
        if self._audience is not None:
            return self._audience.gate
        return Gate() if policy.exists(request.project) else None

    def _plan_left(
        self, launch: Launch, asked: LaunchAsked, request: LaunchRequest, listener: Listener, why: str
    ) -> "_Todo":
        if not launch.plan:
            found = self._find(asked, request, listener)
            self._launches.set_plan(launch.id, found)
            return _Todo(tuple(found), begun=False, again=False)
        offers = [Offer.model_validate(offer) for offer in launch.plan]
        done = self._launches.attempts_of(launch.id)
        tried = [(Offer.model_validate(attempt.offer), attempt.state) for attempt in done]
        # One that went well is looked at again: its node was not registered yet.
        first = [offer for offer, state in tried if state in {"running", "succeeded"}]
        known = {offer for offer, _ in tried}
        if done:
            listener.note(f"{why}; the launch goes on")
        left = (*first, *(offer for offer in offers if offer not in known))
        return _Todo(left, begun=bool(done), again=bool(first))

    def _find(self, asked: LaunchAsked, request: LaunchRequest, listener: Listener) -> Sequence[Offer]:
        if asked.provider == "local":
            return (LOCAL_OFFER,)
        wanted = asked.wanted()
        prices = live.choose(catalog_only=self._catalog_only, say=listener.note)
        found = market.for_request(request, wanted, prices)
        if not found.offers:
            refused = "; ".join(found.refused[:5])
            raise Stopped(
                Kind.CONFIGURATION,
                "no_offer",
                f"no offer fits what was asked for{f': {refused}' if refused else ''}",
                "allow more providers, regions or instance types, or a higher max_price",
            )
        return found.offers

    def _end(self, launch_id: str, asked: LaunchAsked, offer: Offer, last: LaunchResult, listener: Listener) -> None:
        if last.failure is None:
            if not self._registered(launch_id, asked, offer, last):
                self._end_cancelled(launch_id, listener)
        elif last.failure.kind is Kind.CANCELLED:
            self._end_cancelled(launch_id, listener)
        else:
            self._end_failed(launch_id, recorded_error.of_failure(last.failure))

    def _registered(self, launch_id: str, asked: LaunchAsked, offer: Offer, last: LaunchResult) -> bool:
        """Register a launch's node; return False where somebody cancelled it in the moment in which it was ready."""
        node = _node(launch_id, asked, offer, dict(last.outputs))
        self._launches.set_status(launch_id, Status(Stage.REGISTER.start, Stage.REGISTER, node.endpoint))
        return self._launches.succeed(node)

    def _last_error(self, launch_id: str) -> dict[str, Any]:
        """Return why the last offer that was tried did not work."""
        errors = [attempt.error for attempt in self._launches.attempts_of(launch_id) if attempt.error is not None]
        if errors:
            return dict(errors[-1])
        return recorded_error.make(
            Kind.CAPACITY,
            "nothing_tried",
            "no offer could be tried: the attempts say why",
            "try again later, or allow more offers",
        )

    def _end_cancelled(self, launch_id: str, listener: Listener) -> None:
        self._end_running_attempt(launch_id, recorded_error.make(Kind.CANCELLED, "cancelled", "cancelled", ""))
        left = self._delete_made(launch_id, listener)
        if left:
            error = recorded_error.make(Kind.UNKNOWN, "left_behind", left, "Liftoff goes on trying to delete it")
            self._launches.end(launch_id, "failed", left, error)
        else:
            self._launches.end(launch_id, "cancelled", "cancelled; nothing is left")

    def _end_failed(self, launch_id: str, error: dict[str, Any]) -> None:
        self._end_running_attempt(launch_id, error)
        left = self._delete_made(launch_id, Listener(self._launches, launch_id))
        self._launches.end(launch_id, "failed", _with_left(str(error["message"]), left), error)

    def _end_running_attempt(self, launch_id: str, error: dict[str, Any]) -> None:
        for attempt in self._launches.attempts_of(launch_id):
            if attempt.state == "running":
                self._launches.end_attempt(launch_id, attempt.number, error)

    def _delete_made(self, launch_id: str, listener: Listener) -> str:
        """Delete what a launch that came to no node has made; return what is left and why, or nothing."""
        launch = self._launches.get(launch_id)
        tried = any(attempt.state != "skipped" for attempt in self._launches.attempts_of(launch_id))
        # A person's own stack was empty before its first offer was tried; before that, it holds what others made.
        if launch.stack is not None and not (launch.plan and tried):
            return ""
        return self._delete(launch, listener, Interrupts())

    def _delete(self, launch: Launch, listener: Listener, interrupts: Interrupts) -> str:
        """Delete what is in a launch's stack, and stack and folder with it unless they are a person's own.

        Returns:
            What is left and why, or nothing.
        """
        site = self._template.site_of(launch)
        if not site.folder.exists():
            return ""
        remove = not site.is_persons

        def destroy() -> takedown.DestroyResult:
            return takedown.destroy(
                site.folder,
                site.stack,
                listener,
                interrupts,
                remove=remove,
                on_event=listener.happened,
                launch_id=launch.id,
            )

        try:
            for tries_left in reversed(range(_DEATHS)):
                self._mend_state(launch, listener)
                result = _unlocked(destroy, interrupts)
                failure = result.failure
                if failure is None or failure.code not in plan.DEATHS or not tries_left or interrupts.count:
                    break
                listener.note(f"{_first_line(failure.message)}; the take-down goes on")
        except Stopped as error:
            if error.code != "stack_missing":
                return redact(str(error))
        else:
            if result.failure is not None or result.left:
                why = result.failure.message if result.failure else "the engine kept them"
                return redact(f"{', '.join(result.left) or 'something'}: {why}")
        self._launches.machines.gone(launch.id)
        if not site.is_persons:
            repair.forget_copies(site.folder, site.stack)
            self._template.forget(launch.id)
        return ""

    def _mend_state(self, launch: Launch, listener: Listener) -> None:
        """Take a state that was cut off (full disk, lost host) from its last copy; its machine is found by its tags."""
        site = self._template.site_of(launch)
        # That of a person's own stack is theirs to mend: liftoff repair. Whoever holds a lock writes the state again.
        if site.is_persons or backend.is_locked(site.folder, site.stack):
            return
        try:
            copy = repair.restore_if_broken(site.folder, site.stack)
        except Stopped as error:
            repair.set_aside(site.folder, site.stack)
            listener.note(f"{error}; it begins anew, and its machine is found by its tags")
            return
        if copy:
            listener.note(f"The state could not be read; it is taken from {copy}")

    @contextlib.contextmanager
    def _interrupts_of(self, launch_id: str) -> Iterator[Interrupts]:
        """Yield interrupts that somebody's wish to cancel, told to whichever server, presses."""
        interrupts = self._audience.interrupts if self._audience else Interrupts()
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK_SECONDS):
                # A database that is away for a moment must not end the look for good.
                with contextlib.suppress(SQLAlchemyError):
                    if self._launches.get(launch_id).status == "cancelling":
                        if not interrupts.count:
                            interrupts.press()
                        return

        watcher = threading.Thread(target=look, name=f"cancel-{launch_id}", daemon=True)
        watcher.start()
        try:
            yield interrupts
        finally:
            ended.set()
            watcher.join()


@dataclass(frozen=True)
class _Todo:
    """The offers that are left to try; whether any was tried; whether the first of them was, and goes on."""

    offers: tuple[Offer, ...]
    begun: bool
    again: bool


def _refuse_cancelled(launch: Launch) -> None:
    """Begin nothing of a launch that somebody cancelled before its command died."""
    if launch.status == "cancelling":
        raise _cancelled()


def _cancelled() -> Stopped:
    return Stopped(Kind.CANCELLED, "cancelled", "cancelled", "launch it again when you want it")


def _unlocked(work: Callable[[], _Result], interrupts: Interrupts, seconds: float = _LOCK_SECONDS) -> _Result:
    """Do what the engine of a server that died may still stand in the way of."""
    limit = time.monotonic() + seconds
    while True:
        try:
            return work()
        except Stopped as error:
            if error.code != LOCKED or time.monotonic() > limit or interrupts.wait(_LOOK_SECONDS):
                raise


def _node(launch_id: str, asked: LaunchAsked, offer: Offer, outputs: dict[str, Any]) -> Node:
    now = time.time()
    given = offer.model_dump(mode="json")
    if offer.provider == "local":
        given |= {"region": outputs.get("region", ""), "instance_type": outputs.get("instanceType", "")}
    return Node(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, launch_id)),
        launch_id=launch_id,
        model=asked.model_name,
        endpoint=str(outputs["endpoint"]),
        certificate=str(outputs.get("certificate", "")),
        offer=given,
        state="healthy",
        state_reason="it has answered a completion",
        registered_at=now,
        last_healthy_at=now,
        expires_at=datetime.fromisoformat(str(outputs["expiresAt"])).timestamp(),
        idle_minutes=asked.idle_minutes,
        idle_since=None,
        ended_at=None,
    )


def _first_line(message: str) -> str:
    return message.partition("\n")[0]


def _with_left(message: str, left: str) -> str:
    return f"{message}; and it could not be taken down: {left}" if left else message
