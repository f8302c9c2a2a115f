"""A plan of offers in one stack: what is kept for the next attempt, and what is never touched."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from automation import plan as planning
from automation.errors import Kind, Stopped
from automation.launch import LaunchRequest
from automation.offers import Offer
from automation.session import Interrupts
from automation.worker import ENGINE_DIED, WORKER_DIED, Pending, Resource, Result
from provider.status import Stage, Status

from .conftest import FAILED_BOOT, MACHINE, OLD_NETWORK, Engine, Listener, Watcher, event

FULL = (
    "error: creating EC2 Instance: InsufficientInstanceCapacity: We currently do not have sufficient g6.xlarge capacity"
)
SESSION = Resource(
    urn="urn:pulumi:dev::liftoff::liftoff:index:BootSession::dev-session", type="liftoff:index:BootSession"
)


def offer(region: str, zone: str = "") -> Offer:
    return Offer(
        provider="local",
        region=region,
        zone=zone,
        instance_type="local.2x8",
        gpu="none",
        spot=True,
        price=0.1,
        source="test",
        seen=dt.date(2026, 11, 24),
    )


@pytest.fixture(autouse=True)
def _offers_can_be_set(project: Path) -> None:
    declared = json.loads((project / "Pulumi.yaml").read_text())
    for key in ("region", "zone", "instanceType", "spot"):
        declared["config"][f"liftoff:{key}"] = {"default": ""}
    (project / "Pulumi.yaml").write_text(json.dumps(declared))


def test_a_full_disk_where_not_even_a_stack_can_be_made_is_said_so_and_no_other_offer_tried(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    full = "error: could not create stack: no space left on device"
    engine.plays["up"] = ([], Result(ok=False, text=full))
    engine.plays["destroy"] = ([], Result(ok=False, error="StackNotFoundError", text="no stack"))
    plan = [offer("r1", "a"), offer("r2", "a")]
    ended = planning.launch(LaunchRequest(project, "dev"), plan, Listener(), Interrupts(), record)
    assert [attempt.failure and attempt.failure.code for attempt in ended.attempts] == ["disk_full"]


def test_an_update_whose_listener_fails_is_ended_and_does_not_run_on_unheard(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False))

    class Away(Listener):
        def status(self, status: Status, elapsed: float) -> None:
            if status.stage is not Stage.VALIDATE:
                raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError):
        planning.launch(LaunchRequest(project, "dev"), [offer("r1", "a")], Away(), Interrupts(), record)
    assert "abandon" in engine.commands


def test_a_launch_waits_for_room_on_a_full_disk_with_the_offer_that_it_has(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    engine.plays["up"] = ([], Result(ok=False, text="error: unexpected end of JSON input"))
    goes_on = replace(record, goes_on=True)
    with pytest.raises(planning.Died) as died:
        planning.launch(LaunchRequest(project, "dev"), [offer("r1", "a")], Listener(), Interrupts(), goes_on)
    assert died.value.failure.code == "state_unreadable"


def test_a_launch_waits_for_room_on_a_full_disk_before_it_goes_on_with_what_another_process_began(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    engine.plays["resources"] = ([], Result(ok=True, pending=(Pending(urn=MACHINE.urn),)))
    engine.plays["forget"] = ([], Result(ok=False, text="error: could not import deployment: no space left on device"))
    begun = replace(record, begun=True, again=True)
    goes_on = replace(begun, goes_on=True)
    with pytest.raises(planning.Died) as died:
        planning.launch(LaunchRequest(project, "dev"), [offer("r1")], Listener(), Interrupts(), goes_on)
    assert died.value.failure.code == "disk_full"
    # Whoever does not go on is told why.
    with pytest.raises(Stopped, match=r"can't be cleared of dev-machine: .*no space left") as stopped:
        planning.launch(LaunchRequest(project, "dev"), [offer("r1")], Listener(), Interrupts(), begun)
    assert stopped.value.code == "disk_full"


@pytest.mark.parametrize("has", [True, False])
def test_a_machine_that_no_state_knows_is_known_to_be_gone_once_it_was_looked_for(
    engine: Engine, project: Path, record: planning.Record, has: bool
) -> None:
    engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,) if has else ()))
    cleared: list[str] = []

    class Keeps(Watcher):
        def cleared(self) -> None:
            cleared.append(engine.asked[-1])

    begun = replace(record, watcher=Keeps(), begun=True, again=True, asked=True)
    planning.launch(LaunchRequest(project, "dev"), [offer("r1")], Listener(), Interrupts(), begun)
    assert engine.asked == ["resources", "up"]
    assert cleared == ([] if has else ["resources"])


@pytest.mark.parametrize(("error", "code"), [(ENGINE_DIED, "engine_died"), (WORKER_DIED, "worker_died")])
def test_an_attempt_whose_process_was_killed_is_left_to_whoever_goes_on_with_it(
    engine: Engine, project: Path, record: planning.Record, error: str, code: str
) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False, error=error, text="killed"))
    goes_on = replace(record, goes_on=True)
    with pytest.raises(planning.Died) as died:
        planning.launch(LaunchRequest(project, "dev"), [offer("r1", "a")], Listener(), Interrupts(), goes_on)
    assert died.value.failure.code == code
    assert engine.asked == ["resources", "up"]
    # Whoever does not go on is told why, and nothing is left.
    ended = planning.launch(LaunchRequest(project, "dev"), [offer("r1", "a")], Listener(), Interrupts(), record)
    assert ended.result is not None
    assert ended.result.failure is not None
    assert ended.result.failure.code == code
    assert engine.asked[-1] == "destroy"


def test_a_machine_and_its_session_go_and_the_network_stays_for_the_same_region(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False, text="update failed"))
    engine.then["up"] = [([], Result(ok=True, outputs={"endpoint": "https://h"}))]
    listener = Listener()
    plan = [offer("r1", "a"), offer("r1", "b")]
    ended = planning.launch(LaunchRequest(project, "dev"), plan, listener, Interrupts(), record)
    assert ended.ok
    assert engine.asked == ["resources", "up", "destroy", "up"]
    assert engine.requests[2].only_types >= {SESSION.type, MACHINE.type, "aws:ec2/instance:Instance"}
    assert OLD_NETWORK.type not in engine.requests[2].only_types
    assert engine.requests[3].config["liftoff:zone"] == "b"
    assert any("next: local.2x8" in note for note in listener.notes)


def test_everything_goes_before_another_region_is_tried(engine: Engine, project: Path, record: planning.Record) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False, text="update failed"))
    engine.then["up"] = [([], Result(ok=True, outputs={"endpoint": "https://h"}))]
    ended = planning.launch(LaunchRequest(project, "dev"), [offer("r1"), offer("r2")], Listener(), Interrupts(), record)
    assert ended.ok
    assert engine.asked == ["resources", "up", "destroy", "up"]
    assert engine.requests[2].only_types == frozenset()


def test_a_machine_that_was_refused_leaves_nothing_to_clear_and_the_next_process_is_there_already(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    asking = event("pre", "LocalMachine", op="create")
    refused = event("diagnostic", "LocalMachine", message=FULL, severity="error")
    engine.plays["up"] = ([asking, refused], Result(ok=False, text="update failed"))
    engine.then["up"] = [([asking], Result(ok=True, outputs={"endpoint": "https://h"}))]
    plan = [offer("r1", "a"), offer("r1", "b"), offer("r1", "c")]
    ended = planning.launch(LaunchRequest(project, "dev"), plan, Listener(), Interrupts(), record)
    assert ended.ok
    assert engine.asked == ["resources", "up", "up"]
    # The process that looked whether the stack is empty brings it up, too.
    assert engine.started == [(), ("components.local",), ("components.local",)]
    assert engine.commands == ["dismiss"]


def test_a_stack_that_has_a_node_is_not_used_for_a_plan(engine: Engine, project: Path, record: planning.Record) -> None:
    engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))
    with pytest.raises(Stopped, match="has 1 resources") as caught:
        planning.launch(LaunchRequest(project, "dev"), [offer("r1")], Listener(), Interrupts(), record)
    assert caught.value.kind is Kind.CONFIGURATION
    assert engine.asked == ["resources"]


def test_a_plan_without_offers_asks_nobody(engine: Engine, project: Path, record: planning.Record) -> None:
    with pytest.raises(Stopped, match="no offer fits"):
        planning.launch(LaunchRequest(project, "dev"), [], Listener(), Interrupts(), record)
    assert engine.asked == []
