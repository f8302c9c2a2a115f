"""Prices that were read a moment ago, kept for the next command; one SQLite file for all commands of this host."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

SECONDS: Final = 600.0
"""For how long a price counts as live."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS answers (question TEXT PRIMARY KEY, read_at REAL NOT NULL, answer TEXT NOT NULL)"
)
_WAIT_SECONDS: Final = 2.0


class Cache:
    """Answers by question. What can't be read or written is as if it was not there: prices can be asked for again."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        self._path = path
        self._seconds = seconds

    def get(self, question: str, now: float) -> tuple[str, float] | None:
        """Return an answer and when it was read, in seconds since 1970; None where it is too old or unknown."""
        try:
            with closing(self._connect()) as database, database:
                row = database.execute(
                    "SELECT answer, read_at FROM answers WHERE question = ? AND read_at BETWEEN ? AND ?",
                    (question, now - self._seconds, now),
                ).fetchone()
        except (sqlite3.Error, OSError):
            return None
        return (str(row[0]), float(row[1])) if row else None

    def put(self, question: str, answer: str, now: float) -> None:
        """Keep an answer, and forget those that are too old."""
        try:
            with closing(self._connect()) as database, database:
                database.execute("DELETE FROM answers WHERE read_at <= ?", (now - self._seconds,))
                database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (question, now, answer))
        except (sqlite3.Error, OSError):
            return

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS)
        database.execute(_SCHEMA)
        return database
