"""The machines that launches have asked for, and for how long each was paid: also of attempts that failed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from control_plane.store.database import Database
from control_plane.store.tables import machines


@dataclass(frozen=True)
class Paid:
    """One machine of an attempt; times in seconds since 1970, `ended_at` None while it may exist; USD/hour."""

    launch_id: str
    attempt: int
    price: float
    started_at: float
    ended_at: float | None

    def cost(self, now: float) -> float:
        """Return what it has cost in USD."""
        return self.price * max(0.0, (self.ended_at or now) - self.started_at) / 3600


class Machines:
    """The machines of all launches. Of one launch at most one exists at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def asked(self, launch_id: str, attempt: int, price: float, since: float | None = None) -> None:
        """Keep that a cloud was asked for a machine; the one before it is known to be gone."""
        now = time.time()
        highest = select(func.coalesce(func.max(machines.c.number), 0)).where(machines.c.launch_id == launch_id)
        with self._database.transaction() as connection:
            connection.execute(update(machines).where(_not_gone(launch_id)).values(ended_at=now))
            number = int(connection.scalar(highest) or 0) + 1
            row = {"launch_id": launch_id, "number": number, "attempt": attempt, "price": price}
            connection.execute(insert(machines).values(**row, started_at=now if since is None else min(since, now)))

    def may_exist(self, launch_id: str) -> bool:
        """Tell whether a machine was asked for that is not known to be gone."""
        with self._database.transaction() as connection:
            return bool(connection.scalar(select(func.count()).select_from(machines).where(_not_gone(launch_id))))

    def exists(self, launch_id: str, attempt: int, price: float, since: float) -> None:
        """Keep that there is a machine whose request may have been missed: by a server that died just then."""
        if not self.may_exist(launch_id):
            self.asked(launch_id, attempt, price, since)

    def refused(self, launch_id: str) -> None:
        """Keep that the machine that was asked for last was never made."""
        with self._database.transaction() as connection:
            connection.execute(delete(machines).where(_not_gone(launch_id)))

    def gone(self, launch_id: str, at: float | None = None) -> None:
        """Keep that a launch has no machine any more."""
        now = time.time() if at is None else at
        with self._database.transaction() as connection:
            # A clock that was put back must not make it end before it began.
            end = (
                func.max(machines.c.started_at, now)
                if connection.dialect.name == "sqlite"
                else func.greatest(machines.c.started_at, now)
            )
            connection.execute(update(machines).where(_not_gone(launch_id)).values(ended_at=end))

    def of_launches(self, launch_ids: Sequence[str]) -> dict[str, list[Paid]]:
        """Return the machines of launches by the launch's id, in order."""
        columns = (
            machines.c.launch_id,
            machines.c.attempt,
            machines.c.price,
            machines.c.started_at,
            machines.c.ended_at,
        )
        query = select(*columns).where(machines.c.launch_id.in_(launch_ids)).order_by(machines.c.number)
        found: dict[str, list[Paid]] = {}
        with self._database.transaction() as connection:
            for row in connection.execute(query):
                found.setdefault(str(row.launch_id), []).append(Paid(**row._mapping))
        return found


def _not_gone(launch_id: str) -> ColumnElement[bool]:
    """Select a launch's machine that is not known to be gone."""
    return and_(machines.c.launch_id == launch_id, machines.c.ended_at.is_(None))
