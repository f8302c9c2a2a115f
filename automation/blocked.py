"""Places where an offer would fail for now: found by one launch, known to all of this host's, for a limited time."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from automation.cloud_errors import Scope
from automation.errors import INTERRUPTED_SECONDS, LaunchFailure
from automation.offers import Offer
from provider.status import INTERRUPTED

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blocked (
    provider TEXT NOT NULL, region TEXT NOT NULL, zone TEXT NOT NULL, instance_type TEXT NOT NULL,
    market TEXT NOT NULL CHECK (market IN ('', 'spot', 'on-demand')),
    until REAL NOT NULL, code TEXT NOT NULL,
    PRIMARY KEY (provider, region, zone, instance_type, market)
)
"""
_WAIT_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Block:
    """What not to ask for; an empty field means all of them.

    Attributes:
        until: when it ends, in seconds since 1970.
        code: the answer that led to it.
    """

    provider: str
    region: str
    zone: str
    instance_type: str
    market: str
    until: float
    code: str

    def covers(self, offer: Offer) -> bool:
        """Tell whether an offer would fail in the same way."""
        pairs = (
            (self.provider, offer.provider),
            (self.region, offer.region),
            (self.zone, offer.zone),
            (self.instance_type, offer.instance_type),
            (self.market, _market(offer)),
        )
        return all(own in ("", other) for own, other in pairs)


def block_of(offer: Offer, failure: LaunchFailure, now: float) -> Block | None:
    """Return what a failed offer says about others, if anything."""
    if failure.scope is Scope.NONE or failure.blocked_seconds <= 0:
        return None
    until = now + failure.blocked_seconds
    if failure.scope is Scope.ACCOUNT:
        return Block(offer.provider, "", "", "", "", until, failure.code)
    zone = offer.zone if failure.scope is Scope.ZONE else ""
    return Block(offer.provider, offer.region, zone, offer.instance_type, _market(offer), until, failure.code)


def after_interruption(offer: Offer, at: float) -> Block:
    """Return what to leave alone after a cloud has taken the machine of an offer back, at a time since 1970."""
    until = at + INTERRUPTED_SECONDS
    return Block(offer.provider, offer.region, offer.zone, offer.instance_type, _market(offer), until, INTERRUPTED)


class Blocked:
    """The blocks that all launches of this host share, in one SQLite file; safe for several processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as database, database:
            database.execute(_SCHEMA)

    def add(self, block: Block) -> None:
        """Remember a block; of two for the same, the one that ends later counts."""
        row = (block.provider, block.region, block.zone, block.instance_type, block.market, block.until, block.code)
        with closing(self._connect()) as database, database:
            database.execute(
                "INSERT INTO blocked VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET until = excluded.until, code = excluded.code WHERE excluded.until > until",
                row,
            )

    def active(self, now: float) -> tuple[Block, ...]:
        """Return the blocks that hold at `now`, and forget those that have ended."""
        with closing(self._connect()) as database, database:
            database.execute("DELETE FROM blocked WHERE until <= ?", (now,))
            rows = database.execute("SELECT * FROM blocked ORDER BY until").fetchall()
        return tuple(Block(*row) for row in rows)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_WAIT_SECONDS)


def _market(offer: Offer) -> str:
    return "spot" if offer.spot else "on-demand"
