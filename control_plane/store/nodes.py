"""The nodes that answered, and what is known of each."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Row, and_, func, select, update

from control_plane.store.database import Database
from control_plane.store.tables import nodes

NOT_TAKEN_DOWN: Final = "could not be taken down"
"""How the reason begins of a node whose take-down failed, and is tried again."""

State = Literal["healthy", "unhealthy", "interrupted", "evicted", "terminating", "gone"]


class UnknownNode(Exception):  # noqa: N818 - named after what happened
    """There is no node of that id."""


@dataclass(frozen=True)
class Node:
    """One node. Times in seconds since 1970; None where docs/api.md says null.

    Attributes:
        interrupted_at: since when it takes no more requests because its cloud takes it back.
        relaunched_as: the launch that is to bring a node in its place.
        restored_at: when that node was there.
        replaces: the node in whose place this one stands.
        outage_seconds: how long there was no endpoint between that one and this.
    """

    id: str
    launch_id: str
    model: str
    endpoint: str
    certificate: str
    offer: Mapping[str, Any]
    state: State
    state_reason: str
    registered_at: float
    last_healthy_at: float
    expires_at: float
    idle_minutes: float | None
    idle_since: float | None
    ended_at: float | None
    interrupted_at: float | None = None
    relaunched_as: str | None = None
    restored_at: float | None = None
    replaces: str | None = None
    outage_seconds: float | None = None

    def cost(self, now: float) -> float:
        """Return what its machine has cost so far in USD, by the price of its offer."""
        hours = ((self.ended_at or now) - self.registered_at) / 3600
        return float(self.offer["price"]) * max(0.0, hours)


class Nodes:
    """All nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, node_id: str) -> Node:
        """Return a node.

        Raises:
            UnknownNode: there is none of that id.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(nodes).where(nodes.c.id == node_id)).one_or_none()
        if row is None:
            raise UnknownNode(node_id)
        return _node(row)

    def of_launch(self, launch_id: str) -> Node | None:
        """Return the node of a launch, if it came to one."""
        with self._database.reading() as connection:
            row = connection.execute(select(nodes).where(nodes.c.launch_id == launch_id)).one_or_none()
        return None if row is None else _node(row)

    def of_launches(self, launch_ids: Sequence[str]) -> dict[str, Node]:
        """Return the nodes of launches by the launch's id, of those that came to one."""
        with self._database.reading() as connection:
            rows = connection.execute(select(nodes).where(nodes.c.launch_id.in_(launch_ids))).all()
        return {str(row.launch_id): _node(row) for row in rows}

    def all(self, state: State | None = None, *, gone: bool = True) -> list[Node]:
        """Return the nodes, newest first: of one state, or all, with or without those that have gone."""
        query = select(nodes).order_by(nodes.c.registered_at.desc(), nodes.c.id)
        if state is not None:
            query = query.where(nodes.c.state == state)
        if not gone:
            query = query.where(nodes.c.ended_at.is_(None))
        with self._database.reading() as connection:
            return [_node(row) for row in connection.execute(query)]

    def set_state(self, node_id: str, state: State, reason: str, *, unless: Collection[State] = ()) -> None:
        """Record what became of a node, unless it is in one of some states; one that has gone stays so."""
        now = time.time()
        values: dict[str, Any] = {"state": state, "state_reason": reason}
        if state == "gone":
            values["ended_at"] = now
        if state == "healthy":
            values["last_healthy_at"] = now
        with self._database.transaction() as connection:
            here = and_(nodes.c.id == node_id, nodes.c.ended_at.is_(None), nodes.c.state.not_in(unless))
            connection.execute(update(nodes).where(here).values(values))

    def interrupt(
        self, node_id: str, state: Literal["interrupted", "evicted"], since: float, reason: str
    ) -> Node | None:
        """Record that its cloud takes a node back, and since when it takes no more requests: the first time counts.

        Returns:
            The node; None where somebody takes it down already.
        """
        values = {
            "state": state,
            "state_reason": reason,
            "interrupted_at": func.coalesce(nodes.c.interrupted_at, since),
        }
        with self._database.transaction() as connection:
            here = and_(nodes.c.id == node_id, nodes.c.state.in_(("healthy", "unhealthy", "interrupted")))
            if not connection.execute(update(nodes).where(here).values(values)).rowcount:
                return None
        return self.get(node_id)

    def set_relaunch(self, node_id: str, launch_id: str, instead_of: str | None) -> None:
        """Record which launch is to bring a node in an interrupted one's place, instead of none or of a failed one."""
        with self._database.transaction() as connection:
            before = nodes.c.relaunched_as
            mine = before.is_(None) if instead_of is None else before == instead_of
            here = and_(nodes.c.id == node_id, nodes.c.restored_at.is_(None), mine)
            connection.execute(update(nodes).where(here).values(relaunched_as=launch_id))

    def without_successor(self, now: float) -> list[Node]:
        """Return the interrupted nodes in whose place another one is to come, while they would still have lived."""
        wanted = and_(nodes.c.relaunched_as.is_not(None), nodes.c.restored_at.is_(None), nodes.c.expires_at > now)
        with self._database.transaction() as connection:
            return [_node(row) for row in connection.execute(select(nodes).where(wanted))]

    def set_idle(self, node_id: str, since: float | None) -> None:
        """Record since when nobody has asked a node anything; None while somebody does."""
        with self._database.transaction() as connection:
            connection.execute(update(nodes).where(nodes.c.id == node_id).values(idle_since=since))


def _node(row: Row[*tuple[Any, ...]]) -> Node:
    return Node(**row._mapping)
