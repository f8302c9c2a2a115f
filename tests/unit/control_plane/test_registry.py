"""Nodes are looked after: the idle and the old are taken down, the evicted noticed and, where asked for, replaced."""

import json
import time
from dataclasses import replace
from typing import Any, Final

import pytest
from sqlalchemy import update

from automation import outputs
from automation.errors import Kind, Stopped
from automation.journal import Journal
from control_plane import presence
from control_plane.own_stack import OwnStack
from control_plane.probe import Health
from control_plane.registry import Registry
from control_plane.services import Services
from control_plane.store.launches import UnknownLaunch
from control_plane.store.nodes import Node
from control_plane.store.tables import launches, nodes
from control_plane.told import node_of
from provider import places
from provider.status import Mailbox
from tests.unit.control_plane.conftest import Noted
from tests.unit.control_plane.story import ERROR, OFFER, Story

IDLE = Health("", requests=0.0, done=5.0)
SILENT = Health("ConnectError: refused")


class Round:
    """Rounds of a registry whose node answers what a test says."""

    def __init__(self, services: Services, launch_id: str) -> None:
        self.services = services
        self.launch_id = launch_id
        self.health = IDLE
        self.letter: Mailbox | None = None
        self.seconds = 0.0
        self.registry = Registry(
            services, lambda _node: self.health, lambda _node: self.letter, elapsed=lambda: self.seconds
        )

    def look(self) -> str:
        self.registry.look_at_nodes()
        return self.node.state

    def read(self) -> str:
        """Read the mailbox, and return the node's state then."""
        self.registry.look_at_mailboxes()
        return self.node.state

    @property
    def node(self) -> Node:
        found = self.services.nodes.of_launch(self.launch_id)
        assert found is not None
        return found

    def keep(self) -> None:
        """Let the launch have been asked for with `keep`."""
        request = {**self.services.launches.get(self.launch_id).request, "keep": True}
        with self.services.database.transaction() as connection:
            connection.execute(update(launches).values(request=request))

    def past(self, **values: Any) -> None:
        """Let the node have been so for some time."""
        with self.services.database.transaction() as connection:
            connection.execute(update(nodes).values(**values))


@pytest.fixture
def round_(services: Services, story: Story) -> Round:
    return Round(services, story.succeeded())


def test_a_node_that_answers_is_healthy_again(round_: Round) -> None:
    round_.past(state="unhealthy")
    assert round_.look() == "healthy"


def test_a_node_that_nobody_has_asked_for_its_idle_time_is_taken_down(round_: Round, queue: Noted) -> None:
    assert round_.look() == "healthy"
    round_.past(idle_since=time.time() - 29 * 60)
    assert round_.look() == "healthy"
    round_.past(idle_since=time.time() - 31 * 60)
    assert round_.look() == "terminating"
    assert queue.taken_down == [round_.launch_id]


@pytest.mark.parametrize("busy", [replace(IDLE, requests=1.0), replace(IDLE, done=6.0)])
def test_a_node_that_works_or_has_worked_since_is_not_idle(round_: Round, queue: Noted, busy: Health) -> None:
    round_.look()
    round_.past(idle_since=time.time() - 31 * 60)
    round_.health = busy
    assert round_.look() == "healthy"
    found = round_.services.nodes.of_launch(round_.launch_id)
    assert found is not None
    assert found.idle_since is None
    assert queue.taken_down == []


def test_a_node_whose_lifetime_is_over_is_taken_down(round_: Round, queue: Noted) -> None:
    round_.past(expires_at=time.time() - 1)
    assert round_.look() == "terminating"
    assert queue.taken_down == [round_.launch_id]


def test_a_short_silence_is_no_eviction(round_: Round, queue: Noted) -> None:
    round_.health = SILENT
    assert round_.look() == "unhealthy"
    assert queue.taken_down == []


def test_a_spot_node_that_stays_silent_was_taken_back_and_what_is_left_of_it_goes(round_: Round, queue: Noted) -> None:
    round_.health = SILENT
    assert round_.look() == "unhealthy"
    round_.seconds += 121
    assert round_.look() == "evicted"
    assert (queue.taken_down, queue.submitted) == ([round_.launch_id], [])


def test_a_node_is_not_taken_for_evicted_because_this_host_slept_or_its_clock_jumped(
    round_: Round, queue: Noted
) -> None:
    round_.health = SILENT
    round_.past(last_healthy_at=time.time() - 7200)
    assert round_.look() == "unhealthy"
    round_.health = IDLE
    assert round_.look() == "healthy"
    assert queue.taken_down == []


