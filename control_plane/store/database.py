"""The connection: SQLite by default, PostgreSQL by its URL; the tables are brought up to date at the start."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from automation.errors import Kind, Stopped

_LOCK: Final = 7_206_201
"""Number of PostgreSQL's advisory lock under which one server migrates and the others wait."""
_WAIT_MS: Final = 20_000
_READS: Final = "liftoff_reads"


class Database:
    """One database, shared by all threads of this process."""

    def __init__(self, url: str) -> None:
        self.url = _with_driver(url)
        self.engine = _engine(self.url)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection whose changes all happen, or none."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one moment of the database, and stands in no writer's way."""
        with self.engine.connect().execution_options(**{_READS: True}) as connection, connection.begin():
            yield connection

    def answers(self) -> bool:
        """Tell whether it can be asked."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception:  # noqa: BLE001 - whatever the driver raises, it does not answer
            return False
        return True

    def migrate(self) -> None:
        """Bring the tables to this version's form.

        Raises:
            Stopped: the database can't be reached, or its tables are not of a version that this one knows.
        """
        try:
            connection = self.engine.connect()
        except SQLAlchemyError as error:
            told = f"the database {self._shown} can't be reached: {_reason(error)}"
            raise Stopped(
                Kind.CONFIGURATION, "database_unreachable", told, "start it, or correct --database"
            ) from error
        with connection:
            try:
                self._upgrade(connection)
            except (CommandError, SQLAlchemyError) as error:
                told = f"the tables of {self._shown} can't be brought to this version's form: {_reason(error)}"
                hint = "update Liftoff to the version that wrote it, or name another --database"
                raise Stopped(Kind.CONFIGURATION, "database_version", told, hint) from error

    @property
    def _shown(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)

    def _upgrade(self, connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(resources.files("control_plane.store") / "migrations"))
        locks = self.engine.dialect.name == "postgresql"
        if locks:
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _LOCK})
        try:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            if locks:
                connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _LOCK})
                connection.commit()

    def close(self) -> None:
        """Give its connections back."""
        self.engine.dispose()


def sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        # Kept in the file, for whoever opens it: readers and the writer do not wait for each other.
        with closing(sqlite3.connect(path, timeout=_WAIT_MS / 1000)) as made:
            made.execute("PRAGMA journal_mode=WAL")
    return f"sqlite:///{path}"


def _reason(error: CommandError | SQLAlchemyError) -> str:
    # SQLAlchemy's own text repeats the statement, and says where to read on.
    found = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(found).split())


def _with_driver(given: str) -> str:
    # A URL may hold a password, which has no place in a command or in a variable that every child process gets.
    url = _content(Path(given[1:])) if given.startswith("@") else given
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return url.replace(scheme, "postgresql+psycopg://", 1)
    if url.startswith(("postgresql+psycopg://", "sqlite:///")):
        return url
    raise Stopped(
        Kind.CONFIGURATION,
        "database_url",
        f"--database: given {url.rsplit('@', maxsplit=1)[-1]!r}; allowed: postgresql://USER@HOST/NAME, sqlite:///FILE, "
        "or @FILE that holds one of them",
        "correct the URL",
    )


def _content(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise Stopped(
            Kind.CONFIGURATION,
            "database_url",
            f"--database: given @{file}, which can't be read ({error}); allowed: a file that holds the URL",
            "correct the path, or let this user read the file",
        ) from error


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
    engine = create_engine(url, connect_args={"timeout": _WAIT_MS / 1000})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own
        # We begin transactions ourselves: the driver begins them late, and a reader that turns writer would fail.
        connection.isolation_level = None
        for pragma in ("foreign_keys=ON", f"busy_timeout={_WAIT_MS}", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(_READS, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
