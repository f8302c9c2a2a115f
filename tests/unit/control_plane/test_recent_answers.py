"""A status that is asked for again within a moment is told again, and news is never held back."""

import pytest
from fastapi.testclient import TestClient

from control_plane.api.recent_answers import RecentAnswers
from control_plane.bell import Bell
from control_plane.services import Services
from control_plane.store.tokens import Tokens
from provider.status import Stage, Status
from tests.unit.control_plane.story import Story


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_holds_for_a_moment_unless_something_has_happened() -> None:
    bell, clock = Bell(), Clock()
    recent = RecentAnswers(bell, clock)
    assert recent.of("launch-1") is None
    assert recent.made("launch-1", lambda: b"one") == b"one"
    assert recent.of("launch-1") == b"one"
    bell.ring("launch-2")
    assert recent.of("launch-1") == b"one"
    bell.ring("launch-1")
    assert recent.of("launch-1") is None
    recent.made("launch-1", lambda: b"two")
    clock.now += 1
    assert recent.of("launch-1") is None


def test_what_happens_while_an_answer_is_made_makes_it_old() -> None:
    bell = Bell()
    recent = RecentAnswers(bell)

    def make() -> bytes:
        bell.ring("launch-1")
        return b"before or after"

    recent.made("launch-1", make)
    assert recent.of("launch-1") is None


def test_each_status_is_the_latest(client: TestClient, services: Services, story: Story) -> None:
    launch_id = story.running()
    for percent in range(50, 60):
        services.launches.set_status(launch_id, Status(float(percent), Stage.PROVISION, "waits"))
        told = client.get("/admin/instances/status", params={"job_id": launch_id}).json()
        assert told["percentage"] == percent
    assert client.post("/admin/instances/cancel", params={"job_id": launch_id}).status_code == 202
    told = client.get("/admin/instances/status", params={"job_id": launch_id}).json()
    assert told["status"] == "cancelling"


def test_a_node_that_is_taken_down_is_told_so_at_once(client: TestClient, services: Services, story: Story) -> None:
    launch_id = story.succeeded()
    asked = {"job_id": launch_id}
    node = client.get("/admin/instances/status", params=asked).json()["node"]
    assert client.delete(f"/admin/nodes/{node['id']}").status_code == 202
    assert client.get("/admin/instances/status", params=asked).json()["node"]["state"] == "terminating"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_token_that_is_revoked_is_let_in_for_a_moment_only_by_another_process(
    services: Services, *, elsewhere: bool
) -> None:
    clock = Clock()
    tokens = Tokens(services.database, clock)
    given = tokens.issue("x", "read")
    assert tokens.recent(given) is None
    assert tokens.find(given) == tokens.recent(given)
    (Tokens(services.database) if elsewhere else tokens).revoke("x")
    assert (tokens.recent(given) is not None) is elsewhere
    clock.now += 2
    assert tokens.recent(given) is None
    assert tokens.find(given) is None
