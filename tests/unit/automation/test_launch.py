import json
from pathlib import Path
from typing import Any

import pytest

from automation import launch as launching
from automation import takedown
from automation.errors import Kind, Stopped
from automation.launch import LaunchRequest, LaunchResult
from automation.session import Interrupts
from automation.worker import Pending, Result
from provider.status import Stage, Status

from .conftest import FAILED_BOOT, MACHINE, OLD_NETWORK, Engine, Listener, event


def launch(
    project: Path, listener: Listener | None = None, interrupts: Interrupts | None = None, **more: Any
) -> LaunchResult:
    return launching.launch(LaunchRequest(project, "dev", **more), listener or Listener(), interrupts or Interrupts())


def test_a_launch_that_goes_well_is_registered(engine: Engine, project: Path) -> None:
    listener = Listener()
    result = launch(project, listener)
    assert (result.failure, result.cleanup) == (None, None)
    assert listener.statuses[0] == Status(10, Stage.VALIDATE)
    assert listener.statuses[-1] == Status(100, Stage.REGISTER, "https://h")
    assert engine.asked == ["up"]


def test_a_boot_that_failed_is_told_with_the_nodes_last_words_and_taken_down(engine: Engine, project: Path) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False, error="CommandError", text="error: update failed"))
    engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))
    engine.plays["destroy"] = ([event("outputs", "LocalMachine", op="delete")], Result(ok=True))
    result = launch(project)
    assert engine.asked == ["up", "resources", "destroy"]
    assert result.failure is not None
    assert (result.failure.kind, result.failure.code) == (Kind.BOOT, "serve_failed")
    assert (result.failure.stage, result.failure.resource) == (Stage.SERVE, "dev-readiness")
    assert result.failure.log == ("last", "words")
    assert result.cleanup is not None
    assert (result.cleanup.outcome, result.cleanup.resources) == ("removed", ("dev-machine",))


def test_what_was_there_before_a_failed_launch_stays(engine: Engine, project: Path) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False))
    engine.plays["resources"] = ([], Result(ok=True, resources=(OLD_NETWORK, MACHINE)))
    result = launch(project)
    assert engine.asked == ["up", "resources"]
    assert result.cleanup is not None
    assert result.cleanup.outcome == "kept"
    assert "dev-network" in result.cleanup.reason
    assert result.cleanup.command == "liftoff destroy --stack dev"


def test_keep_keeps(engine: Engine, project: Path) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False))
    engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))
    result = launch(project, keep=True)
    assert engine.asked == ["up", "resources"]
    assert result.cleanup is not None
    assert result.cleanup.outcome == "kept"


def test_what_could_not_be_taken_down_is_named_with_the_command(engine: Engine, project: Path) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False))
    engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))
    engine.plays["destroy"] = ([], Result(ok=False, text="error: no", resources=(MACHINE,)))
    result = launch(project)
    assert result.cleanup is not None
    assert (result.cleanup.outcome, result.cleanup.resources) == ("left", ("dev-machine",))
    assert result.cleanup.command == "liftoff destroy --stack dev"


def test_a_creation_whose_end_was_never_seen_is_settled_before_the_rest_goes(engine: Engine, project: Path) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False))
    engine.plays["resources"] = ([], Result(ok=True, pending=(Pending(urn=MACHINE.urn),)))
    result = launch(project)
    assert result.cleanup is not None
    assert (result.cleanup.outcome, result.cleanup.resources) == ("removed", ("dev-machine",))
    assert engine.asked == ["up", "resources", "forget", "destroy"]


def test_a_creation_that_cant_be_settled_is_not_called_gone(engine: Engine, project: Path) -> None:
    engine.plays["up"] = (FAILED_BOOT, Result(ok=False))
    engine.plays["resources"] = ([], Result(ok=True, pending=(Pending(urn=MACHINE.urn),)))
    engine.plays["forget"] = ([], Result(ok=False, text="no space left on device"))
    result = launch(project)
    assert result.cleanup is not None
    assert (result.cleanup.outcome, result.cleanup.resources) == ("left", ("dev-machine",))
    assert "no space left on device" in result.cleanup.reason