def test_an_on_demand_node_that_stays_silent_is_left_alone(round_: Round, queue: Noted) -> None:
    round_.health = SILENT
    found = round_.services.nodes.of_launch(round_.launch_id)
    assert found is not None
    round_.past(offer={**found.offer, "spot": False})
    round_.look()
    round_.seconds += 3600
    assert round_.look() == "unhealthy"
    assert queue.taken_down == []


def test_an_evicted_node_is_launched_again_once_where_that_was_asked_for(round_: Round, queue: Noted) -> None:
    services = round_.services
    round_.keep()
    round_.health = SILENT
    for _ in range(2):
        round_.past(state="unhealthy")
        round_.look()
        round_.seconds += 121
        assert round_.look() == "evicted"
    again = set(queue.submitted)
    assert len(again) == 1
    assert services.launches.get(again.pop()).request == services.launches.get(round_.launch_id).request


def letter(state: str = "interrupted", **notice: Any) -> Mailbox:
    """Return what a node writes."""
    phase = {"state": "done"}
    told = {"kind": "interruption", "action": "terminate", "noticed_at": time.time(), "deadline": time.time() + 120}
    given = {
        "version": 1,
        "run_id": "run",
        "sequence": 1,
        "written_at": time.time(),
        "started_at": time.time(),
        "state": state,
        "phases": [{"name": name, **phase} for name in ("install", "weights", "serve")],
        "notice": {**told, **notice},
    }
    return Mailbox.model_validate_json(json.dumps(given))


DRAINED: Final[dict[str, Any]] = {"drained_at": 1.0, "all_answered": True}


def test_a_notice_is_acted_upon_while_the_node_still_answers_what_it_has_begun(round_: Round, queue: Noted) -> None:
    round_.keep()
    round_.letter = letter()
    before = time.time()
    for _ in range(3):
        assert round_.read() == "interrupted"
    # Another one is launched at once, and once; its place is left alone; the machine may answer to the end.
    (again,) = set(queue.submitted)
    assert queue.taken_down == []
    assert round_.node.relaunched_as == again
    (block,) = round_.services.blocks.active(before)
    assert block.covers(OFFER)
    assert not block.covers(OFFER.model_copy(update={"zone": "eus2-az1"}))
    assert not block.covers(OFFER.model_copy(update={"spot": False}))
    assert before + 899 < block.until < time.time() + 901
    notes = [event.data["text"] for event in round_.services.launches.events_of(again, 0) if event.kind == "note"]
    assert notes == [f"In place of node {round_.node.id}, which its cloud takes back"]


def test_its_silence_after_the_notice_is_no_news(round_: Round) -> None:
    round_.letter, round_.health = letter(), Health("/health answers 503")
    assert round_.read() == "interrupted"
    assert round_.look() == "interrupted"
    round_.health = IDLE
    assert round_.look() == "interrupted"


def test_a_node_that_has_answered_everything_is_taken_down(round_: Round, queue: Noted) -> None:
    round_.letter = letter()
    assert round_.read() == "interrupted"
    round_.letter = letter(**DRAINED)
    assert round_.read() == "evicted"
    assert (queue.taken_down, queue.submitted) == ([round_.launch_id], [])
    assert "every request was answered" in round_.node.state_reason
    assert round_.read() == "evicted"
    assert queue.taken_down == [round_.launch_id]


def test_a_node_whose_time_is_over_is_taken_down_whatever_its_last_word_was(round_: Round, queue: Noted) -> None:
    round_.letter = letter()
    assert round_.read() == "interrupted"
    round_.letter = None
    assert round_.read() == "interrupted"
    round_.past(interrupted_at=time.time() - 121)
    assert round_.read() == "evicted"
    assert queue.taken_down == [round_.launch_id]


def test_whoever_comes_after_a_server_that_died_in_the_middle_does_the_rest(round_: Round, queue: Noted) -> None:
    round_.keep()
    round_.past(state="interrupted", interrupted_at=time.time())
    round_.letter = letter(**DRAINED)
    assert round_.read() == "evicted"
    assert len(set(queue.submitted)) == 1
    assert queue.taken_down == [round_.launch_id]
    assert len(round_.services.blocks.active(time.time())) == 1


def test_a_take_down_that_nobody_began_is_asked_for_again(round_: Round, queue: Noted) -> None:
    round_.past(state="evicted", interrupted_at=time.time())
    round_.registry.sweep()
    assert queue.taken_down == [round_.launch_id]


