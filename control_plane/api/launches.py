"""Launching, and everything about a launch."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import PlainTextResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from automation import stack_file
from control_plane import cursor as places
from control_plane import told
from control_plane.api import access, wishes
from control_plane.api.access import Parts
from control_plane.api.problems import Problem, wrong_field
from control_plane.request import LaunchAsked
from control_plane.services import Services

_LOOK_SECONDS: Final = 1.0
_PING_SECONDS: Final = 15

JobId = Annotated[str, Query(min_length=1, max_length=200, description="the launch's id")]
Status = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]

router = APIRouter(prefix="/admin/instances", tags=["launches"])


@router.post("/launch", status_code=202, dependencies=[access.changes()])
def launch(
    asked: LaunchAsked,
    parts: Parts,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> dict[str, Any]:
    """Record a launch and put it into the queue; the same Idempotency-Key gives the same launch."""
    values = stack_file.read(parts.settings.project, parts.settings.stack, {})
    wishes.check(asked, values)
    request = asked.model_dump(mode="json")
    launch_id, is_new = parts.launches.add(f"launch-{uuid.uuid4()}", request, idempotency_key)
    found = parts.launches.get(launch_id)
    if not is_new and dict(found.request) != request:
        text = f"Idempotency-Key: given {idempotency_key!r}, under which {launch_id} was asked for otherwise"
        raise Problem(409, "conflict", "idempotency_key_used", text, "use a new key for another launch")
    parts.workflows.submit(launch_id)
    return told.launch_in_full(found, parts.launches, parts.nodes)


@router.get("/status", dependencies=[access.reads()])
def status(job_id: JobId, parts: Parts) -> dict[str, Any]:
    """Tell everything about a launch."""
    return told.launch_in_full(parts.launches.get(job_id), parts.launches, parts.nodes)


@router.get("", dependencies=[access.reads()])
def listing(
    parts: Parts,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> dict[str, Any]:
    """List launches, newest first."""
    found = parts.launches.page(status, limit + 1, _place(cursor))
    page = found[:limit]
    following = places.write(page[-1].created_at, page[-1].id) if len(found) > limit else None
    return {"items": [told.launch_in_short(launch) for launch in page], "next": following}


@router.get("/events", dependencies=[access.reads()], response_class=EventSourceResponse)
def events(
    job_id: JobId,
    parts: Parts,
    last_event_id: Annotated[str | None, Header(max_length=30)] = None,
) -> EventSourceResponse:
    """Tell what happens in a launch, as it happens."""
    after = last_event_id or "0"
    if not after.isdecimal():
        raise wrong_field("last_event_id", "Last-Event-ID", last_event_id, "the id of an event, a whole number")
    parts.launches.get(job_id)
    return EventSourceResponse(_events(parts, job_id, int(after)), ping=_PING_SECONDS)


@router.get("/logs", dependencies=[access.reads()], response_class=PlainTextResponse)
def logs(job_id: JobId, parts: Parts, source: Literal["engine", "node"] | None = None) -> str:
    """Return the lines that engine and node wrote."""
    parts.launches.get(job_id)
    return "".join(f"{line}\n" for line in parts.launches.logs_of(job_id, source))


@router.post("/cancel", status_code=202, dependencies=[access.changes()])
def cancel(job_id: JobId, parts: Parts) -> dict[str, Any]:
    """End a launch, and leave nothing of it in any cloud."""
    return told.launch_in_full(parts.launches.ask_to_cancel(job_id), parts.launches, parts.nodes)


@router.post("/destroy", status_code=202, dependencies=[access.changes()])
def destroy(job_id: JobId, parts: Parts) -> dict[str, Any]:
    """Take the node of a launch down; a launch that has not ended is cancelled."""
    found = parts.launches.ask_to_cancel(job_id)
    node = parts.nodes.of_launch(job_id)
    if node is not None:
        parts.nodes.set_state(node.id, "terminating", "somebody asked for it")
    if found.has_ended and job_id in parts.template.kept():
        parts.take_down(job_id)
    return told.launch_in_full(found, parts.launches, parts.nodes)


async def _events(parts: Services, launch_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    ear = parts.bell.listen(launch_id)
    try:
        while True:
            ended = (await asyncio.to_thread(parts.launches.get, launch_id)).has_ended
            found = await asyncio.to_thread(parts.launches.events_of, launch_id, after)
            for event in found:
                after = event.id
                data = told.event_data(event.kind, event.data, event.at)
                if event.kind == "launch":
                    data = await asyncio.to_thread(_full, parts, launch_id)
                yield ServerSentEvent(json.dumps(data), event=event.kind, id=str(event.id))
            if found:
                continue
            if ended:
                yield ServerSentEvent("{}", event="end")
                return
            # Another server's events ring no bell here: they are looked for.
            await ear.wait(_LOOK_SECONDS)
    finally:
        parts.bell.leave(launch_id, ear)


def _full(parts: Services, launch_id: str) -> dict[str, Any]:
    return told.launch_in_full(parts.launches.get(launch_id), parts.launches, parts.nodes)


def _place(given: str | None) -> tuple[float, str] | None:
    if given is None:
        return None
    try:
        return places.read(given)
    except ValueError as error:
        raise wrong_field("cursor_invalid", "cursor", given, "what the page before this one gave as `next`") from error
