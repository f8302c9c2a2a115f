"""Which servers live: each says so every few seconds, and another goes on with the work of one that does not."""

import time
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.store.database import Database
from control_plane.store.tables import servers


class Servers:
    """The servers of one database."""

    def __init__(self, database: Database, own: str) -> None:
        self._database = database
        self._own = own

    def heartbeat(self) -> None:
        """Say that this server lives."""
        now = time.time()
        with self._database.transaction() as connection:
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            row = insert(servers).values(id=self._own, seen_at=now)
            connection.execute(row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))

    def dead(self, seconds: float) -> list[str]:
        """Return the other servers that were not seen for so long."""
        silent = servers.c.seen_at <= time.time() - seconds
        with self._database.reading() as connection:
            found = connection.scalars(select(servers.c.id).where(silent, servers.c.id != self._own))
            return [str(server) for server in found]

    def forget(self, dead: Sequence[str], seconds: float) -> None:
        """Forget servers whose work others have, unless they have been seen again."""
        silent = servers.c.seen_at <= time.time() - seconds
        with self._database.transaction() as connection:
            connection.execute(delete(servers).where(silent, servers.c.id.in_(dead)))
