"""Alembic's entry: the connection comes from `Database.migrate`, or from a developer's `alembic -x url=...`."""

from alembic import context
from sqlalchemy import create_engine

from control_plane.store.tables import METADATA

given = context.config.attributes.get("connection")
connection = given or create_engine(context.get_x_argument(as_dictionary=True)["url"]).connect()
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
