"""What launches have left: their folders stay until nothing of them is left in any cloud."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from control_plane.store.launches import Launch, Launches, UnknownLaunch
from control_plane.store.nodes import Nodes

GOING: Final = frozenset({"terminating", "evicted"})
"""The states of nodes that are to go: if their take-down fails, or nobody came to ask for it, it is asked for again."""


@dataclass(frozen=True)
class LeftBehind:
    """Folders that nobody looks after any more.

    Attributes:
        ended: launches that have ended, without a node that is to live: something of them may be left.
        unknown: names that the database does not have; another one may, and their nodes may be in use.
    """

    ended: tuple[Launch, ...]
    unknown: tuple[str, ...]


def look(kept: Iterable[str], launches: Launches, nodes: Nodes) -> LeftBehind:
    """Return what is left behind of the launches that still have a folder."""
    ended: list[Launch] = []
    unknown: list[str] = []
    for launch_id in sorted(kept):
        try:
            launch = launches.get(launch_id)
        except UnknownLaunch:
            unknown.append(launch_id)
            continue
        node = nodes.of_launch(launch_id)
        if launch.has_ended and (node is None or node.state in {"gone", *GOING}):
            ended.append(launch)
    return LeftBehind(tuple(ended), tuple(unknown))