def test_a_launch_that_failed_before_anything_was_made_leaves_nothing(engine: Engine, project: Path) -> None:
    engine.plays["up"] = ([], Result(ok=False, text="error: incorrect passphrase"))
    result = launch(project)
    assert result.failure is not None
    assert result.failure.kind is Kind.CREDENTIALS
    assert result.cleanup is not None
    assert result.cleanup.outcome == "nothing"


def test_the_first_interrupt_cancels_and_takes_down(engine: Engine, project: Path) -> None:
    interrupts = Interrupts()
    engine.plays["up"] = ([], Result(ok=False, cancelled="user"))
    engine.plays["resources"] = ([], Result(ok=True, resources=(MACHINE,)))
    engine.during["up"] = interrupts.press
    result = launch(project, interrupts=interrupts)
    assert engine.commands == ["cancel"]
    assert engine.asked == ["up", "resources", "destroy"]
    assert result.failure is not None
    assert result.failure.kind is Kind.CANCELLED


def test_the_second_interrupt_ends_at_once_and_says_what_may_be_left(engine: Engine, project: Path) -> None:
    interrupts = Interrupts()
    engine.plays["up"] = ([], Result(ok=False, cancelled="user"))

    def press_twice() -> None:
        interrupts.press()
        interrupts.press()

    engine.during["up"] = press_twice
    result = launch(project, interrupts=interrupts)
    assert engine.commands == ["cancel", "kill"]
    assert engine.asked == ["up"]
    assert result.cleanup is not None
    assert (result.cleanup.outcome, result.cleanup.command) == ("left", "liftoff destroy --stack dev")


def test_an_interrupt_before_the_update_cancels_it(engine: Engine, project: Path) -> None:
    interrupts = Interrupts()
    interrupts.press()
    engine.plays["up"] = ([], Result(ok=False, cancelled="user"))
    launch(project, interrupts=interrupts)
    assert engine.commands == ["cancel", "dismiss"]


def test_an_update_that_never_ends_is_no_boot_failure_before_the_boot(engine: Engine, project: Path) -> None:
    asked = [event("pre", "LocalMachine", op="create")]
    engine.plays["up"] = (asked, Result(ok=False, cancelled="time_limit", seconds=1500, text="error: canceled"))
    result = launch(project)
    assert result.failure is not None
    assert (result.failure.kind, result.failure.code) == (Kind.CAPACITY, "time_limit")
    assert "1500 s" in result.failure.message


def test_settings_that_can_not_be_used_stop_before_the_engine(engine: Engine, project: Path) -> None:
    with pytest.raises(Stopped, match="memoryMiB: given '12'") as caught:
        launch(project, config={"memoryMiB": "12"})
    assert caught.value.kind is Kind.CONFIGURATION
    assert engine.asked == []


def test_what_is_kept_on_disk_has_every_event_and_no_key(engine: Engine, project: Path) -> None:
    told = event(
        "diagnostic", "Readiness", message="curl -H 'Authorization: Bearer sk-liftoff-abc123'", severity="info"
    )
    engine.plays["up"] = ([told], Result(ok=True))
    result = launch(project)
    assert result.events_file is not None
    assert result.events_file.stat().st_mode & 0o077 == 0
    lines = [json.loads(line) for line in result.events_file.read_text().splitlines()]
    assert [next(iter(line)) for line in lines] == ["request", "event", "result"]
    assert "abc123" not in result.events_file.read_text()


def test_destroy_says_what_it_deleted(engine: Engine, project: Path) -> None:
    gone = [event("pre", "LocalMachine", op="delete"), event("outputs", "LocalMachine", op="delete")]
    engine.plays["destroy"] = (gone, Result(ok=True))
    listener = Listener()
    result = takedown.destroy(project, "dev", listener, Interrupts())
    assert (result.deleted, result.left, result.failure) == (("dev-machine",), (), None)
    assert listener.notes == ["Deleting dev-machine"]


def test_destroying_a_stack_that_is_not_there_says_so(engine: Engine, project: Path) -> None:
    engine.plays["destroy"] = ([], Result(ok=False, error="StackNotFoundError", text="no stack"))
    with pytest.raises(Stopped, match="no stack 'dev'"):
        takedown.destroy(project, "dev", Listener(), Interrupts())
