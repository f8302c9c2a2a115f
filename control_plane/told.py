"""Launches and nodes as they are told, in the form of docs/api.md."""

import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from control_plane import cursor
from control_plane.api import shapes
from control_plane.store.launches import Attempt, Launch, Launches
from control_plane.store.machines import Paid
from control_plane.store.nodes import Node, Nodes


def moment(at: float) -> str:
    """Return a time, given in seconds since 1970, as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_or_none(at: float | None) -> str | None:
    """Return a time as RFC 3339, or None."""
    return None if at is None else moment(at)


def launch_in_short(launch: Launch, node: Node | None, machines: Sequence[Paid]) -> shapes.LaunchInShort:
    """Return a launch as it stands in a list."""
    return shapes.LaunchInShort.model_validate(_in_short(launch, node, machines))


def page(
    status: str | None, limit: int, after: tuple[float, str] | None, launches: Launches, nodes: Nodes
) -> shapes.Launches:
    """Return a page of launches, newest first, of one status or all, after a place in that order."""
    found = launches.page(status, limit + 1, after)
    shown = found[:limit]
    following = cursor.write(shown[-1].created_at, shown[-1].id) if len(found) > limit else None
    ids = [launch.id for launch in shown]
    of_launch, paid = nodes.of_launches(ids), launches.machines.of_launches(ids)
    items = [launch_in_short(launch, of_launch.get(launch.id), paid.get(launch.id, ())) for launch in shown]
    return shapes.Launches(items=items, next=following)


def launch_in_full(launch: Launch, launches: Launches, nodes: Nodes) -> shapes.Launch:
    """Return a launch with its attempts, stages and node."""
    # Read before the rest: an event that comes meanwhile is told twice rather than never.
    event_id = launches.last_event(launch.id)
    attempts = launches.attempts_of(launch.id)
    machines = launches.machines.of_launches([launch.id]).get(launch.id, ())
    return shapes.Launch.model_validate(
        {
            **_in_short(launch, nodes.of_launch(launch.id), machines),
            "waiting_before": launches.waiting_before(launch),
            "estimated_seconds_left": _seconds_left(launch, attempts, launches),
            "timeline": [
                shapes.Span(
                    stage=span.stage, started_at=moment(span.started_at), ended_at=moment_or_none(span.ended_at)
                )
                for span in launches.stages_of(launch.id)
            ],
            "attempts": [attempt_of(attempt) for attempt in attempts],
            "event_id": event_id,
        }
    )


def attempt_of(attempt: Attempt) -> shapes.Attempt:
    """Return an attempt."""
    times = {"started_at": moment_or_none(attempt.started_at), "ended_at": moment_or_none(attempt.ended_at)}
    return shapes.Attempt.model_validate({**attempt.__dict__, **times})


def event_data(kind: str, data: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Return an event's data, with its time."""
    if kind == "attempt":
        return attempt_of(Attempt(**data)).model_dump(mode="json")
    return {**data, "at": moment(at)}


def node_of(node: Node) -> shapes.Node:
    """Return a node, without its key."""
    now = time.time()
    return shapes.Node.model_validate(
        {
            **node.offer,
            **node.__dict__,
            "job_id": node.launch_id,
            "price_per_hour": node.offer["price"],
            "cost_so_far": round(node.cost(now), 4),
            "registered_at": moment(node.registered_at),
            "last_healthy_at": moment(node.last_healthy_at),
            "expires_at": moment(node.expires_at),
            "idle_since": moment_or_none(node.idle_since),
            "ended_at": moment_or_none(node.ended_at),
            "interruption": _interruption(node, now),
            "replaces": _replaced(node),
        }
    )


def _interruption(node: Node, now: float) -> shapes.Interruption | None:
    if node.interrupted_at is None:
        return None
    seconds = None if node.relaunched_as is None else max(0.0, (node.restored_at or now) - node.interrupted_at)
    return shapes.Interruption(
        since=moment(node.interrupted_at),
        relaunch_job_id=node.relaunched_as,
        restored_at=moment_or_none(node.restored_at),
        seconds_without_endpoint=None if seconds is None else round(seconds, 1),
    )


def _replaced(node: Node) -> shapes.Replaced | None:
    if node.replaces is None or node.outage_seconds is None:
        return None
    return shapes.Replaced(node_id=node.replaces, seconds_without_endpoint=round(node.outage_seconds, 1))


def _in_short(launch: Launch, node: Node | None, machines: Sequence[Paid]) -> dict[str, Any]:
    now = time.time()
    return {
        "job_id": launch.id,
        "model_name": launch.request["model_name"],
        "request": dict(launch.request),
        "stack": None if launch.stack is None else launch.stack["stack"],
        "status": launch.status,
        "stage": launch.stage,
        "percentage": round(launch.percent, 1),
        "message": launch.message,
        "created_at": moment(launch.created_at),
        "started_at": moment_or_none(launch.started_at),
        "ended_at": moment_or_none(launch.ended_at),
        "error": launch.error,
        "cost_so_far": round(sum(machine.cost(now) for machine in machines), 4),
        "node": None if node is None else node_of(node),
    }


def _seconds_left(launch: Launch, attempts: list[Attempt], launches: Launches) -> float | None:
    """Return how long it may take from now, by what earlier launches of the same provider took, or None."""
    if launch.has_ended or launch.started_at is None or not attempts:
        return None
    took = launches.durations(str(attempts[-1].offer["provider"]))
    if not took:
        return None
    return round(max(0.0, statistics.median(took) - (time.time() - launch.started_at)), 1)
