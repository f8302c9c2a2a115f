"""Blocks are shared by all servers of a database, and end by themselves."""

from dataclasses import replace
from pathlib import Path

from automation.blocked import Block
from control_plane.store.blocks import Blocks
from control_plane.store.database import Database, sqlite_url

FULL = Block("aws", "us-east-1", "us-east-1a", "g6.xlarge", "spot", until=100.0, code="full")


def test_of_two_blocks_for_the_same_the_later_end_counts(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "store.sqlite"))
    database.migrate()
    ours, theirs = Blocks(database), Blocks(database)
    ours.add(FULL)
    theirs.add(replace(FULL, until=300.0, code="still full"))
    ours.add(replace(FULL, until=200.0))
    assert ours.active(50.0) == (replace(FULL, until=300.0, code="still full"),)
    assert theirs.active(300.0) == ()
    assert ours.active(50.0) == ()
