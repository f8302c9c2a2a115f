"""What the API works with."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from control_plane.bell import Bell
from control_plane.conductor import Conductor
from control_plane.project import Template
from control_plane.store import identity
from control_plane.store.blocks import Blocks
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launches
from control_plane.store.nodes import Nodes
from control_plane.store.servers import Servers
from control_plane.store.tokens import Tokens
from control_plane.workflows import Workflows, engines_of_this_host
from provider import places


@dataclass(frozen=True)
class Settings:
    """How a server is run.

    Attributes:
        project: folder of the Pulumi program.
        stack: the stack whose settings a launch starts from.
        database: URL; empty takes an SQLite file in Liftoff's state folder.
        server: a name that no other server of the same database has, the same after a restart.
        engines: how many engines may run at once; 0 takes what this host can do.
        retention_days: how long launches that have ended are kept.
        catalog_only: whether prices are the catalog's, and no cloud is asked for them.
        dead_seconds: a server that was not seen for so long has died: others go on with its work.
        token_rate: requests a minute of one token; 0 sets no limit.
        address_rate: requests a minute of one address; 0 sets no limit.
        sweep_seconds: how often what was left behind is looked for.
    """

    project: Path
    stack: str = "dev"
    database: str = ""
    server: str = ""
    engines: int = 0
    retention_days: float = 30.0
    catalog_only: bool = False
    dead_seconds: float = 30.0
    token_rate: int = 1200
    address_rate: int = 3000
    sweep_seconds: float = 300.0


class Queue(Protocol):
    """Who has launches and take-downs carried out, by this server or another one."""

    def start(self) -> None:
        """Begin to work, and take up what was recorded or begun before the last end."""

    def submit(self, launch_id: str) -> None:
        """Put a launch into the queue; it is there once, however often it is put."""

    def take_down(self, launch_id: str) -> None:
        """Put the take-down of a launch into the queue, unless it is there; asked for later, it is tried again."""

    def adopt(self, dead: Sequence[str]) -> None:
        """Go on with what dead servers worked on."""

    def catch_up(self) -> None:
        """Go on with what this server has and nobody works on."""

    def stop(self) -> None:
        """End without waiting for what runs."""


class MakeQueue(Protocol):
    """Makes the queue of a server, without starting it."""

    def __call__(self, conductor: Conductor, launches: Launches, url: str, server: str, engines: int) -> Queue:
        """Return the queue."""


@dataclass(frozen=True)
class Services:
    """The parts of one server."""

    settings: Settings
    database: Database
    launches: Launches
    nodes: Nodes
    blocks: Blocks
    tokens: Tokens
    servers: Servers
    template: Template
    conductor: Conductor
    workflows: Queue
    bell: Bell
    plane: str

    @classmethod
    def open(cls, settings: Settings, queue: MakeQueue = Workflows) -> Self:
        """Connect to the database and bring it up to date; nothing is worked on yet.

        Raises:
            Stopped: the database's URL, the project or the stack can't be used.
        """
        state = places.state_folder()
        own = settings.database or sqlite_url(state / "control-plane.sqlite")
        template = Template(settings.project, settings.stack, state / "launch-projects")
        template.check()
        database = Database(own)
        database.migrate()
        bell = Bell()
        launches, nodes, blocks = Launches(database, bell.ring), Nodes(database), Blocks(database)
        server = settings.server or socket.gethostname()
        plane = identity.plane(database)
        conductor = Conductor(
            launches, nodes, blocks, template, server, catalog_only=settings.catalog_only, plane=plane
        )
        workflows = queue(
            conductor,
            launches,
            # SQLite has one writer at a time: the queue's polling has a file of its own.
            database.url if settings.database else sqlite_url(state / "workflows.sqlite"),
            server,
            settings.engines or engines_of_this_host(),
        )
        return cls(
            settings,
            database,
            launches,
            nodes,
            blocks,
            Tokens(database),
            Servers(database, server),
            template,
            conductor,
            workflows,
            bell,
            plane,
        )

    def take_down(self, launch_id: str) -> None:
        """Let what a launch has made be deleted, by this server or another one."""
        self.workflows.take_down(launch_id)

    def close(self) -> None:
        """Stop working, and close the database."""
        self.workflows.stop()
        self.database.close()