def test_a_warning_is_told_and_nothing_else(round_: Round, queue: Noted) -> None:
    round_.letter = letter("ready", kind="rebalance", deadline=None)
    assert round_.read() == "healthy"
    assert round_.look() == "healthy"
    assert "warns" in round_.node.state_reason
    assert (queue.taken_down, queue.submitted, round_.services.blocks.active(0)) == ([], [], ())


def test_the_mailbox_of_a_machine_that_nobody_takes_back_is_not_read(round_: Round) -> None:
    round_.past(offer={**round_.node.offer, "spot": False})
    round_.letter = letter()
    assert round_.read() == "healthy"


@pytest.mark.parametrize(
    ("noticed", "healthy", "since"), [(-30.0, -60.0, -30.0), (-90.0, -60.0, -60.0), (60.0, -9.0, 0.0)]
)
def test_the_time_without_an_endpoint_begins_between_the_last_health_and_now_whatever_the_nodes_clock_says(
    round_: Round, noticed: float, healthy: float, since: float
) -> None:
    now = time.time()
    round_.past(last_healthy_at=now + healthy)
    round_.letter = letter(noticed_at=now + noticed)
    round_.read()
    assert round_.node.interrupted_at == pytest.approx(now + since, abs=2)


def test_the_time_without_an_endpoint_ends_when_the_next_node_is_registered(round_: Round, queue: Noted) -> None:
    services = round_.services
    round_.keep()
    round_.letter = letter()
    round_.read()
    round_.past(interrupted_at=time.time() - 74)
    told = node_of(round_.node).interruption
    assert told is not None
    assert told.restored_at is None
    assert told.seconds_without_endpoint == pytest.approx(74, abs=2)

    again = queue.submitted[0]
    services.launches.begin(again, "a-server")
    new = replace(
        round_.node,
        id="the-next",
        launch_id=again,
        state="healthy",
        registered_at=time.time(),
        interrupted_at=None,
        relaunched_as=None,
    )
    assert services.launches.succeed(new)
    told = node_of(round_.node).interruption
    assert told is not None
    assert told.restored_at is not None
    assert told.seconds_without_endpoint == pytest.approx(74, abs=2)
    replaced = node_of(services.nodes.get("the-next")).replaces
    assert replaced is not None
    assert (replaced.node_id, replaced.seconds_without_endpoint) == (round_.node.id, told.seconds_without_endpoint)


@pytest.mark.parametrize(
    ("kind", "tries"), [("capacity", 2), ("quota", 2), ("throttled", 2), ("boot", 1), ("policy", 1)]
)
def test_what_could_not_be_launched_in_its_place_is_launched_later_if_that_may_go_better(
    round_: Round, queue: Noted, kind: str, tries: int
) -> None:
    services = round_.services
    round_.keep()
    round_.letter = letter(**DRAINED)
    round_.read()
    round_.read()
    (first,) = set(queue.submitted)
    services.launches.begin(first, "a-server")
    services.launches.end(first, "failed", "no", {**ERROR, "kind": kind})
    round_.past(interrupted_at=time.time() - 60, state="gone", ended_at=time.time())
    round_.registry.sweep()
    assert set(queue.submitted) == {first}, "not at once"
    with services.database.transaction() as connection:
        connection.execute(update(launches).where(launches.c.id == first).values(ended_at=time.time() - 31))
    round_.registry.sweep()
    round_.registry.sweep()
    assert len(set(queue.submitted)) == tries
    assert round_.node.relaunched_as == list(dict.fromkeys(queue.submitted))[-1]


def test_a_launch_in_its_place_that_somebody_cancelled_stays_cancelled(round_: Round, queue: Noted) -> None:
    round_.keep()
    round_.letter = letter(**DRAINED)
    round_.read()
    round_.services.launches.ask_to_cancel(queue.submitted[0])
    round_.registry.sweep()
    assert len(set(queue.submitted)) == 1


def test_what_ended_launches_left_is_deleted_and_nothing_that_another_database_may_know(
    services: Services, story: Story, queue: Noted
) -> None:
    failed, running, with_node = story.failed(), story.running(), story.succeeded()
    for name in (failed, running, with_node, "launch-of-another-database"):
        services.template.folder_of(name).mkdir(parents=True)
    Registry(services).sweep()
    assert queue.taken_down == [failed]


def test_a_launch_is_not_forgotten_while_something_of_it_may_be_left(services: Services, story: Story) -> None:
    left, gone = story.failed(), story.cancelled()
    services.template.folder_of(left).mkdir(parents=True)
    journals = {launch_id: Journal(launch_id) for launch_id in (left, gone)}
    for journal in journals.values():
        journal.close()
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(ended_at=1.0))
    Registry(services).sweep()
    assert services.launches.get(left).status == "failed"
    with pytest.raises(UnknownLaunch):
        services.launches.get(gone)
    assert (journals[left].folder.exists(), journals[gone].folder.exists()) == (True, False)


