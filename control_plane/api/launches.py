"""Launching, and everything about a launch."""

import asyncio
import json
import math
import re
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from automation import stack_file
from control_plane import cursor as places
from control_plane import told
from control_plane.api import access, shapes, wishes
from control_plane.api.access import Parts
from control_plane.api.allowed import IDENTIFIER, VISIBLE, WHOLE
from control_plane.api.problems import Problem, documented, field, wrong_field
from control_plane.request import LaunchAsked
from control_plane.services import Services

if TYPE_CHECKING:
    from control_plane.api.recent_answers import RecentAnswers

_LOOK_SECONDS: Final = 1.0
_PING_SECONDS: Final = 15

JobId = Annotated[str, Query(max_length=200, pattern=IDENTIFIER, description="the launch's id")]
_OF_ONE: Final = documented(401, 404, 422, 429)
_CHANGES_ONE: Final = documented(401, 403, 404, 422, 429)

router = APIRouter(prefix="/admin/instances", tags=["launches"])


@router.post(
    "/launch",
    status_code=202,
    dependencies=[access.changes()],
    responses=documented(400, 401, 403, 409, 413, 422, 429),
)
def launch(
    asked: LaunchAsked,
    parts: Parts,
    idempotency_key: Annotated[str | None, Header(max_length=200, pattern=VISIBLE)] = None,
) -> shapes.Launch:
    """Record a launch and put it into the queue; the same Idempotency-Key gives the same launch."""
    values = stack_file.read(parts.settings.project, parts.settings.stack, {})
    request = wishes.settled(asked, values).model_dump(mode="json")
    launch_id, is_new = parts.launches.add(f"launch-{uuid.uuid4()}", request, idempotency_key)
    found = parts.launches.get(launch_id)
    if not is_new and dict(found.request) != request:
        text = f"Idempotency-Key: given {idempotency_key!r}, under which {launch_id} was asked for otherwise"
        wrong = field("Idempotency-Key", idempotency_key, f"a key of its own; {launch_id} has this one")
        raise Problem(409, "conflict", "idempotency_key_used", text, "use a new key for another launch", [wrong])
    parts.workflows.submit(launch_id)
    return told.launch_in_full(found, parts.launches, parts.nodes)


@router.get("/status", dependencies=[access.reads()], response_model=shapes.Launch, responses=_OF_ONE)
async def status(job_id: JobId, parts: Parts, request: Request) -> Response:
    """Tell everything about a launch."""
    recent: RecentAnswers = request.app.state.recent

    def make() -> bytes:
        found = told.launch_in_full(parts.launches.get(job_id), parts.launches, parts.nodes)
        return found.model_dump_json().encode()

    return Response(await recent.of(job_id, make), media_type="application/json")


@router.get("", dependencies=[access.reads()], responses=documented(401, 422, 429))
def listing(
    parts: Parts,
    status: shapes.LaunchStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> shapes.Launches:
    """List launches, newest first."""
    return told.page(status, limit, _place(cursor), parts.launches, parts.nodes)


@router.get(
    "/events",
    dependencies=[access.reads()],
    response_class=EventSourceResponse,
    responses={
        200: {"description": "the events, as docs/api.md lists them", "content": {"text/event-stream": {}}},
        **_OF_ONE,
    },
)
def events(
    job_id: JobId,
    parts: Parts,
    last_event_id: Annotated[str, Header(pattern=WHOLE)] = "0",
) -> EventSourceResponse:
    """Tell what happens in a launch, as it happens."""
    parts.launches.get(job_id)
    return EventSourceResponse(_events(parts, job_id, int(last_event_id)), ping=_PING_SECONDS)


@router.get("/logs", dependencies=[access.reads()], response_class=PlainTextResponse, responses=_OF_ONE)
def logs(job_id: JobId, parts: Parts, source: Literal["engine", "node"] | None = None) -> str:
    """Return the lines that engine and node wrote."""
    parts.launches.get(job_id)
    return "".join(f"{line}\n" for line in parts.launches.logs_of(job_id, source))


@router.post("/cancel", status_code=202, dependencies=[access.changes()], responses=_CHANGES_ONE)
def cancel(job_id: JobId, parts: Parts) -> shapes.Launch:
    """End a launch, and leave nothing of it in any cloud."""
    return told.launch_in_full(parts.launches.ask_to_cancel(job_id), parts.launches, parts.nodes)


@router.post("/destroy", status_code=202, dependencies=[access.changes()], responses=_CHANGES_ONE)
def destroy(job_id: JobId, parts: Parts) -> shapes.Launch:
    """Take the node of a launch down; a launch that has not ended is cancelled."""
    found = parts.launches.ask_to_cancel(job_id)
    node = parts.nodes.of_launch(job_id)
    if node is not None:
        parts.nodes.set_state(node.id, "terminating", "somebody asked for it")
        parts.bell.ring(job_id)
    has_something = job_id in parts.template.kept() if found.stack is None else node is not None
    if found.has_ended and has_something:
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
    found = told.launch_in_full(parts.launches.get(launch_id), parts.launches, parts.nodes)
    return found.model_dump(mode="json")


def _place(given: str | None) -> tuple[float, str] | None:
    if given is None:
        return None
    try:
        place = places.read(given)
    except ValueError as error:
        raise _wrong_cursor(given) from error
    if not math.isfinite(place[0]) or re.fullmatch(IDENTIFIER, place[1]) is None:
        raise _wrong_cursor(given)
    return place


def _wrong_cursor(cursor: str) -> Problem:
    return wrong_field("cursor_invalid", "cursor", cursor, "what the page before this one gave as `next`")
