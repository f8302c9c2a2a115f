"""This host's own control plane, read from its database, whether a server runs or not."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from automation.errors import Kind, Stopped
from control_plane import cursor, leftovers, told, told_events
from control_plane.leftovers import LeftBehind
from control_plane.project import Template
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launch, Launches, UnknownLaunch
from control_plane.store.nodes import Nodes, State
from control_plane.told_events import Told
from provider import places

_LOOK_SECONDS: Final = 0.5


class Own:
    """The same questions as a server's, answered by the store.

    Raises:
        Stopped: there is no control plane on this host, or the database's URL can't be used.
    """

    url: Final = ""
    option: Final = ""

    def __init__(self, url: str = "") -> None:
        state = places.state_folder()
        file = state / "control-plane.sqlite"
        if not url and not file.exists():
            raise Stopped(
                Kind.CONFIGURATION,
                "no_control_plane",
                f"this host has no control plane: there is no {file}",
                "start one: liftoff serve; or name a server: --server URL",
            )
        self.database = Database(url or sqlite_url(file))
        self.database.migrate()
        self.launches, self._nodes = Launches(self.database), Nodes(self.database)
        # Only the launches' own folders are asked for, which depend on no project.
        self.template = Template(Path(), "", state / "launch-projects")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def status(self, job_id: str) -> dict[str, Any]:
        """Return everything about a launch."""
        with _Knowing():
            return self._full(self.launches.get(job_id))

    def page(self, status: str | None, limit: int, after: str | None) -> dict[str, Any]:
        """Return launches in short, newest first, and where the next page begins."""
        return told.page(status, limit, _place(after), self.launches, self._nodes).model_dump(mode="json")

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Keep the wish to end a launch: the server that works on it carries it out."""
        with _Knowing():
            return self._full(self.launches.ask_to_cancel(job_id))

    def nodes(self, state: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - the caller's word, checked by its option
        """Return the nodes, newest first."""
        return [told.node_of(node).model_dump(mode="json") for node in self._nodes.all(state)]

    def left_behind(self) -> LeftBehind:
        """Return what the launches of this host have left."""
        return leftovers.look(self.template.kept(), self.launches, self._nodes)

    def _full(self, launch: Launch) -> dict[str, Any]:
        return told.launch_in_full(launch, self.launches, self._nodes).model_dump(mode="json")

    def tell_node(self, job_id: str, state: State, reason: str) -> None:
        """Keep what became of a launch's node, if it came to one."""
        node = self._nodes.of_launch(job_id)
        if node is not None:
            self._nodes.set_state(node.id, state, reason)

    def access(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return how a node is asked, its key included."""
        found = self._nodes.get(str(node["id"]))
        site = self.template.site_of(self.launches.get(found.launch_id))
        return {
            "endpoint": found.endpoint,
            "model": found.model,
            "api_key": site.api_key(),
            "certificate": found.certificate,
        }

    def events(self, job_id: str, after: int) -> Iterator[Told]:
        """Yield the events of a launch after one, as they happen."""
        while True:
            with _Knowing():
                ended = self.launches.get(job_id).has_ended
            found = self.launches.events_of(job_id, after)
            for event in found:
                after = event.id
                whole = event.kind == "launch"
                data = self.status(job_id) if whole else told.event_data(event.kind, event.data, event.at)
                yield Told(event.id, event.kind, data)
            if ended and not found:
                yield Told(after, told_events.END, {})
                return
            if not found:
                # Other processes' events ring no bell here: they are looked for.
                time.sleep(_LOOK_SECONDS)


class _Knowing:
    """Turns a launch that is not known into a reason to stop."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnknownLaunch):
            text = f"there is no launch {error}"
            raise Stopped(Kind.CONFIGURATION, "launch_unknown", text, "list them: liftoff status") from error


def _place(given: str | None) -> tuple[float, str] | None:
    if given is None:
        return None
    try:
        return cursor.read(given)
    except ValueError as error:
        text = f"--cursor: given {given!r}; allowed: what the page before this one ended with"
        raise Stopped(Kind.CONFIGURATION, "cursor_invalid", text, "leave it out to begin with the newest") from error
