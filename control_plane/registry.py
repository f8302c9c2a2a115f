"""Looks after the nodes: are they healthy, are they idle, have they had their time, was something left behind?"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from automation import journal, outputs
from automation.cloud_api.refused import Refused
from automation.errors import Stopped
from control_plane import leftovers, presence, strays
from control_plane.interruptions import NOTICE_SECONDS, Interruptions
from control_plane.mailboxes import Mailboxes
from control_plane.probe import Health, Probe
from control_plane.project import Site
from control_plane.services import Services
from control_plane.store.nodes import Node, State
from provider.status import Mailbox

_LOOK_SECONDS: Final = 10.0
_HEARTBEATS: Final = 6
"""How often a server says that it lives in the time after which others take it for dead."""
_LETTER_SECONDS: Final = 5.0
"""How often the mailboxes are read: the shortest notice is 30 seconds, and a launch begins with it."""
_DAY: Final = 86_400.0
_ON_THEIR_WAY: Final[tuple[State, ...]] = ("interrupted", "evicted", "terminating")
"""The states of nodes that will not answer again."""
_WARNED: Final = "answers; its cloud warns that it may take it back"
_AT_ONCE: Final = 16

log = logging.getLogger(__name__)


class Registry:
    """The rounds of one server; several servers may make them at once."""

    def __init__(
        self,
        services: Services,
        ask: Callable[[Node], Health] | None = None,
        read: Callable[[Node], Mailbox | None] | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._elapsed = elapsed
        self._ask = ask or self._ask_node
        self._interruptions = Interruptions(services)
        self._mailboxes = Mailboxes(self._site_of)
        self._read = read or self._mailboxes.read
        self._warned: set[str] = set()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._probes: dict[str, Probe] = {}
        self._done: dict[str, float] = {}
        self._silent_since: dict[str, float] = {}

    def start(self) -> None:
        """Begin the rounds."""
        rounds = (
            ("nodes", _LOOK_SECONDS, self.look_at_nodes),
            ("mailboxes", _LETTER_SECONDS, self.look_at_mailboxes),
            ("servers", self._services.settings.dead_seconds / _HEARTBEATS, self.look_at_servers),
            ("work", _LOOK_SECONDS, self._services.workflows.catch_up),
            ("sweep", self._services.settings.sweep_seconds, self.sweep),
            ("strays", self._services.settings.sweep_seconds, self.sweep_clouds),
        )
        for name, seconds, work in rounds:
            thread = threading.Thread(target=self._every, args=(seconds, work), name=f"registry-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the rounds."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def look_at_nodes(self) -> None:
        """Ask each node for its health, and end those that have had their time."""
        nodes = [node for node in self._services.nodes.all(gone=False) if node.state != "terminating"]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._look_at, nodes))
        self._forget_all_but({node.id for node in nodes})

    def look_at_mailboxes(self) -> None:
        """Read what the nodes say whose clouds may take them back, and act on it."""
        nodes = [node for node in self._services.nodes.all(gone=False) if self._interruptions.is_watched(node)]
        self._mailboxes.keep({node.id for node in nodes})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._look_into_mailbox, nodes))

    def look_at_servers(self) -> None:
        """Say that this server lives, and take over what a dead one worked on."""
        services = self._services
        seconds = services.settings.dead_seconds
        services.servers.heartbeat()
        dead = services.servers.dead(seconds)
        if dead:
            log.warning("taking over the work of %s, not seen for %.0f s", ", ".join(dead), seconds)
            services.workflows.adopt(dead)
            # Only now: whoever dies in between leaves them to the next.
            services.servers.forget(dead, seconds)
        # Commands of this host record what they do in its own database.
        commands = [] if services.settings.database else presence.dead()
        if commands:
            log.warning("taking over the work of %s, which has died", ", ".join(commands))
            services.workflows.adopt(commands)
            for launch in services.launches.open():
                if launch.server in commands:
                    # One that had not come to its workflow yet has none that could be adopted.
                    services.workflows.submit(launch.id)
            presence.forget(commands)

    def sweep(self) -> None:
        """Try again to delete what was left behind, and forget what is old."""
        services = self._services
        folders = services.template.kept()
        for launch in leftovers.look(folders, services.launches, services.nodes).ended:
            services.take_down(launch.id)
        for node in services.nodes.all("evicted"):
            if not self._site_of(node).is_persons:
                services.take_down(node.launch_id)
        self._interruptions.try_again()
        # What is forgotten is not deleted any more: a launch is kept for as long as something of it may be left.
        kept = folders | {node.launch_id for node in services.nodes.all(gone=False)}
        for launch_id in services.launches.forget(time.time() - services.settings.retention_days * _DAY, sorted(kept)):
            journal.remove(launch_id)

    def _forget_all_but(self, living: set[str]) -> None:
        """Keep nothing of nodes that are not asked any more."""
        for node_id in self._probes.keys() - living:
            del self._probes[node_id]
        for kept in (self._done, self._silent_since):
            for node_id in kept.keys() - living:
                del kept[node_id]

    def sweep_clouds(self) -> None:
        """Delete the machines and addresses that the clouds list and nobody owns."""
        services = self._services
        found = strays.look(services.template, services.launches, services.nodes, services.plane)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._remove, found))

    def _remove(self, stray: strays.Stray) -> None:
        text = f"Deleting {stray.found.id} ({stray.provider}), which nobody owns: {stray.why}"
        log.warning("%s: %s", stray.launch_id, text)
        try:
            stray.remove()
        except Refused as error:
            log.warning("%s could not be deleted: %s: %s", stray.found.id, error.code, error)
            return
        with contextlib.suppress(SQLAlchemyError):
            # Its launch may be one that is not known any more.
            self._services.launches.note(stray.launch_id, text)
            if stray.is_last:
                self._services.launches.machines.gone(stray.launch_id)

    def _look_at(self, node: Node) -> None:
        now = time.time()
        site = self._site_of(node)
        if node.state in _ON_THEIR_WAY and not site.is_persons:
            return
        if now > node.expires_at and not site.is_persons:
            self._end(node, "its lifetime is over")
            return
        health = self._ask(node)
        if health.problem and site.is_persons:
            self._silent_in(site, node, health.problem)
            return
        if health.problem:
            self._silent(node, health.problem)
            return
        self._silent_since.pop(node.id, None)
        reason = _WARNED if node.id in self._warned else "answers"
        self._services.nodes.set_state(node.id, "healthy", reason, unless=_ON_THEIR_WAY)
        self._look_at_use(node, health, now)

    def _look_into_mailbox(self, node: Node) -> None:
        letter = self._read(node)
        if letter is not None and letter.notice is not None and letter.notice.kind == "rebalance":
            self._warned.add(node.id)
        self._interruptions.heard(node, letter)

    def _ask_node(self, node: Node) -> Health:
        probe = self._probes.get(node.id)
        if probe is None:
            try:
                key = self._site_of(node).api_key()
            except (Stopped, OSError) as error:
                return Health(f"its stack does not tell its key: {error}")
            probe = self._probes[node.id] = Probe(node.endpoint, node.certificate, key)
        return probe.ask()

    def _look_at_use(self, node: Node, health: Health, now: float) -> None:
        if health.requests is None:
            return
        before = self._done.get(node.id)
        self._done[node.id] = health.done or 0.0
        busy = health.requests > 0 or (before is not None and health.done != before)
        since = None if busy else node.idle_since or now
        if since != node.idle_since:
            self._services.nodes.set_idle(node.id, since)
        if since is not None and node.idle_minutes is not None and now - since > node.idle_minutes * 60:
            self._end(node, f"nobody has asked it for {node.idle_minutes:g} minutes")

    def _silent(self, node: Node, why: str) -> None:
        nodes = self._services.nodes
        # Only what was asked in vain counts: while this server was down, this host slept or its clock jumped, the node
        # may have answered anybody else.
        silent = self._elapsed() - self._silent_since.setdefault(node.id, self._elapsed())
        # Nobody takes an on-demand machine, or one of this host, back: it may answer again.
        if silent < NOTICE_SECONDS or not node.offer["spot"]:
            nodes.set_state(node.id, "unhealthy", why, unless=_ON_THEIR_WAY)
            return
        self._interruptions.silent(node, f"silent for {silent:.0f} s: {why}")

    def _silent_in(self, site: Site, node: Node, why: str) -> None:
        """Look what has become of a node in a person's own stack, which is that person's to take down."""
        try:
            there = outputs.read(site.folder, site.stack, show_secrets=False)["endpoint"] == node.endpoint
        except (Stopped, OSError) as error:
            there = not (isinstance(error, Stopped) and error.code in outputs.WITHOUT_NODE)
        if there:
            hint = f"liftoff destroy --stack {site.stack} takes down what is left of it"
            self._services.nodes.set_state(node.id, "unhealthy", f"{why}; {hint}", unless=_ON_THEIR_WAY)
        else:
            self._services.nodes.set_state(node.id, "gone", "its stack has it no more")

    def _site_of(self, node: Node) -> Site:
        return self._services.template.site_of(self._services.launches.get(node.launch_id))

    def _end(self, node: Node, why: str) -> None:
        self._services.nodes.set_state(node.id, "terminating", why)
        self._services.take_down(node.launch_id)

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while not self._stop.wait(seconds):
            try:
                work()
            except Exception:
                log.exception("a round of the registry failed; it is made again in %.0f s", seconds)
