"""Take-downs that could not be finished: nobody forgets them, and a state that was cut off does not stop them."""

from pathlib import Path
from typing import Any

import pytest

from automation import state_files, takedown
from automation.takedown import DestroyResult
from control_plane.services import Services
from tests.unit.automation.test_state_files import state as whole
from tests.unit.control_plane.story import Story


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What each take-down leaves, in turn; after the last, nothing."""
    leaves: list[tuple[str, ...]] = []

    def destroy(project: Path, stack: str, *_: Any, **__: Any) -> DestroyResult:
        return DestroyResult(stack, 0.1, left=leaves.pop(0) if leaves else ())

    monkeypatch.setattr(takedown, "destroy", destroy)
    return leaves


def test_a_node_that_could_not_be_taken_down_is_terminating_until_it_is_gone(
    services: Services, story: Story, left: list[tuple[str, ...]]
) -> None:
    launch_id = story.succeeded()
    services.template.prepare(launch_id)
    services.launches.machines.asked(launch_id, 1, 1.0)
    left.append(("machine",))
    services.conductor.take_down(launch_id)
    node = services.nodes.of_launch(launch_id)
    assert node is not None
    assert (node.state, node.state_reason) == ("terminating", "could not be taken down: machine: the engine kept them")
    assert services.launches.machines.of_launches([launch_id])[launch_id][0].ended_at is None
    services.conductor.take_down(launch_id)
    node = services.nodes.of_launch(launch_id)
    assert node is not None
    assert node.state == "gone"
    assert services.launches.machines.of_launches([launch_id])[launch_id][0].ended_at is not None
    assert not services.template.folder_of(launch_id).exists()


def test_a_state_that_was_cut_off_is_taken_from_its_copy_and_its_copies_go_with_it(
    services: Services, story: Story, state: Path, left: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(state / "home"))
    launch_id = story.failed()
    services.template.prepare(launch_id)
    path = state / "pulumi" / state_files.state_name("liftoff", launch_id)
    path.parent.mkdir(parents=True)
    path.write_text(whole(9)[:30])
    copy = path.with_name(f"{path.name}.bak")
    copy.write_text(whole(8))
    left.append(("machine",))
    services.conductor.take_down(launch_id)
    assert path.read_text() == whole(8)
    notes = [event.data["text"] for event in services.launches.events_of(launch_id, 0) if event.kind == "note"]
    assert "The state could not be read" in notes[-1]
    services.conductor.take_down(launch_id)
    assert not copy.exists()


def test_a_state_without_a_whole_copy_is_put_away_so_that_its_stack_can_begin_anew(
    services: Services, story: Story, state: Path, left: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(state / "home"))
    launch_id = story.failed()
    services.template.prepare(launch_id)
    path = state / "pulumi" / state_files.state_name("liftoff", launch_id)
    path.parent.mkdir(parents=True)
    path.write_text("")
    services.conductor.take_down(launch_id)
    assert not path.exists()
    assert list(path.parent.glob("*.broken-*"))
