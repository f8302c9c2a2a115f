"""Tokens of the API: what is stored is a digest, and a token is seen once, when it is made."""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import insert, select, update

from control_plane.store.database import Database
from control_plane.store.tables import tokens

Scope = Literal["read", "launch"]
PREFIX: Final = "lo_"
_RECENT_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Token:
    """A token as it is known; `revoked_at` is None while it may be used. Times in seconds since 1970."""

    id: str
    name: str
    scope: Scope
    created_at: float
    revoked_at: float | None

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What it allows: who may launch may look."""
        return ("launch", "read") if self.scope == "launch" else ("read",)


class Tokens:
    """All tokens."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._recent: dict[str, tuple[Token, float]] = {}

    def issue(self, name: str, scope: Scope) -> str:
        """Make a token and return it; nobody can read it again."""
        token = PREFIX + secrets.token_urlsafe(32)
        row = {"id": str(uuid.uuid4()), "name": name, "scope": scope, "digest": _digest(token)}
        with self._database.transaction() as connection:
            connection.execute(insert(tokens).values(**row, created_at=time.time()))
        return token

    def recent(self, given: str) -> Token | None:
        """Return a token that was found a moment ago; one that is revoked meanwhile is let in for that moment."""
        wanted, found = _digest(given), None
        for digest, (token, until) in list(self._recent.items()):
            if hmac.compare_digest(digest, wanted) and self._clock() < until:
                found = token
        return found

    def find(self, given: str) -> Token | None:
        """Return the token that was given, unless it is not known or was revoked."""
        wanted = _digest(given)
        found: Token | None = None
        with self._database.reading() as connection:
            rows = connection.execute(select(tokens).where(tokens.c.revoked_at.is_(None))).all()
        # Each is compared, in a time that does not tell how much of it was right.
        for row in rows:
            if hmac.compare_digest(row.digest, wanted):
                found = Token(row.id, row.name, row.scope, row.created_at, None)
        if found is not None:
            now = self._clock()
            live = {digest: kept for digest, kept in list(self._recent.items()) if kept[1] > now}
            self._recent = {**live, wanted: (found, now + _RECENT_SECONDS)}
        return found

    def all(self) -> list[Token]:
        """Return all tokens, the revoked ones, too, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.created_at)).all()
        return [Token(row.id, row.name, row.scope, row.created_at, row.revoked_at) for row in rows]

    def revoke(self, name: str) -> int:
        """Revoke the tokens of that name or id, and return how many were in use."""
        self._recent = {}
        named = (tokens.c.name == name) | (tokens.c.id == name)
        with self._database.transaction() as connection:
            change = update(tokens).where(named, tokens.c.revoked_at.is_(None)).values(revoked_at=time.time())
            return int(connection.execute(change).rowcount)


def _digest(token: str) -> str:
    # 256 random bits need no salt and no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()
