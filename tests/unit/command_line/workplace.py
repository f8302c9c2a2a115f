"""A server with a real API over HTTP and a real database, whose launches play from a script instead of an engine."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from automation.offers import Offer
from control_plane.api import app
from control_plane.bell import Bell
from control_plane.conductor import Conductor
from control_plane.project import Template
from control_plane.services import Services, Settings
from control_plane.store.blocks import Blocks
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launches
from control_plane.store.nodes import Node, Nodes
from control_plane.store.servers import Servers
from control_plane.store.tokens import Tokens
from provider.status import Stage, Status

if TYPE_CHECKING:
    from control_plane.workflows import Workflows

ROOT = Path(__file__).parents[3]
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
DEADLINE_SECONDS = 30.0


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < limit, "the condition was not met in time"
        time.sleep(0.02)


def offer(region: str = "eastus", price: float = 0.5) -> Offer:
    return Offer(
        provider="azure",
        region=region,
        zone="",
        instance_type="Standard_NV36ads_A10_v5",
        gpu="A10",
        spot=True,
        price=price,
        source="live",
        seen=None,
    )


def error(kind: str, code: str, message: str = "it failed", **more: Any) -> dict[str, Any]:
    told = {"stage": "Requesting spot instance", "resource": "machine", "hint": "do this", "log": []}
    return {"kind": kind, "code": code, "message": message, **told, **more}


@dataclass
class Queue:
    """Stands for the queue of workflows: each launch plays its script in a thread."""

    plays: Callable[[str], None] = lambda _: None
    takes_down: Callable[[str], None] = lambda _: None
    submitted: list[str] = field(default_factory=list)

    def submit(self, launch_id: str) -> None:
        self.submitted.append(launch_id)
        threading.Thread(target=self.plays, args=(launch_id,), daemon=True).start()

    def take_down(self, launch_id: str) -> None:
        threading.Thread(target=self.takes_down, args=(launch_id,), daemon=True).start()


class Api:
    """The API on a port that stays the same over restarts."""

    def __init__(self, services: Services) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.app: Any = app.build(services)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=self.port, log_level="error", lifespan="off", timeout_graceful_shutdown=0
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, daemon=True)
        self._thread.start()
        until(lambda: server.started)

    def stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()


class Workplace:
    """The server's parts, its API, and what a launch's script needs."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "STATE"
        self.database = Database(sqlite_url(self.state / "control-plane.sqlite"))
        self.database.migrate()
        bell = Bell()
        self.launches, self.nodes = Launches(self.database, bell.ring), Nodes(self.database)
        self.tokens, self.template = Tokens(self.database), Template(ROOT, "dev", self.state / "launch-projects")
        self.queue, blocks = Queue(), Blocks(self.database)
        self.services = Services(
            Settings(ROOT, catalog_only=True),
            self.database,
            self.launches,
            self.nodes,
            blocks,
            self.tokens,
            Servers(self.database, "here"),
            self.template,
            Conductor(self.launches, self.nodes, blocks, self.template, "here", catalog_only=True),
            cast("Workflows", self.queue),
            bell,
            "plane-of-the-tests",
        )
        self.token = self.tokens.issue("tests", "launch")
        self.api = Api(self.services)
        self.environment = {
            "LIFTOFF_STATE": str(self.state),
            "LIFTOFF_KEYS": str(folder / "KEYS"),
            "LIFTOFF_CACHE": str(folder / "CACHE"),
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def remote(self) -> dict[str, str]:
        """The environment of somebody who works against the server."""
        return {**self.environment, "LIFTOFF_SERVER": self.api.url, "LIFTOFF_TOKEN": self.token}

    def liftoff(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of its own against the server."""
        return subprocess.Popen(
            [sys.executable, "-m", "automation", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.remote},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    # ---- what a launch's script does ----

    def ask(self, model: str = MODEL) -> str:
        """Record a launch that nobody works on yet."""
        number = sum(self.launches.counts().values()) + 1
        return self.launches.add(f"launch-{number}", {"model_name": model, "provider": None}, None)[0]

    def begin(self, launch_id: str) -> None:
        assert self.launches.begin(launch_id, "here") is not None
        self.tell(launch_id, Stage.VALIDATE)

    def tell(self, launch_id: str, stage: Stage, message: str = "") -> None:
        self.launches.set_status(launch_id, Status(stage.start, stage, message))

    def attempt(self, launch_id: str, region: str = "eastus") -> int:
        return self.launches.start_attempt(launch_id, offer(region))

    def succeed(self, launch_id: str) -> Node:
        """Bring a launch that has begun to its node."""
        number = self.attempt(launch_id)
        self.tell(launch_id, Stage.REQUEST, "creating machine")
        self.launches.end_attempt(launch_id, number, None)
        node = self.node(launch_id)
        self.tell(launch_id, Stage.REGISTER, node.endpoint)
        assert self.launches.succeed(node)
        return node

    def fail(self, launch_id: str, problem: dict[str, Any]) -> None:
        """Let the only attempt of a launch that has begun fail, and the launch with it."""
        number = self.attempt(launch_id)
        self.tell(launch_id, Stage.REQUEST, "creating machine")
        self.launches.end_attempt(launch_id, number, problem)
        self.launches.end(launch_id, "failed", problem["message"], problem)

    def node(self, launch_id: str) -> Node:
        now = time.time()
        return Node(
            id=f"0000{launch_id[-4:]}-node",
            launch_id=launch_id,
            model=MODEL,
            endpoint="https://203.0.113.7",
            certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            offer=offer().model_dump(mode="json"),
            state="healthy",
            state_reason="answers",
            registered_at=now - 3600,
            last_healthy_at=now,
            expires_at=now + 3600,
            idle_minutes=None,
            idle_since=None,
            ended_at=None,
        )
