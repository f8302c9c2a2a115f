"""Which servers live: each says so every few seconds, and another goes on with the launches of one that does not."""

import time

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.store.database import Database
from control_plane.store.tables import launches, servers


class Servers:
    """The servers of one database."""

    def __init__(self, database: Database, own: str) -> None:
        self._database = database
        self._own = own

    def heartbeat(self, dead_seconds: float) -> list[str]:
        """Say that this server lives, and take over the launches of those that were not seen for so long.

        Returns:
            The launches that this server has taken over; no other one gets them.
        """
        now = time.time()
        with self._database.transaction() as connection:
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            row = insert(servers).values(id=self._own, seen_at=now)
            connection.execute(row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))
            alive = select(servers.c.id).where(servers.c.seen_at > now - dead_seconds)
            orphaned = (launches.c.ended_at.is_(None), launches.c.server.is_not(None), launches.c.server.not_in(alive))
            taken = update(launches).where(*orphaned).values(server=self._own).returning(launches.c.id)
            return [str(launch_id) for launch_id in connection.scalars(taken)]
