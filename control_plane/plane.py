"""Whom a command asks of launches and nodes: a server over HTTP, or this host's own database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from automation import server_options
from control_plane.told_events import Told


class Plane(Protocol):
    """Launches and nodes in the form of docs/api.md, wherever they are kept. All raise Stopped where they refuse."""

    @property
    def url(self) -> str:
        """The server's URL; empty for this host's own database."""

    @property
    def option(self) -> str:
        """The option that a command needs to ask here, with a space before it; empty where none is needed."""

    def status(self, job_id: str) -> dict[str, Any]:
        """Return everything about a launch."""

    def page(self, status: str | None, limit: int, after: str | None) -> dict[str, Any]:
        """Return launches in short, newest first, and where the next page begins."""

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask for the end of a launch, and return it; asked again, it is the same."""

    def nodes(self, state: str | None) -> list[dict[str, Any]]:
        """Return the nodes, newest first."""

    def access(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return how a node is asked, its key included."""

    def events(self, job_id: str, after: int) -> Iterator[Told]:
        """Yield the events of a launch after one, as they happen, `end` last.

        Raises:
            Silent: the connection was lost; to be asked again.
        """


@contextmanager
def choose(server: str, token_file: Path | None, database: str = "") -> Iterator[Plane]:
    """Yield whom to ask: the server that is named, else this host's own database."""
    if server:
        from control_plane.client import Server

        with Server(server, server_options.token(token_file)) as found:
            yield found
        return
    from control_plane.own import Own

    with Own(database) as own:
        yield own