def test_a_launch_is_forgotten_with_its_node_once_that_has_gone(services: Services, story: Story) -> None:
    there, gone = story.succeeded(), story.succeeded()
    node = services.nodes.of_launch(gone)
    assert node is not None
    services.nodes.set_state(node.id, "gone", "taken down")
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(ended_at=1.0))
    Registry(services).sweep()
    assert [node.launch_id for node in services.nodes.all()] == [there]
    with pytest.raises(UnknownLaunch):
        services.launches.get(gone)


@pytest.fixture
def own(services: Services, story: Story, monkeypatch: pytest.MonkeyPatch) -> Round:
    """A node in a person's own stack, which the stack's state still has."""
    launch_id = story.succeeded()
    stack = OwnStack(project="/tmp", stack="dev", model=None, config={}, keep=False).model_dump(mode="json")
    with services.database.transaction() as connection:
        connection.execute(update(launches).values(stack=stack))
    made = Round(services, launch_id)
    made.health = SILENT
    node = services.nodes.of_launch(launch_id)
    assert node is not None
    monkeypatch.setattr(outputs, "read", lambda *_, **__: {"endpoint": node.endpoint})
    return made


def test_a_node_of_a_persons_own_stack_is_that_persons_to_take_down(own: Round, queue: Noted) -> None:
    own.past(expires_at=time.time() - 1, last_healthy_at=time.time() - 3600)
    assert own.look() == "unhealthy"
    node = own.services.nodes.of_launch(own.launch_id)
    assert node is not None
    assert "liftoff destroy --stack dev" in node.state_reason
    assert queue.taken_down == []
    own.health = IDLE
    assert own.look() == "healthy"


def test_a_node_of_a_persons_own_stack_that_is_taken_back_is_told_of_and_left_to_that_person(
    own: Round, queue: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.keep()
    own.letter = letter()
    assert own.read() == "interrupted"
    assert own.look() == "interrupted"
    own.letter = letter(**DRAINED)
    assert own.read() == "evicted"
    assert "liftoff destroy --stack dev" in own.node.state_reason
    own.registry.sweep()
    assert (queue.taken_down, queue.submitted, own.node.relaunched_as) == ([], [], None)
    assert len(own.services.blocks.active(time.time())) == 1
    assert own.look() == "evicted"
    monkeypatch.setattr(outputs, "read", lambda *_, **__: {"endpoint": "https://192.0.2.1"})
    assert own.look() == "gone"


@pytest.mark.parametrize("code", ["stack_missing", "no_node"])
def test_a_node_that_its_stack_has_no_more_has_gone(own: Round, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def read(*_: object, **__: object) -> dict[str, str]:
        raise Stopped(Kind.CONFIGURATION, code, "nothing there", "launch it")

    monkeypatch.setattr(outputs, "read", read)
    assert own.look() == "gone"


def test_a_node_in_whose_place_its_stack_has_another_has_gone(own: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "read", lambda *_, **__: {"endpoint": "https://192.0.2.1"})
    assert own.look() == "gone"


def test_what_a_command_of_this_host_left_when_it_died_is_gone_on_with(
    services: Services, story: Story, queue: Noted
) -> None:
    with presence.held() as alive:
        with presence.held() as dead:
            pass
        (places.state_folder() / "commands" / dead).touch()
        stack = OwnStack(project="/tmp", stack="dev", model=None, config={}, keep=False).model_dump(mode="json")
        request = services.launches.get(story.queued()).request
        for server in (alive, dead):
            services.launches.add(f"launch-of-{server}", request, None, stack=stack, server=server)
        Registry(services).look_at_servers()
        assert queue.submitted == [f"launch-of-{dead}"]
        assert queue.adopted == [dead]
        Registry(services).look_at_servers()
        assert queue.adopted == [dead]


def test_of_two_launches_of_one_stack_the_earlier_is_not_carried_out_any_more(services: Services, story: Story) -> None:
    stack = OwnStack(project="/tmp", stack="dev", model=None, config={}, keep=False).model_dump(mode="json")
    request = services.launches.get(story.queued()).request
    for name in ("launch-old", "launch-new"):
        services.launches.add(name, request, None, stack=stack, server="command-x")
        time.sleep(0.001)
    services.conductor.carry_out("launch-old")
    ended = services.launches.get("launch-old")
    assert (ended.status, ended.error and ended.error["code"]) == ("failed", "interrupted")
    assert not services.launches.get("launch-new").has_ended
