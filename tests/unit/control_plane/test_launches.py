"""Launches over HTTP: asked for, listed, followed, ended."""

import json
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient

from control_plane.services import Services
from tests.unit.control_plane.conftest import Noted
from tests.unit.control_plane.problem import problem, wrong
from tests.unit.control_plane.story import ERROR, MODEL, OFFER, Story

PATH = "/admin/instances"
TELLS = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


def _events(client: TestClient, launch_id: str, after: int | None = None) -> list[dict[str, Any]]:
    """Return the events of a launch that has ended."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with client.stream("GET", f"{PATH}/events", params={"job_id": launch_id}, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = answer.read().decode()
    events = []
    for block in text.replace("\r\n", "\n").strip().split("\n\n"):
        lines = [line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")]
        if lines:
            events.append(dict(lines) | {"data": json.loads(dict(lines)["data"])})
    return events


def test_a_launch_is_recorded_and_queued_as_it_was_asked_for(client: TestClient, queue: Noted) -> None:
    answer = client.post(f"{PATH}/launch", json={"model_name": MODEL, "provider": "aws", "max_price": 2})
    assert answer.status_code == 202
    launch = answer.json()
    assert queue.submitted == [launch["job_id"]]
    assert launch["status"] == "queued"
    assert launch["waiting_before"] == 0
    assert launch["request"] == {
        "model_name": MODEL,
        "provider": "aws",
        "region": None,
        "instance_type": None,
        "market": "spot",
        "max_price": 2.0,
        "max_model_len": None,
        "idle_minutes": None,
        "lifetime_hours": None,
        "keep": False,
    }
    assert client.get(f"{PATH}/status", params={"job_id": launch["job_id"]}).json() == launch


def test_the_tiny_model_is_served_on_this_host_without_its_being_said(client: TestClient) -> None:
    # The page leaves the provider out where somebody chooses the model alone.
    offers = client.get("/admin/offers", params={"model_name": "tiny-llama"}).json()["offers"]
    launch = client.post(f"{PATH}/launch", json={"model_name": "tiny-llama"}).json()
    assert launch["request"]["provider"] == offers[0]["provider"] == "local"


def test_the_same_key_gives_the_same_launch(client: TestClient, services: Services) -> None:
    headers = {"Idempotency-Key": "a-key"}
    answers = [client.post(f"{PATH}/launch", json={"model_name": MODEL}, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert len(services.launches.page(None, 10, None)) == 1
    defaults = client.post(f"{PATH}/launch", json={"model_name": MODEL, "market": "spot"}, headers=headers)
    assert defaults.json()["job_id"] == answers[0].json()["job_id"]


def test_the_same_key_for_another_launch_is_a_conflict(client: TestClient, queue: Noted) -> None:
    headers = {"Idempotency-Key": "a-key"}
    first = client.post(f"{PATH}/launch", json={"model_name": MODEL}, headers=headers).json()["job_id"]
    answer = client.post(f"{PATH}/launch", json={"model_name": MODEL, "provider": "gcp"}, headers=headers)
    found = problem(answer, 409, "idempotency_key_used")
    assert found["title"] == "conflict"
    assert found["errors"][0]["field"] == "Idempotency-Key"
    assert first in found["detail"]
    assert queue.submitted == [first]


@pytest.mark.parametrize("key", ["", "a key", "a" * 201])
def test_a_key_that_cannot_be_one(client: TestClient, key: str) -> None:
    answer = client.post(f"{PATH}/launch", json={"model_name": MODEL}, headers={"Idempotency-Key": key})
    wrong(answer, "invalid", "idempotency-key")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_a_list_is_paged_to_its_end_without_loss_or_repeat(client: TestClient, story: Story, limit: int) -> None:
    made = [story.queued() for _ in range(7)]
    seen: list[str] = []
    cursor = None
    pages = 0
    while pages == 0 or cursor is not None:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = client.get(PATH, params=query).json()
        assert 0 < len(page["items"]) <= limit
        seen += [item["job_id"] for item in page["items"]]
        cursor = page["next"]
        pages += 1
        # What is launched meanwhile is newer than all that is left.
        story.queued()
    assert [one for one in seen if one in made] == made[::-1]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("status", TELLS)
def test_a_list_of_one_status(client: TestClient, story: Story, status: str) -> None:
    launches = {tell: getattr(story, tell)() for tell in TELLS}
    items = client.get(PATH, params={"status": status}).json()["items"]
    assert [item["job_id"] for item in items] == [launches[status]]
    assert "timeline" not in items[0]
    assert "attempts" not in items[0]
    # The page shows where it runs.
    assert (items[0]["node"] is not None) is (status == "succeeded")


@pytest.mark.parametrize("cursor", ["x", "bmFuIGE=", "aW5mIGE=", "MS4wIGEAYg==", "é", "MS4w", "a" * 401])
def test_a_cursor_that_no_page_gave(client: TestClient, cursor: str) -> None:
    answer = client.get(PATH, params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("status", TELLS)
def test_what_is_told_of_a_launch(client: TestClient, story: Story, status: str) -> None:
    launch_id = getattr(story, status)()
    launch = client.get(f"{PATH}/status", params={"job_id": launch_id}).json()
    assert launch["status"] == status
    assert (launch["ended_at"] is not None) is (status in {"succeeded", "failed", "cancelled"})
    assert (launch["started_at"] is not None) is (status not in {"queued", "cancelled"})
    assert (launch["waiting_before"] is not None) is (status == "queued")
    assert launch["error"] == (ERROR if status == "failed" else None)
    if status in {"queued", "cancelled"}:
        assert launch["attempts"] == launch["timeline"] == []
        return
    assert [span["stage"] for span in launch["timeline"]] == ["Validating configuration", "Provisioning instance"]
    skipped, failed, last = launch["attempts"]
    assert (skipped["state"], skipped["reason"], skipped["started_at"]) == ("skipped", "it was full a minute ago", None)
    assert (failed["state"], failed["error"]) == ("failed", ERROR)
    assert failed["offer"] == {
        name: getattr(OFFER, name)
        for name in ("provider", "region", "zone", "instance_type", "gpu", "spot", "price", "source")
    }
    states = {"running": "running", "cancelling": "running", "succeeded": "succeeded", "failed": "failed"}
    assert last["state"] == states[status]


def test_how_many_wait_before_a_launch(client: TestClient, story: Story) -> None:
    waiting = [story.queued() for _ in range(3)]
    told = [client.get(f"{PATH}/status", params={"job_id": one}).json()["waiting_before"] for one in waiting]
    assert told == [0, 1, 2]


def test_how_long_it_may_take_is_known_from_earlier_launches(client: TestClient, story: Story) -> None:
    first, second = story.running(), story.running()
    assert client.get(f"{PATH}/status", params={"job_id": first}).json()["estimated_seconds_left"] is None
    story.succeeded()
    assert client.get(f"{PATH}/status", params={"job_id": second}).json()["estimated_seconds_left"] >= 0


def test_events_come_in_order_and_end(client: TestClient, story: Story) -> None:
    launch_id = story.failed()
    events = _events(client, launch_id)
    *told, end = events
    assert (end["event"], end["data"]) == ("end", {})
    assert "id" not in end
    ids = [int(event["id"]) for event in told]
    assert all(one < other for one, other in pairwise(ids))
    kinds = [event["event"] for event in told]
    assert kinds[:2] == ["launch", "launch"]
    assert kinds[-1] == "launch"
    assert told[-1]["data"]["status"] == "failed"
    logs = [event["data"] for event in told if event["event"] == "log"]
    assert [(one["source"], one["lines"]) for one in logs] == [
        ("engine", ["node-machine: will create"]),
        ("node", ["boot: hello", "boot: weights"]),
    ]
    note = next(event["data"] for event in told if event["event"] == "note")
    assert set(note) == {"text", "at"}
    status = [event["data"] for event in told if event["event"] == "status"]
    assert [(one["stage"], one["percentage"]) for one in status] == [
        ("Validating configuration", 10.0),
        ("Provisioning instance", 45.0),
    ]
    attempts = [event["data"] for event in told if event["event"] == "attempt"]
    assert [(one["number"], one["state"]) for one in attempts] == [
        (1, "skipped"),
        (2, "running"),
        (2, "failed"),
        (3, "running"),
        (3, "failed"),
    ]


def test_the_answer_says_which_events_it_includes(client: TestClient, story: Story) -> None:
    launch_id = story.failed()
    story.running()
    launch = client.get(f"{PATH}/status", params={"job_id": launch_id}).json()
    events = _events(client, launch_id)
    assert launch["event_id"] == int(events[-2]["id"])
    assert [event["event"] for event in _events(client, launch_id, launch["event_id"])] == ["end"]


def test_events_resume_after_any_of_them_without_loss_or_repeat(client: TestClient, story: Story) -> None:
    launch_id = story.succeeded()
    whole = [event.get("id") for event in _events(client, launch_id)]
    assert len(whole) > 8
    for place, after in enumerate(whole[:-1], 1):
        assert after is not None
        assert [event.get("id") for event in _events(client, launch_id, int(after))] == whole[place:]


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "٣", "9" * 16])
def test_an_event_id_that_is_none(client: TestClient, story: Story, given: str) -> None:
    launch_id = story.failed()
    headers = {b"Last-Event-ID": given.encode()}
    answer = client.get(f"{PATH}/events", params={"job_id": launch_id}, headers=headers)
    found = wrong(answer, "invalid", "last-event-id")
    assert found["allowed"] == "the id of an event, a whole number"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (None, ["node-machine: will create", "boot: hello", "boot: weights"]),
        ("engine", ["node-machine: will create"]),
        ("node", ["boot: hello", "boot: weights"]),
    ],
)
def test_logs_are_plain_lines(client: TestClient, story: Story, source: str | None, lines: list[str]) -> None:
    query = {"job_id": story.running()} | ({"source": source} if source else {})
    answer = client.get(f"{PATH}/logs", params=query)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.splitlines() == lines


def test_cancelling_asks_once_and_changes_nothing_that_has_ended(client: TestClient, story: Story) -> None:
    outcomes = {"queued": "cancelled", "running": "cancelling", "cancelling": "cancelling"}
    for tell in TELLS:
        query = {"job_id": getattr(story, tell)()}
        answer = client.post(f"{PATH}/cancel", params=query)
        assert answer.status_code == 202
        assert answer.json()["status"] == outcomes.get(tell, tell)


def test_destroying_takes_the_node_down(client: TestClient, services: Services, queue: Noted, story: Story) -> None:
    launch_id = story.succeeded()
    services.template.prepare(launch_id)
    answer = client.post(f"{PATH}/destroy", params={"job_id": launch_id})
    assert answer.status_code == 202
    assert answer.json()["node"]["state"] == "terminating"
    assert queue.taken_down == [launch_id]


def test_destroying_a_launch_that_goes_on_cancels_it(client: TestClient, queue: Noted, story: Story) -> None:
    answer = client.post(f"{PATH}/destroy", params={"job_id": story.running()})
    assert answer.json()["status"] == "cancelling"
    assert queue.taken_down == []


def test_destroying_what_left_nothing_does_nothing(client: TestClient, queue: Noted, story: Story) -> None:
    answer = client.post(f"{PATH}/destroy", params={"job_id": story.failed()})
    assert (answer.status_code, queue.taken_down) == (202, [])
