"""A status that is asked for again within a moment is told again, and news is never held back."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from control_plane.api.recent_answers import RecentAnswers
from control_plane.bell import Bell
from control_plane.services import Services
from control_plane.store.tokens import Tokens
from provider.status import Stage, Status
from tests.unit.control_plane.story import Story


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a story in a thread of its own: that of the tests may have an event loop of a browser's."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(story())).result()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_holds_for_a_moment_unless_something_has_happened() -> None:
    bell, clock = Bell(), Clock()
    recent, made = RecentAnswers(bell, clock), 0

    def make() -> bytes:
        nonlocal made
        made += 1
        return str(made).encode()

    async def told() -> bytes:
        return await recent.of("launch-1", make)

    async def story() -> None:
        assert [await told(), await told()] == [b"1", b"1"]
        bell.ring("launch-2")
        assert await told() == b"1"
        bell.ring("launch-1")
        assert [await told(), await told()] == [b"2", b"2"]
        clock.now += 1
        assert await told() == b"3"

    play(story)


def test_the_next_answer_is_made_while_one_that_is_not_fresh_is_told() -> None:
    clock, made = Clock(), 0
    recent = RecentAnswers(Bell(), clock)
    going_on = threading.Event()
    going_on.set()

    def make() -> bytes:
        nonlocal made
        assert going_on.wait(20)
        made += 1
        return str(made).encode()

    async def story() -> None:
        assert await recent.of("launch-1", make) == b"1"
        clock.now += 0.5
        going_on.clear()
        assert [await recent.of("launch-1", make) for _ in range(3)] == [b"1"] * 3
        clock.now += 0.6
        waits = asyncio.ensure_future(recent.of("launch-1", make))
        await asyncio.sleep(0)
        going_on.set()
        assert (await waits, made) == (b"2", 2)

    play(story)


def test_who_asks_at_the_same_time_is_told_the_same_and_who_asks_after_news_is_told_those() -> None:
    bell, going_on, made = Bell(), threading.Event(), 0
    recent = RecentAnswers(bell)

    def make() -> bytes:
        nonlocal made
        made += 1
        number = made
        if number == 1:
            assert going_on.wait(20)
        return str(number).encode()

    async def story() -> None:
        before = [asyncio.ensure_future(recent.of("launch-1", make)) for _ in range(10)]
        await asyncio.sleep(0)
        bell.ring("launch-1")
        assert await recent.of("launch-1", make) == b"2"
        going_on.set()
        assert set(await asyncio.gather(*before)) == {b"1"}

    play(story)


def test_an_answer_that_can_not_be_made_is_nobody_elses() -> None:
    recent = RecentAnswers(Bell())

    def fail() -> bytes:
        raise KeyError("launch-1")

    async def story() -> None:
        with pytest.raises(KeyError):
            await recent.of("launch-1", fail)
        assert await recent.of("launch-1", lambda: b"one") == b"one"

    play(story)


def test_answers_that_are_told_no_more_are_not_kept() -> None:
    clock = Clock()
    recent = RecentAnswers(Bell(), clock)

    async def story() -> None:
        for number in range(300):
            clock.now += 0.1
            await recent.of(f"launch-{number}", lambda: b"one")

    play(story)
    assert len(recent._kept) <= 100


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
