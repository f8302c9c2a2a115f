"""What is recorded is carried out, whatever the queue's own tables could not take down of it."""

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import sqlalchemy as sa

from control_plane.services import Services
from control_plane.store.database import sqlite_url
from control_plane.workflows import Workflows
from tests.control_plane.server import until
from tests.unit.control_plane.story import Story

if TYPE_CHECKING:
    from control_plane.conductor import Conductor


class Carried:
    """A conductor that notes what it is given, and waits with it until it may go on."""

    def __init__(self) -> None:
        self.launches: list[str] = []
        self.may_end = threading.Event()

    def carry_out(self, launch_id: str) -> None:
        self.launches.append(launch_id)
        assert self.may_end.wait(30)

    def take_down(self, launch_id: str) -> None:
        raise NotImplementedError


@pytest.fixture
def conductor() -> Carried:
    return Carried()


@pytest.fixture
def url(state: Path) -> str:
    return sqlite_url(state / "workflows.sqlite")


class InThread:
    """The workflows, called from a thread as the server does: DBOS refuses one in which an event loop runs."""

    def __init__(self, workflows: Workflows, thread: Executor) -> None:
        self._workflows = workflows
        self._thread = thread

    def start(self) -> None:
        self._thread.submit(self._workflows.start).result()

    def submit(self, launch_id: str) -> None:
        self._thread.submit(self._workflows.submit, launch_id).result()

    def catch_up(self) -> None:
        self._thread.submit(self._workflows.catch_up).result()


@pytest.fixture
def workflows(services: Services, conductor: Carried, url: str) -> Iterator[InThread]:
    with ThreadPoolExecutor(1) as thread:
        made = thread.submit(Workflows, cast("Conductor", conductor), services.launches, url, "server", 2).result()
        try:
            found = InThread(made, thread)
            found.start()
            yield found
        finally:
            conductor.may_end.set()
            thread.submit(made.stop).result()


def status(url: str, launch_id: str) -> str:
    with sa.create_engine(url).connect() as connection:
        found = connection.execute(
            sa.text("SELECT status FROM workflow_status WHERE workflow_uuid = :id"), {"id": launch_id}
        )
        return str(found.scalar())


def leave_as_begun(url: str, launch_id: str) -> None:
    """Let the queue's table say of a launch what it says after a server died, and could not be put back."""
    with sa.create_engine(url).begin() as connection:
        connection.execute(
            sa.text("UPDATE workflow_status SET status = 'PENDING', executor_id = 'server' WHERE workflow_uuid = :id"),
            {"id": launch_id},
        )


def test_a_launch_that_was_recorded_and_did_not_come_into_the_queue_is_carried_out(
    workflows: InThread, conductor: Carried, story: Story
) -> None:
    conductor.may_end.set()
    launch_id = story.queued()
    workflows.catch_up()
    until(lambda: conductor.launches == [launch_id], "it is carried out", 20)


def test_what_the_queue_says_is_worked_on_and_nobody_works_on_is_begun_again(
    workflows: InThread, conductor: Carried, story: Story, url: str
) -> None:
    conductor.may_end.set()
    launch_id = story.queued()
    workflows.submit(launch_id)
    until(lambda: status(url, launch_id) == "SUCCESS", "it is done", 20)
    leave_as_begun(url, launch_id)
    workflows.catch_up()
    assert status(url, launch_id) == "PENDING", "it may only be about to begin"
    workflows.catch_up()
    until(lambda: status(url, launch_id) == "SUCCESS", "it is done", 20)


def test_what_is_worked_on_is_left_alone(workflows: InThread, conductor: Carried, story: Story, url: str) -> None:
    launch_id = story.queued()
    workflows.submit(launch_id)
    until(lambda: conductor.launches == [launch_id], "it is carried out", 20)
    for _ in range(3):
        workflows.catch_up()
    assert (conductor.launches, status(url, launch_id)) == ([launch_id], "PENDING")
