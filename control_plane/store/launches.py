"""Launches, their attempts, stages and events, as they are stored and as they are told."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from automation.offers import Offer
from control_plane.store.database import Database
from control_plane.store.machines import Machines
from control_plane.store.nodes import Node
from control_plane.store.tables import ENDED, attempts, events, launches, machines, nodes, stages
from provider.status import Stage, Status

Failure = Literal["failed", "cancelled"]
Outcome = Literal["succeeded", Failure]
EventKind = Literal["status", "note", "attempt", "launch", "log"]

_SAMPLE: Final = 20
"""How many earlier launches an estimate is made from."""
_NOWHERE: Final = {"kind": "unknown", "code": "interrupted", "stage": "", "resource": "", "log": []}
_INTERRUPTED: Final = {
    **_NOWHERE,
    "message": "the server ended while this was tried, and the offer can't be tried again",
    "hint": "look at the launch's notes for the reason",
}
_TAKEN_OVER: Final = {
    **_NOWHERE,
    "message": "what carried it out has died; a later launch of the same stack takes over what it made",
    "hint": "look at the later launch",
}


class UnknownLaunch(Exception):  # noqa: N818 - named after what happened
    """There is no launch of that id."""


@dataclass(frozen=True)
class Attempt:
    """What became of one offer of a launch. Times in seconds since 1970; None where docs/api.md says null."""

    number: int
    offer: Mapping[str, Any]
    state: str
    reason: str
    started_at: float | None
    ended_at: float | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True)
class StageSpan:
    """A stage of a launch; `ended_at` is None while it is on."""

    stage: str
    started_at: float
    ended_at: float | None


@dataclass(frozen=True)
class Launch:
    """One launch as it is stored. Times in seconds since 1970; None where docs/api.md says null."""

    id: str
    request: Mapping[str, Any]
    status: str
    stage: str
    percent: float
    message: str
    plan: Sequence[Mapping[str, Any]]
    created_at: float
    started_at: float | None
    ended_at: float | None
    error: Mapping[str, Any] | None
    server: str | None
    stack: Mapping[str, Any] | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ENDED


@dataclass(frozen=True)
class Event:
    """Something that happened in a launch; ids grow."""

    id: int
    kind: str
    data: Mapping[str, Any]
    at: float


class Launches:
    """All launches."""

    def __init__(self, database: Database, ring: Callable[[str], None] = lambda _: None) -> None:
        self._database = database
        self._ring = ring
        self.machines = Machines(database)
        """What their machines cost."""

    def add(
        self,
        launch_id: str,
        request: Mapping[str, Any],
        idempotency_key: str | None,
        *,
        stack: Mapping[str, Any] | None = None,
        server: str | None = None,
        plan: Sequence[Offer] = (),
    ) -> tuple[str, bool]:
        """Record a launch before anything is asked of any cloud.

        Args:
            launch_id: its id.
            request: what is asked for.
            idempotency_key: the caller's name for it; None where it has none.
            stack: the person's own stack in which it is; None where it is to have one of its own.
            server: who works on it, where that is known beforehand.
            plan: the offers to try, where they are known beforehand.

        Returns:
            The launch's id, and whether it is new: the same key gives the launch that has it already.
        """
        now = time.time()
        row: dict[str, Any] = {
            "id": launch_id,
            "idempotency_key": idempotency_key,
            "request": dict(request),
            "status": "queued",
            "stage": Stage.VALIDATE.title,
            "percent": 0.0,
            "message": "",
            "plan": [offer.model_dump(mode="json") for offer in plan],
            "created_at": now,
            "server": server,
            "stack": dict(stack) if stack is not None else None,
        }
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(launches).values(row))
                _record(connection, launch_id, "launch", {"status": "queued"}, now)
        except IntegrityError:
            with self._database.transaction() as connection:
                found = connection.scalar(select(launches.c.id).where(launches.c.idempotency_key == idempotency_key))
            if idempotency_key is None or found is None:
                raise
            return str(found), False
        return launch_id, True

    @contextmanager
    def _telling(self, launch_id: str) -> Iterator[Connection]:
        """Yield a transaction, and wake whoever listens once it has happened."""
        with self._database.transaction() as connection:
            yield connection
        self._ring(launch_id)

    def get(self, launch_id: str) -> Launch:
        """Return a launch.

        Raises:
            UnknownLaunch: there is none of that id.
        """
        with self._database.reading() as connection:
            row = connection.execute(_COLUMNS.where(launches.c.id == launch_id)).one_or_none()
        if row is None:
            raise UnknownLaunch(launch_id)
        return _launch(row)

    def page(self, status: str | None, limit: int, before: tuple[float, str] | None) -> list[Launch]:
        """Return launches, newest first, of one status and created before a place in that order."""
        query = _COLUMNS.order_by(launches.c.created_at.desc(), launches.c.id.desc()).limit(limit)
        if status is not None:
            query = query.where(launches.c.status == status)
        if before is not None:
            at, launch_id = before
            older = launches.c.created_at < at
            query = query.where(or_(older, and_(launches.c.created_at == at, launches.c.id < launch_id)))
        with self._database.reading() as connection:
            return [_launch(row) for row in connection.execute(query)]

    def open(self) -> list[Launch]:
        """Return the launches that have not ended, oldest first."""
        query = _COLUMNS.where(launches.c.ended_at.is_(None)).order_by(launches.c.created_at, launches.c.id)
        with self._database.reading() as connection:
            return [_launch(row) for row in connection.execute(query)]

    def of_stack(self, project: str, stack: str) -> list[Launch]:
        """Return the launches of a person's own stack, newest first."""
        mine = and_(_OWN["project"].as_string() == project, _OWN["stack"].as_string() == stack)
        query = _COLUMNS.where(launches.c.stack.is_not(None), mine).order_by(launches.c.created_at.desc())
        with self._database.reading() as connection:
            return [_launch(row) for row in connection.execute(query)]

    def waiting_before(self, launch: Launch) -> int | None:
        """Return how many launches wait before this one, or None where it does not wait."""
        if launch.status != "queued":
            return None
        earlier = and_(launches.c.status == "queued", launches.c.created_at < launch.created_at)
        with self._database.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(launches).where(earlier)) or 0)

    def begin(self, launch_id: str, server: str) -> Launch | None:
        """Take a launch up on a server, and return it; None where it has ended meanwhile."""
        now = time.time()
        with self._telling(launch_id) as connection:
            changed = connection.execute(
                update(launches)
                .where(launches.c.id == launch_id, launches.c.ended_at.is_(None))
                .values(server=server, started_at=func.coalesce(launches.c.started_at, now))
            )
            if changed.rowcount == 0:
                return None
            queued = and_(launches.c.id == launch_id, launches.c.status == "queued")
            if connection.execute(update(launches).where(queued).values(status="running")).rowcount:
                _record(connection, launch_id, "launch", {"status": "running"}, now)
        return self.get(launch_id)

    def set_plan(self, launch_id: str, offers: Sequence[Offer]) -> None:
        """Keep what is to be tried."""
        plan = [offer.model_dump(mode="json") for offer in offers]
        with self._database.transaction() as connection:
            connection.execute(update(launches).where(launches.c.id == launch_id).values(plan=plan))

    def set_status(self, launch_id: str, status: Status) -> None:
        """Tell how far a launch is."""
        now = time.time()
        title = status.stage.title
        with self._telling(launch_id) as connection:
            connection.execute(
                update(launches)
                .where(launches.c.id == launch_id)
                .values(stage=title, percent=status.percent, message=status.message)
            )
            _enter(connection, launch_id, title, now)
            data = {"stage": title, "percentage": round(status.percent, 1), "message": status.message}
            _record(connection, launch_id, "status", data, now)

    def end_plan(self, launch_id: str) -> None:
        """Keep that no offer is to be tried but those that were."""
        with self._database.transaction() as connection:
            offers = select(attempts.c.offer).where(attempts.c.launch_id == launch_id).order_by(attempts.c.number)
            tried = list(connection.scalars(offers))
            connection.execute(update(launches).where(launches.c.id == launch_id).values(plan=tried))

    def note(self, launch_id: str, text: str) -> None:
        """Keep a decision that was made."""
        with self._telling(launch_id) as connection:
            _record(connection, launch_id, "note", {"text": text}, time.time())

    def log(self, launch_id: str, source: Literal["engine", "node"], lines: Sequence[str]) -> None:
        """Keep lines of a log."""
        if lines:
            with self._telling(launch_id) as connection:
                _record(connection, launch_id, "log", {"source": source, "lines": list(lines)}, time.time())

    def start_attempt(self, launch_id: str, offer: Offer) -> int:
        """Record that an offer is tried; one that a dead server was trying goes on under its number."""
        given = offer.model_dump(mode="json")
        with self._telling(launch_id) as connection:
            mine = attempts.c.launch_id == launch_id
            unended = attempts.c.state.in_(("running", "succeeded"))
            begun = connection.execute(select(attempts).where(mine, unended)).one_or_none()
            if begun is not None and begun.offer == given:
                return int(begun.number)
            if begun is not None:
                # Its cloud can't be asked any more.
                _end_attempt(connection, launch_id, begun.number, _INTERRUPTED)
            number = int(connection.scalar(select(func.coalesce(func.max(attempts.c.number), 0)).where(mine)) or 0) + 1
            row = {"launch_id": launch_id, "number": number, "offer": given, "state": "running", "reason": ""}
            now = time.time()
            connection.execute(insert(attempts).values(**row, started_at=now))
            _tell_attempt(connection, launch_id, number, now)
        return number

    def end_attempt(self, launch_id: str, number: int, error: Mapping[str, Any] | None) -> None:
        """Record how a try ended."""
        with self._telling(launch_id) as connection:
            _end_attempt(connection, launch_id, number, error)

    def skip_attempt(self, launch_id: str, offer: Offer, reason: str) -> None:
        """Record that an offer is not tried, and why."""
        with self._telling(launch_id) as connection:
            mine = attempts.c.launch_id == launch_id
            number = int(connection.scalar(select(func.coalesce(func.max(attempts.c.number), 0)).where(mine)) or 0) + 1
            row = {"launch_id": launch_id, "number": number, "offer": offer.model_dump(mode="json")}
            connection.execute(insert(attempts).values(**row, state="skipped", reason=reason))
            _tell_attempt(connection, launch_id, number, time.time())

    def ask_to_cancel(self, launch_id: str) -> Launch:
        """Ask whoever works on a launch to end it; one that nobody has begun ends at once. One that has ended stays.

        Raises:
            UnknownLaunch: there is none of that id.
        """
        now = time.time()
        this = launches.c.id == launch_id
        with self._telling(launch_id) as connection:
            unbegun = and_(this, launches.c.status == "queued", launches.c.started_at.is_(None))
            if connection.execute(update(launches).where(unbegun).values(status="cancelled", ended_at=now)).rowcount:
                _record(connection, launch_id, "launch", {"status": "cancelled"}, now)
            begun = and_(this, launches.c.status == "running")
            if connection.execute(update(launches).where(begun).values(status="cancelling")).rowcount:
                _record(connection, launch_id, "launch", {"status": "cancelling"}, now)
        return self.get(launch_id)

    def end(self, launch_id: str, outcome: Failure, message: str, error: Mapping[str, Any] | None = None) -> None:
        """Record how a launch ended that came to no node; it ends once."""
        with self._telling(launch_id) as connection:
            _end(connection, launch_id, outcome, message, error)

    def end_interrupted(self, launch_id: str) -> None:
        """Record that a launch ended with the process that carried it out, and that a later one takes over."""
        with self._telling(launch_id) as connection:
            running = select(attempts.c.number).where(attempts.c.launch_id == launch_id, attempts.c.state == "running")
            for number in list(connection.scalars(running)):
                _end_attempt(connection, launch_id, number, _TAKEN_OVER)
            _end(connection, launch_id, "failed", str(_TAKEN_OVER["message"]), _TAKEN_OVER)

    def succeed(self, node: Node) -> bool:
        """Record a launch's node and its end, both or neither; return False where it was cancelled or has ended.

        A node that the launch's stack had before is no longer there, or is the same machine: it has gone.
        """
        with self._telling(node.launch_id) as connection:
            running = and_(launches.c.id == node.launch_id, launches.c.status == "running")
            # Taken for writing first, so that nobody cancels it in between.
            if not connection.execute(update(launches).where(running).values(message=node.endpoint)).rowcount:
                return False
            _replace(connection, node)
            connection.execute(insert(nodes).values({**node.__dict__, **_restore(connection, node)}))
            _end(connection, node.launch_id, "succeeded", node.endpoint, None)
        return True

    def attempts_of(self, launch_id: str) -> list[Attempt]:
        """Return what became of each offer, in order."""
        query = select(attempts).where(attempts.c.launch_id == launch_id).order_by(attempts.c.number)
        with self._database.reading() as connection:
            return [_attempt(row) for row in connection.execute(query)]

    def stages_of(self, launch_id: str) -> list[StageSpan]:
        """Return the stages that a launch has been in, in order."""
        query = select(stages).where(stages.c.launch_id == launch_id).order_by(stages.c.number)
        with self._database.reading() as connection:
            return [StageSpan(row.stage, row.started_at, row.ended_at) for row in connection.execute(query)]

    def events_of(self, launch_id: str, after: int, limit: int = 500) -> list[Event]:
        """Return the events of a launch with greater ids, oldest first."""
        query = select(events).where(events.c.launch_id == launch_id, events.c.id > after)
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(events.c.id).limit(limit))
            return [Event(row.id, row.kind, row.data, row.at) for row in found]

    def last_event(self, launch_id: str) -> int:
        """Return the id of the latest event of a launch; 0 where there is none."""
        with self._database.reading() as connection:
            query = select(func.coalesce(func.max(events.c.id), 0)).where(events.c.launch_id == launch_id)
            return int(connection.scalar(query) or 0)

    def logs_of(self, launch_id: str, source: Literal["engine", "node"] | None) -> list[str]:
        """Return the lines of a launch's log, of one source or of both."""
        query = select(events.c.data).where(events.c.launch_id == launch_id, events.c.kind == "log")
        with self._database.reading() as connection:
            found = list(connection.scalars(query.order_by(events.c.id)))
        return [line for data in found if source in {None, data["source"]} for line in data["lines"]]

    def places(self) -> set[tuple[str, str]]:
        """Return every provider and region at which an offer was tried."""
        query = select(attempts.c.offer).where(attempts.c.state != "skipped")
        with self._database.transaction() as connection:
            return {(str(offer["provider"]), str(offer["region"])) for offer in connection.scalars(query)}

    def durations(self, provider: str) -> list[float]:
        """Return how many seconds the latest launches of a provider took that went well."""
        query = (
            select(launches.c.started_at, launches.c.ended_at, attempts.c.offer)
            .join(attempts, attempts.c.launch_id == launches.c.id)
            .where(launches.c.status == "succeeded", attempts.c.state == "succeeded")
            .order_by(launches.c.ended_at.desc())
            .limit(_SAMPLE * 4)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        found = [row.ended_at - row.started_at for row in rows if row.offer["provider"] == provider]
        return found[:_SAMPLE]

    def counts(self) -> dict[str, int]:
        """Return how many launches there are of each status."""
        query = select(launches.c.status, func.count()).group_by(launches.c.status)
        with self._database.reading() as connection:
            return {str(status): int(number) for status, number in connection.execute(query)}

    def forget(self, ended_before: float, keep: Sequence[str]) -> list[str]:
        """Delete launches that ended before a time with their nodes, but for those to be kept; return their ids."""
        old = and_(launches.c.ended_at < ended_before, launches.c.id.not_in(keep))
        with self._database.transaction() as connection:
            connection.execute(delete(nodes).where(nodes.c.launch_id.in_(select(launches.c.id).where(old))))
            return list(connection.scalars(delete(launches).where(old).returning(launches.c.id)))


_COLUMNS: Final = select(
    launches.c.id,
    launches.c.request,
    launches.c.status,
    launches.c.stage,
    launches.c.percent,
    launches.c.message,
    launches.c.plan,
    launches.c.created_at,
    launches.c.started_at,
    launches.c.ended_at,
    launches.c.error,
    launches.c.server,
    launches.c.stack,
)
_OWN: Final = launches.c.stack


def _launch(row: Row[*tuple[Any, ...]]) -> Launch:
    return Launch(**row._mapping)


def _attempt(row: Row[*tuple[Any, ...]]) -> Attempt:
    return Attempt(row.number, row.offer, row.state, row.reason, row.started_at, row.ended_at, row.error)


def _record(connection: Connection, launch_id: str, kind: EventKind, data: Mapping[str, Any], at: float) -> None:
    row = {"launch_id": launch_id, "kind": kind, "data": dict(data), "at": at}
    connection.execute(insert(events).values(row))


def _end(
    connection: Connection, launch_id: str, outcome: Outcome, message: str, error: Mapping[str, Any] | None
) -> None:
    now = time.time()
    values = {"status": outcome, "message": message, "ended_at": now, "error": dict(error) if error else None}
    unended = and_(launches.c.id == launch_id, launches.c.ended_at.is_(None))
    if connection.execute(update(launches).where(unended).values(values)).rowcount:
        on = and_(stages.c.launch_id == launch_id, stages.c.ended_at.is_(None))
        connection.execute(update(stages).where(on).values(ended_at=now))
        _record(connection, launch_id, "launch", {"status": outcome}, now)


def _replace(connection: Connection, node: Node) -> None:
    """Let the node go that the stack of a new one had before, if that is a person's own."""
    own = connection.scalar(select(launches.c.stack).where(launches.c.id == node.launch_id))
    if own is None:
        return
    same = and_(_OWN["project"].as_string() == own["project"], _OWN["stack"].as_string() == own["stack"])
    before = select(launches.c.id).where(launches.c.stack.is_not(None), same)
    there = and_(nodes.c.launch_id.in_(before), nodes.c.ended_at.is_(None))
    reason = f"its stack was launched again: {node.launch_id}"
    now = time.time()
    connection.execute(update(nodes).where(there).values(state="gone", state_reason=reason, ended_at=now))
    # The stack has one machine: from now on it is the new launch that pays for it.
    paid = and_(machines.c.launch_id.in_(before), machines.c.ended_at.is_(None), machines.c.launch_id != node.launch_id)
    connection.execute(update(machines).where(paid).values(ended_at=now))


def _end_attempt(connection: Connection, launch_id: str, number: int, error: Mapping[str, Any] | None) -> None:
    now = time.time()
    this = and_(attempts.c.launch_id == launch_id, attempts.c.number == number)
    state = "failed" if error else "succeeded"
    ended = {"state": state, "ended_at": now, "error": dict(error) if error else None}
    connection.execute(update(attempts).where(this).values(ended))
    _tell_attempt(connection, launch_id, number, now)


def _restore(connection: Connection, node: Node) -> dict[str, Any]:
    """Record that a node stands in an interrupted one's place, if it was launched for that; return what it knows."""
    waiting = and_(nodes.c.relaunched_as == node.launch_id, nodes.c.restored_at.is_(None))
    before = connection.execute(select(nodes.c.id, nodes.c.interrupted_at).where(waiting)).one_or_none()
    if before is None:
        return {}
    connection.execute(update(nodes).where(nodes.c.id == before.id).values(restored_at=node.registered_at))
    # Two servers' clocks may differ.
    return {"replaces": before.id, "outage_seconds": max(0.0, node.registered_at - before.interrupted_at)}


def _enter(connection: Connection, launch_id: str, stage: str, now: float) -> None:
    """Begin a stage where another one, or none, was on."""
    mine = stages.c.launch_id == launch_id
    last = connection.execute(select(stages).where(mine).order_by(stages.c.number.desc()).limit(1)).one_or_none()
    if last is not None and last.stage == stage and last.ended_at is None:
        return
    number = 1 if last is None else last.number + 1
    if last is not None:
        connection.execute(update(stages).where(mine, stages.c.ended_at.is_(None)).values(ended_at=now))
    connection.execute(insert(stages).values(launch_id=launch_id, number=number, stage=stage, started_at=now))


def _tell_attempt(connection: Connection, launch_id: str, number: int, now: float) -> None:
    this = and_(attempts.c.launch_id == launch_id, attempts.c.number == number)
    found = _attempt(connection.execute(select(attempts).where(this)).one())
    _record(connection, launch_id, "attempt", found.__dict__, now)
