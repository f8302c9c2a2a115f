"""What the tests of single parts have already: a real S3 server, the app over a database of its own."""

from tests.session.conftest import recorded, storage, weights
from tests.unit.control_plane.conftest import (
    anybody,
    app,
    client,
    empty_database,
    queue,
    reader,
    services,
    state,
    story,
)

__all__ = [
    "anybody",
    "app",
    "client",
    "empty_database",
    "queue",
    "reader",
    "recorded",
    "services",
    "state",
    "storage",
    "story",
    "weights",
]
