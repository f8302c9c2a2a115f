"""Where an offer would fail for now, known to all servers of one database."""

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from automation.blocked import Block
from control_plane.store.database import Database
from control_plane.store.tables import blocks


class Blocks:
    """The blocks that all launches share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, block: Block) -> None:
        """Remember a block; of two for the same, the one that ends later counts."""
        with self._database.transaction() as connection:
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            row = insert(blocks).values(block.__dict__)
            later = {"until": row.excluded.until, "code": row.excluded.code}
            keys = [column.name for column in blocks.primary_key]
            connection.execute(
                row.on_conflict_do_update(index_elements=keys, set_=later, where=row.excluded.until > blocks.c.until)
            )

    def active(self, now: float) -> tuple[Block, ...]:
        """Return the blocks that hold at `now`, and forget those that have ended."""
        with self._database.transaction() as connection:
            connection.execute(delete(blocks).where(blocks.c.until <= now))
            rows = connection.execute(select(blocks).order_by(blocks.c.until)).all()
        return tuple(Block(**row._mapping) for row in rows)
