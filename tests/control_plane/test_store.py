"""The store: what it refuses to hold, what each reader makes of each empty column, and what many threads do to it."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import CheckConstraint, delete, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from automation.errors import Stopped
from automation.offers import Offer
from control_plane import told
from control_plane.request import LaunchAsked
from control_plane.store import identity, tables
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Event, Launches, UnknownLaunch
from control_plane.store.nodes import Node, Nodes, UnknownNode
from control_plane.store.servers import Servers
from control_plane.store.tokens import Tokens
from provider.status import Stage, Status

from .postgres import Postgres, postgres

__all__ = ["postgres"]

REQUEST: Final = LaunchAsked(model_name="tiny-llama").model_dump(mode="json")
ERROR: Final = {"kind": "boot", "code": "x", "stage": "", "resource": "", "message": "m", "hint": "", "log": []}


def offer(zone: str = "us-east-1a") -> Offer:
    return Offer(
        provider="aws",
        region="us-east-1",
        zone=zone,
        instance_type="g6.2xlarge",
        gpu="L4",
        spot=True,
        price=0.5,
        source="test",
        seen=None,
    )


def node(launch_id: str, **changes: Any) -> Node:
    given: dict[str, Any] = {
        "id": f"node-of-{launch_id}",
        "launch_id": launch_id,
        "model": "tiny-llama",
        "endpoint": "https://203.0.113.7",
        "certificate": "pem",
        "offer": offer().model_dump(mode="json"),
        "state": "healthy",
        "state_reason": "",
        "registered_at": time.time(),
        "last_healthy_at": time.time(),
        "expires_at": time.time() + 3600,
        "idle_minutes": None,
        "idle_since": None,
        "ended_at": None,
    }
    return Node(**{**given, **changes})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path_factory.mktemp("store") / "store.sqlite")
    else:
        served: Postgres = request.getfixturevalue("postgres")
        url = served.database()
    made = Database(url)
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def database(migrated: Database) -> Database:
    """An empty database."""
    with migrated.transaction() as connection:
        for table in reversed(tables.METADATA.sorted_tables):
            connection.execute(delete(table))
    return migrated


@pytest.fixture
def launches(database: Database) -> Launches:
    return Launches(database)


def test_the_migrations_make_the_tables_and_nothing_else(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.METADATA) == []
        found = inspect(connection)
        for table in tables.METADATA.sorted_tables:
            checks = {str(one["name"]) for one in found.get_check_constraints(table.name)}
            assert checks == {str(one.name) for one in table.constraints if isinstance(one, CheckConstraint)}


def test_a_node_of_the_first_tables_is_kept_with_no_interruption_and_may_go_back(tmp_path: Path) -> None:
    made = Database(sqlite_url(tmp_path / "old.sqlite"))
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    new = {"interrupted_at", "relaunched_as", "restored_at", "replaces", "outage_seconds"}
    with made.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(insert(tables.launches).values({**LAUNCH, "id": "there"}))
        old = {name: value for name, value in NODE.items() if name not in new}
        names, marks = ", ".join(old), ", ".join(f":{name}" for name in old)
        connection.execute(
            text(f"INSERT INTO nodes ({names}) VALUES ({marks})"), {**old, "offer": json.dumps(old["offer"])}
        )
        connection.commit()
    made.migrate()
    assert Nodes(made).get("new").__dict__ == NODE
    assert Nodes(made).interrupt("new", "interrupted", 5.0, "taken back") is not None
    with made.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert connection.scalar(text("SELECT state FROM nodes")) == "unhealthy"
        connection.commit()
    made.close()


def test_an_interrupted_node_is_restored_by_the_launch_in_its_place_and_by_no_other(
    database: Database, launches: Launches
) -> None:
    nodes = Nodes(database)
    for launch_id in ("a", "b", "c"):
        launches.add(launch_id, REQUEST, None)
        launches.begin(launch_id, "server")
    assert launches.succeed(node("a"))
    begun = nodes.interrupt("node-of-a", "interrupted", 1000.0, "taken back")
    assert begun is not None
    again = nodes.interrupt("node-of-a", "evicted", 2000.0, "gone")
    assert again is not None
    assert (begun.interrupted_at, again.interrupted_at, again.state) == (1000.0, 1000.0, "evicted")
    assert nodes.interrupt("node-of-a", "interrupted", 1000.0, "taken back") is None
    nodes.set_relaunch("node-of-a", "b", None)
    nodes.set_relaunch("node-of-a", "c", None)
    assert [one.relaunched_as for one in nodes.without_successor(time.time())] == ["b"]
    assert launches.succeed(node("c"))
    assert nodes.get("node-of-c").replaces is None
    assert launches.succeed(node("b", registered_at=1074.0))
    assert nodes.get("node-of-a").restored_at == 1074.0
    assert (nodes.get("node-of-b").replaces, nodes.get("node-of-b").outage_seconds) == ("node-of-a", 74.0)
    assert nodes.without_successor(time.time()) == []


def test_the_migrations_may_run_again(database: Database) -> None:
    Launches(database).add("a", REQUEST, None)
    database.migrate()
    assert Launches(database).get("a").status == "queued"


def test_tables_of_a_version_that_is_not_known_are_left_as_they_are(tmp_path: Path) -> None:
    newer = Database(sqlite_url(tmp_path / "newer.sqlite"))
    newer.migrate()
    with newer.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Stopped, match=r"newer\.sqlite can't be brought to this version's form: .*9999") as caught:
        newer.migrate()
    assert (caught.value.code, "update Liftoff" in caught.value.hint) == ("database_version", True)


def test_a_database_that_does_not_answer_is_said_so_without_its_password() -> None:
    with pytest.raises(Stopped, match=r"can't be reached: .*refused") as caught:
        Database("postgresql://somebody:geheim@127.0.0.1:1/liftoff").migrate()
    assert (caught.value.code, "geheim" in str(caught.value)) == ("database_unreachable", False)


LAUNCH: Final[Mapping[str, Any]] = {
    "id": "a",
    "request": REQUEST,
    "status": "queued",
    "stage": "",
    "percent": 0.0,
    "message": "",
    "plan": [],
    "created_at": 1.0,
}
ATTEMPT: Final[Mapping[str, Any]] = {
    "launch_id": "there",
    "number": 1,
    "offer": {},
    "state": "running",
    "reason": "",
    "started_at": 1.0,
}
NODE: Final[Mapping[str, Any]] = node("there", id="new").__dict__


@pytest.mark.parametrize(
    ("table", "row"),
    [
        pytest.param(tables.launches, {**LAUNCH, "status": "lost"}, id="unknown status"),
        pytest.param(tables.launches, {**LAUNCH, "percent": 100.5}, id="over 100 %"),
        pytest.param(tables.launches, {**LAUNCH, "percent": -1.0}, id="under 0 %"),
        pytest.param(tables.launches, {**LAUNCH, "status": "succeeded"}, id="ended, at no time"),
        pytest.param(tables.launches, {**LAUNCH, "ended_at": 2.0}, id="waits, and has ended"),
        pytest.param(tables.launches, {**LAUNCH, "status": "failed", "ended_at": 2.0}, id="failed without an error"),
        pytest.param(tables.launches, {**LAUNCH, "error": ERROR}, id="waits with an error"),
        pytest.param(tables.launches, {**LAUNCH, "status": "running"}, id="runs and never began"),
        pytest.param(tables.launches, {**LAUNCH, "id": "there"}, id="an id twice"),
        pytest.param(tables.launches, {**LAUNCH, "idempotency_key": "taken"}, id="a key twice"),
        pytest.param(tables.attempts, {**ATTEMPT, "state": "lost"}, id="unknown state of an attempt"),
        pytest.param(tables.attempts, {**ATTEMPT, "number": 0}, id="an attempt before the first"),
        pytest.param(tables.attempts, {**ATTEMPT, "launch_id": "missing"}, id="an attempt of no launch"),
        pytest.param(tables.attempts, {**ATTEMPT, "started_at": None}, id="runs and never began"),
        pytest.param(tables.attempts, {**ATTEMPT, "state": "skipped", "reason": "full"}, id="skipped, and began"),
        pytest.param(tables.attempts, {**ATTEMPT, "state": "skipped", "started_at": None}, id="skipped for no reason"),
        pytest.param(tables.attempts, {**ATTEMPT, "reason": "full"}, id="runs with a reason to skip it"),
        pytest.param(tables.attempts, {**ATTEMPT, "ended_at": 2.0}, id="runs and has ended"),
        pytest.param(tables.attempts, {**ATTEMPT, "state": "succeeded"}, id="succeeded at no time"),
        pytest.param(tables.attempts, {**ATTEMPT, "state": "failed", "ended_at": 2.0}, id="failed without an error"),
        pytest.param(tables.attempts, {**ATTEMPT, "error": ERROR}, id="runs with an error"),
        pytest.param(tables.events, {"launch_id": "there", "kind": "x", "data": {}, "at": 1.0}, id="unknown event"),
        pytest.param(
            tables.events, {"launch_id": "missing", "kind": "note", "data": {}, "at": 1.0}, id="event of no launch"
        ),
        pytest.param(tables.nodes, {**NODE, "launch_id": "missing"}, id="a node of no launch"),
        pytest.param(tables.nodes, {**NODE, "launch_id": "has a node"}, id="two nodes of a launch"),
        pytest.param(tables.nodes, {**NODE, "state": "lost"}, id="unknown state of a node"),
        pytest.param(tables.nodes, {**NODE, "state": "gone"}, id="gone at no time"),
        pytest.param(tables.nodes, {**NODE, "ended_at": 2.0}, id="healthy and gone"),
        pytest.param(tables.nodes, {**NODE, "idle_minutes": 0.0}, id="idle after no time"),
        pytest.param(tables.nodes, {**NODE, "state": "interrupted"}, id="interrupted at no time"),
        pytest.param(tables.nodes, {**NODE, "relaunched_as": "again"}, id="launched again for no reason"),
        pytest.param(tables.nodes, {**NODE, "interrupted_at": 1.0, "restored_at": 2.0}, id="restored by nobody"),
        pytest.param(tables.nodes, {**NODE, "replaces": "before"}, id="replaces one after no time"),
        pytest.param(tables.nodes, {**NODE, "outage_seconds": 1.0}, id="an outage before nobody"),
        pytest.param(tables.nodes, {**NODE, "replaces": "before", "outage_seconds": -1.0}, id="a negative outage"),
        pytest.param(
            tables.tokens, {"id": "t", "name": "n", "scope": "all", "digest": "d", "created_at": 1.0}, id="scope"
        ),
    ],
)
def test_a_row_that_can_not_be_true_is_refused(database: Database, table: Any, row: Mapping[str, Any]) -> None:
    with database.transaction() as connection:
        connection.execute(insert(tables.launches).values({**LAUNCH, "id": "there", "idempotency_key": "taken"}))
        connection.execute(insert(tables.launches).values({**LAUNCH, "id": "has a node", "idempotency_key": None}))
        connection.execute(insert(tables.nodes).values(node("has a node").__dict__))
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(insert(table).values(dict(row)))


def test_a_column_may_be_null_only_where_that_means_something(database: Database) -> None:
    with database.engine.connect() as connection:
        found = {
            (table.name, column["name"])
            for table in tables.METADATA.sorted_tables
            for column in inspect(connection).get_columns(table.name)
            if column["nullable"]
        }
    assert found == {
        ("launches", "idempotency_key"),
        ("launches", "started_at"),
        ("launches", "ended_at"),
        ("launches", "error"),
        ("launches", "server"),
        ("launches", "stack"),
        ("attempts", "started_at"),
        ("attempts", "ended_at"),
        ("attempts", "error"),
        ("stages", "ended_at"),
        ("machines", "ended_at"),
        ("nodes", "idle_minutes"),
        ("nodes", "idle_since"),
        ("nodes", "ended_at"),
        ("nodes", "interrupted_at"),
        ("nodes", "relaunched_as"),
        ("nodes", "restored_at"),
        ("nodes", "replaces"),
        ("nodes", "outage_seconds"),
        ("tokens", "revoked_at"),
    }


def test_each_machine_is_paid_from_its_request_to_its_end_and_a_refused_one_not_at_all(launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    machines = launches.machines
    now = time.time()
    machines.asked("a", 1, 2.0, now - 3600)
    machines.exists("a", 1, 2.0, now - 9000)
    machines.gone("a", now - 1800)
    machines.gone("a", now)
    machines.asked("a", 2, 9.0)
    machines.refused("a")
    machines.exists("a", 3, 1.0, now - 600)
    # One whose end was never heard of ends when the next is asked for; a clock that was put back harms nobody.
    machines.asked("a", 4, 4.0)
    machines.gone("a", now - 7200)
    paid = machines.of_launches(["a", "b"])
    assert paid.keys() == {"a"}
    assert [one.attempt for one in paid["a"]] == [1, 3, 4]
    assert [round(one.cost(now), 2) for one in paid["a"]] == [1.0, 0.17, 0.0]
    machines.asked("a", 5, 1.0, now - 3600)
    (last,) = [one for one in machines.of_launches(["a"])["a"] if one.ended_at is None]
    assert round(last.cost(now + 3600), 2) == 2.0


def test_a_control_plane_has_one_name_for_all_of_its_servers(database: Database) -> None:
    assert identity.plane(database) == identity.plane(database)
    assert identity.plane(database).startswith("plane-")


def test_a_launch_that_waits_is_read_with_every_empty_column(database: Database, launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    full = told.launch_in_full(launches.get("a"), launches, Nodes(database)).model_dump(mode="json")
    empty = {"started_at", "ended_at", "error", "node", "estimated_seconds_left", "stack"}
    assert {name for name, value in full.items() if value is None} == empty
    assert (full["status"], full["waiting_before"], full["attempts"], full["timeline"]) == ("queued", 0, [], [])
    assert json.loads(json.dumps(full)) == full
    short = told.launch_in_short(launches.page(None, 10, None)[0], None, ()).model_dump(mode="json")
    empty = {"started_at", "ended_at", "error", "node", "stack"}
    assert {name for name, value in short.items() if value is None} == empty
    assert [launch.server for launch in launches.open()] == [None]
    (event,) = launches.events_of("a", 0)
    assert told.event_data(event.kind, event.data, event.at)["status"] == "queued"
    assert launches.logs_of("a", None) == []
    assert launches.durations("aws") == []
    assert launches.counts() == {"queued": 1}
    assert launches.forget(time.time() + 1, []) == []


def test_a_launch_that_runs_is_read_with_every_empty_column(database: Database, launches: Launches) -> None:
    launches.add("a", REQUEST, "key")
    assert launches.begin("a", "server") is not None
    launches.set_plan("a", [offer("1"), offer("2")])
    launches.skip_attempt("a", offer("1"), "full")
    assert launches.start_attempt("a", offer("2")) == 2
    launches.set_status("a", Status(Stage.REQUEST.start, Stage.REQUEST, "asks"))
    full = told.launch_in_full(launches.get("a"), launches, Nodes(database)).model_dump(mode="json")
    assert full["started_at"] is not None
    assert full["waiting_before"] is None
    skipped, running = full["attempts"]
    assert (skipped["started_at"], skipped["ended_at"], skipped["error"]) == (None, None, None)
    assert running["started_at"] is not None
    assert (running["ended_at"], running["error"]) == (None, None)
    assert full["timeline"][0]["ended_at"] is None
    kinds = [event.kind for event in launches.events_of("a", 0)]
    assert kinds == ["launch", "launch", "attempt", "attempt", "status"]
    for event in launches.events_of("a", 0):
        json.dumps(told.event_data(event.kind, event.data, event.at))


def test_a_launch_that_was_cancelled_in_the_queue_never_began(database: Database, launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    assert launches.ask_to_cancel("a").status == "cancelled"
    assert launches.begin("a", "server") is None
    full = told.launch_in_full(launches.get("a"), launches, Nodes(database)).model_dump(mode="json")
    assert (full["started_at"], full["error"], full["node"]) == (None, None, None)
    assert full["ended_at"] is not None
    assert launches.ask_to_cancel("a").status == "cancelled"


def test_a_launch_succeeds_with_its_node_or_not_at_all(database: Database, launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    launches.begin("a", "server")
    number = launches.start_attempt("a", offer())
    launches.end_attempt("a", number, None)
    assert launches.start_attempt("a", offer()) == number
    launches.ask_to_cancel("a")
    assert not launches.succeed(node("a"))
    assert Nodes(database).of_launch("a") is None
    launches.end("a", "cancelled", "nothing is left")
    launches.add("b", REQUEST, None)
    launches.begin("b", "server")
    assert launches.succeed(node("b"))
    assert not launches.succeed(node("b"))
    full = told.launch_in_full(launches.get("b"), launches, Nodes(database)).model_dump(mode="json")
    assert (full["status"], full["error"]) == ("succeeded", None)
    assert full["ended_at"] is not None
    unknown = {"idle_minutes", "idle_since", "ended_at", "interruption", "replaces"}
    assert {name for name, value in full["node"].items() if value is None} == unknown
    launches.end("b", "failed", "too late", ERROR)
    assert launches.get("b").status == "succeeded"


def test_a_failed_launch_is_read_with_its_error(database: Database, launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    launches.begin("a", "server")
    number = launches.start_attempt("a", offer())
    launches.end_attempt("a", number, ERROR)
    assert launches.start_attempt("a", offer()) == number + 1
    launches.end_attempt("a", number + 1, ERROR)
    launches.end("a", "failed", "m", ERROR)
    full = told.launch_in_full(launches.get("a"), launches, Nodes(database)).model_dump(mode="json")
    assert [attempt["error"]["code"] for attempt in full["attempts"]] == ["x", "x"]
    assert (full["error"], full["node"]) == (ERROR, None)
    assert launches.forget(time.time() + 1, ["a"]) == []
    assert launches.forget(time.time() + 1, []) == ["a"]
    with pytest.raises(UnknownLaunch):
        launches.get("a")
    assert launches.events_of("a", 0) == []


def test_an_attempt_that_can_not_go_on_ends_before_the_next_begins(launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    launches.begin("a", "server")
    launches.start_attempt("a", offer("1"))
    launches.start_attempt("a", offer("2"))
    assert [attempt.state for attempt in launches.attempts_of("a")] == ["failed", "running"]


def test_a_plan_that_was_given_up_keeps_what_was_tried(launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    launches.set_plan("a", [offer("1"), offer("2"), offer("3")])
    launches.skip_attempt("a", offer("1"), "full")
    launches.start_attempt("a", offer("2"))
    launches.end_plan("a")
    assert [one["zone"] for one in launches.get("a").plan] == ["1", "2"]


def test_a_node_is_read_with_and_without_every_empty_column(database: Database, launches: Launches) -> None:
    nodes = Nodes(database)
    for launch_id, changes in (("a", {}), ("b", {"idle_minutes": 30.0, "idle_since": time.time()})):
        launches.add(launch_id, REQUEST, None)
        launches.begin(launch_id, "server")
        assert launches.succeed(node(launch_id, **changes))
    nodes.set_idle("node-of-a", None)
    nodes.set_state("node-of-b", "terminating", "asked for")
    nodes.set_state("node-of-b", "healthy", "answers", unless=["terminating"])
    assert nodes.get("node-of-b").state == "terminating"
    nodes.set_state("node-of-b", "gone", "taken down")
    nodes.set_state("node-of-b", "healthy", "answers")
    assert [one.id for one in nodes.all(gone=False)] == ["node-of-a"]
    assert [one.id for one in nodes.all("gone")] == ["node-of-b"]
    for one in nodes.all():
        shown = told.node_of(one).model_dump(mode="json")
        assert (shown["ended_at"] is None) == (one.state != "gone")
        assert (shown["idle_since"] is None) == (one.id == "node-of-a")
        json.dumps(shown)
    assert told.node_of(nodes.get("node-of-b")).cost_so_far >= 0
    with pytest.raises(UnknownNode):
        nodes.get("missing")


def test_a_token_is_read_before_and_after_it_was_revoked(database: Database) -> None:
    tokens = Tokens(database)
    given = tokens.issue("one", "read")
    found = tokens.find(given)
    assert found is not None
    assert (found.scopes, found.revoked_at) == (("read",), None)
    assert tokens.revoke("one") == 1
    assert tokens.revoke("one") == 0
    assert tokens.find(given) is None
    assert [token.revoked_at is None for token in tokens.all()] == [False]


def test_a_silent_server_is_dead_until_it_is_seen_again(database: Database) -> None:
    one, two = Servers(database, "one"), Servers(database, "two")
    one.heartbeat()
    two.heartbeat()
    assert one.dead(30) == []
    assert one.dead(0) == ["two"]
    two.heartbeat()
    one.forget(["two"], 30)
    assert one.dead(0) == ["two"]
    one.forget(["two"], 0)
    assert one.dead(0) == []


def test_the_same_key_at_the_same_time_gives_one_launch(launches: Launches) -> None:
    together = threading.Barrier(8)

    def add(number: int) -> tuple[str, bool]:
        together.wait()
        return launches.add(f"launch-{number}", REQUEST, "the key")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(add, range(8)))
    assert len({launch_id for launch_id, _ in found}) == 1
    assert [is_new for _, is_new in found].count(True) == 1
    assert len(launches.page(None, 100, None)) == 1


def test_an_id_that_is_taken_is_not_passed_off_as_a_repetition(launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    with pytest.raises(IntegrityError):
        launches.add("a", REQUEST, None)
    with pytest.raises(IntegrityError):
        launches.add("a", REQUEST, "a new key")


def test_a_cancelled_launch_and_its_success_exclude_each_other(database: Database, launches: Launches) -> None:
    nodes = Nodes(database)
    for number in range(12):
        launch_id = f"launch-{number}"
        launches.add(launch_id, REQUEST, None)
        launches.begin(launch_id, "server")
        together = threading.Barrier(2)

        def succeed(launch_id: str = launch_id, together: threading.Barrier = together) -> bool:
            together.wait()
            return launches.succeed(node(launch_id))

        def cancel(launch_id: str = launch_id, together: threading.Barrier = together) -> str:
            together.wait()
            return launches.ask_to_cancel(launch_id).status

        with ThreadPoolExecutor(2) as pool:
            done, status = pool.submit(succeed), pool.submit(cancel)
        assert (done.result(), status.result()) in {(True, "succeeded"), (False, "cancelling")}
        assert (nodes.of_launch(launch_id) is not None) == done.result()


def test_events_of_many_threads_have_ids_that_grow_and_are_all_read(launches: Launches) -> None:
    launches.add("a", REQUEST, None)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: launches.note("a", str(number)), range(40)))
    read: list[Event] = []
    after = 0
    while found := launches.events_of("a", after, limit=7):
        ids = [event.id for event in found]
        assert ids == sorted(set(ids))
        assert ids[0] > after
        after = ids[-1]
        read.extend(found)
    assert len(read) == 41
    assert launches.last_event("a") == after


@settings(max_examples=25, deadline=None)
@given(
    moments=st.lists(st.integers(0, 3), max_size=12),
    size=st.integers(1, 5),
    added=st.lists(st.integers(4, 6), max_size=6),
)
def test_paging_tells_each_launch_once_while_others_are_added(
    tmp_path_factory: pytest.TempPathFactory, moments: list[int], size: int, added: list[int]
) -> None:
    database = Database(sqlite_url(tmp_path_factory.mktemp("paging") / "store.sqlite"))
    tables.METADATA.create_all(database.engine)
    launches = Launches(database)

    def add(number: int, at: int) -> None:
        with database.transaction() as connection:
            connection.execute(
                insert(tables.launches).values({**LAUNCH, "id": f"launch-{number:03}", "created_at": float(at)})
            )

    for number, at in enumerate(moments):
        add(number, at)
    later = iter(enumerate(added, start=len(moments)))
    seen: list[tuple[float, str]] = []
    before: tuple[float, str] | None = None
    while page := launches.page(None, size, before):
        seen.extend((launch.created_at, launch.id) for launch in page)
        before = seen[-1]
        for number, at in later:
            add(number, at)
            break
    there = {(float(at), f"launch-{number:03}") for number, at in enumerate(moments)}
    assert there <= set(seen)
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=True)
    database.close()


def test_a_status_is_paged_alone(launches: Launches) -> None:
    for number in range(6):
        launches.add(f"launch-{number}", REQUEST, None)
    for number in (1, 3):
        launches.ask_to_cancel(f"launch-{number}")
    assert {launch.id for launch in launches.page("cancelled", 10, None)} == {"launch-1", "launch-3"}


def test_sqlite_keeps_foreign_keys_and_gives_no_event_id_twice(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "store.sqlite"))
    database.migrate()
    launches = Launches(database)
    launches.add("a", REQUEST, None)
    launches.ask_to_cancel("a")
    last = launches.last_event("a")
    assert launches.forget(time.time() + 1, []) == ["a"]
    launches.add("b", REQUEST, None)
    assert launches.events_of("b", 0)[0].id > last
    with database.transaction() as connection:
        assert connection.scalar(select(tables.events.c.launch_id).where(tables.events.c.launch_id == "a")) is None
    database.close()
