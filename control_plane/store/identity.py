"""Who this control plane is, among all that use the same accounts: the tag of what it makes."""

import uuid
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.store.database import Database
from control_plane.store.tables import identity

_PLANE: Final = "plane"


def plane(database: Database) -> str:
    """Return the control plane's own name: made once for each database, and the same for all servers of it."""
    with database.transaction() as connection:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        row = insert(identity).values(key=_PLANE, value=f"plane-{uuid.uuid4().hex[:16]}")
        connection.execute(row.on_conflict_do_nothing())
        return str(connection.scalar(select(identity.c.value).where(identity.c.key == _PLANE)))
