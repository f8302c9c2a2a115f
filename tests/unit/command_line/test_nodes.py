"""`liftoff nodes`, `destroy JOB` and `sweep`."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from automation import outputs, takedown
from automation.errors import Kind, LaunchFailure, Stopped
from automation.takedown import DestroyResult
from provider.status import Stage

from .conftest import Run
from .workplace import MODEL, Workplace, error

KEY = "sk-liftoff-of-the-node"


@pytest.fixture
def job(workplace: Workplace) -> str:
    """A launch that has its node."""
    made = workplace.ask()
    workplace.begin(made)
    workplace.succeed(made)
    return made


@pytest.fixture
def _key(workplace: Workplace, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the launch's stack tell its key."""
    workplace.template.folder_of(job).mkdir(parents=True)

    def read(project: Path, stack: str, name: str | None = None, *, show_secrets: bool) -> dict[str, Any]:
        assert project.name == stack
        return {"endpoint": "https://203.0.113.7", "apiKey": KEY if show_secrets else "[secret]"}

    monkeypatch.setattr(outputs, "read", read)


class Cloud:
    """Stands for the engine's destroy: what it was asked for, and how it ends."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left: tuple[str, ...] = ()
        self.failure: LaunchFailure | None = None
        self.stops: Stopped | None = None

    def destroy(self, project: Path, stack: str, *_: Any, remove: bool) -> DestroyResult:
        assert project.name == stack
        assert remove
        self.asked.append(stack)
        if self.stops is not None:
            raise self.stops
        return DestroyResult(stack, 1.0, ("machine",), self.left, self.failure)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr(takedown, "destroy", made.destroy)
    return made


def test_nodes_are_listed_with_price_cost_health_and_end(workplace: Workplace, either: Run, job: str) -> None:
    node = workplace.nodes.of_launch(job)
    assert node is not None
    done = either("nodes")
    assert done.code == 0, done.text
    for text in (node.id, MODEL, "azure eastus", "0.500", "0.50", "healthy", "https://203.0.113.7", "in all"):
        assert text in done.out
    (told,) = either("nodes", "--json").records
    assert (told["type"], told["id"], told["price_per_hour"]) == ("node", node.id, 0.5)


def test_the_time_without_an_endpoint_is_told_of_the_node_that_went_and_of_the_one_that_came(
    workplace: Workplace, either: Run, job: str
) -> None:
    old = workplace.nodes.of_launch(job)
    assert old is not None
    again = workplace.ask()
    workplace.nodes.interrupt(old.id, "interrupted", time.time() - 3634, "its cloud takes it back (terminate)")
    workplace.nodes.set_relaunch(old.id, again, None)
    told = " ".join(either("nodes", "--state", "interrupted", COLUMNS="500").out.split())
    assert "interrupted: its cloud takes it back (terminate) (60 min 3" in told
    assert f"s without an endpoint, and on; {again} is to bring one)" in told
    workplace.begin(again)
    workplace.succeed(again)
    told = " ".join(either("nodes", COLUMNS="500").out.split())
    assert f"in place of {old.id[:8]}; 3" in told
    assert f"s without an endpoint, until {again})" in told


def test_nodes_that_have_gone_are_listed_when_asked_for(workplace: Workplace, either: Run, job: str) -> None:
    node = workplace.nodes.of_launch(job)
    assert node is not None
    workplace.nodes.set_state(node.id, "gone", "taken down")
    assert either("nodes").out == "No nodes.\n"
    assert node.id in either("nodes", "--all").out
    assert node.id in either("nodes", "--state", "gone").out
    assert either("nodes", "--state", "healthy").out == "No nodes.\n"


@pytest.mark.usefixtures("_key")
def test_the_key_goes_to_curl_and_into_no_command(workplace: Workplace, either: Run, job: str) -> None:
    shown = either("nodes", "access", job)
    assert KEY not in shown.out
    assert "--curl | curl --config - https://203.0.113.7/v1/completions" in shown.out
    config = either("nodes", "access", job, "--curl").out
    assert f'header = "Authorization: Bearer {KEY}"' in config
    (certificate,) = (line.split('"')[1] for line in config.splitlines() if line.startswith("cacert"))
    assert Path(certificate).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert Path(certificate).is_relative_to(os.environ["LIFTOFF_STATE"])


@pytest.mark.usefixtures("_key")
def test_programs_get_the_key_only_when_they_ask_for_it(either: Run, job: str) -> None:
    (told,) = either("nodes", "access", job, "--json").records
    assert (told["type"], told["api_key"], told["model"]) == ("access", "[secret]", MODEL)
    (told,) = either("nodes", "access", job, "--json", "--show-secrets").records
    assert told["api_key"] == KEY


@pytest.mark.usefixtures("_key")
def test_a_node_is_named_by_the_beginning_of_its_id(workplace: Workplace, either: Run, job: str) -> None:
    node = workplace.nodes.of_launch(job)
    assert node is not None
    assert either("nodes", "access", node.id[:6]).code == 0
    for wrong in ("zzzz", node.id[:2]):
        done = either("nodes", "access", wrong)
        assert done.code == 13
        assert "node_unknown" in done.err
    workplace.nodes.set_state(node.id, "gone", "taken down")
    assert "node_gone" in either("nodes", "access", node.id).err


def test_a_server_takes_a_launch_down_and_it_is_looked_that_it_is_gone(
    workplace: Workplace, remote: Run, job: str
) -> None:
    workplace.template.folder_of(job).mkdir(parents=True)

    def take_down(launch_id: str) -> None:
        node = workplace.nodes.of_launch(launch_id)
        assert node is not None
        assert node.state == "terminating"
        workplace.template.forget(launch_id)
        workplace.nodes.set_state(node.id, "gone", "taken down")

    workplace.queue.takes_down = take_down
    *_, told = remote("destroy", job, "--json").records
    assert (told["operation"], told["ok"], told["stack"]) == ("destroy", True, job)
    again = remote("destroy", job)
    assert again.code == 0
    assert "is gone" in again.out


def test_a_server_that_cant_take_a_launch_down_says_why(workplace: Workplace, remote: Run, job: str) -> None:
    workplace.template.folder_of(job).mkdir(parents=True)

    def take_down(launch_id: str) -> None:
        node = workplace.nodes.of_launch(launch_id)
        assert node is not None
        workplace.nodes.set_state(node.id, "terminating", "could not be taken down: machine")

    workplace.queue.takes_down = take_down
    done = remote("destroy", job)
    assert done.code == 1
    assert "could not be taken down: machine" in done.out


def test_a_launch_is_taken_down_on_its_servers_host_without_the_server(
    workplace: Workplace, own: Run, job: str, cloud: Cloud
) -> None:
    folder = workplace.template.folder_of(job)
    folder.mkdir(parents=True)
    done = own("destroy", job, "--yes")
    assert done.code == 0, done.text
    assert cloud.asked == [job]
    assert not folder.exists()
    node = workplace.nodes.of_launch(job)
    assert node is not None
    assert node.state == "gone"


def test_a_launch_that_has_not_ended_is_left_to_its_server(workplace: Workplace, own: Run, cloud: Cloud) -> None:
    running = workplace.ask()
    workplace.begin(running)
    done = own("destroy", running)
    assert done.code == 0
    assert "a running `liftoff serve` carries it out" in done.out
    assert cloud.asked == []
    assert workplace.launches.get(running).status == "cancelling"


def test_what_is_left_of_a_node_is_told_and_kept_in_mind(
    workplace: Workplace, own: Run, job: str, cloud: Cloud
) -> None:
    folder = workplace.template.folder_of(job)
    folder.mkdir(parents=True)
    cloud.left = ("dev-machine",)
    done = own("destroy", job)
    assert done.code == 1
    assert f"try again: liftoff destroy {job}" in done.err
    assert folder.exists()
    node = workplace.nodes.of_launch(job)
    assert node is not None
    assert (node.state, node.state_reason) == ("terminating", "could not be taken down: dev-machine")


@pytest.fixture
def left(workplace: Workplace, job: str) -> str:
    """A launch that failed and left its folder, beside one with a node, one that runs, and somebody else's."""
    failed, running = workplace.ask(), workplace.ask()
    for launch_id in (failed, running):
        workplace.begin(launch_id)
    workplace.tell(running, Stage.REQUEST)
    workplace.fail(failed, error("boot", "serve_failed"))
    for name in (job, failed, running, "launch-of-another-database"):
        workplace.template.folder_of(name).mkdir(parents=True)
    return failed


def test_a_sweep_deletes_what_ended_launches_left_and_nothing_else(
    workplace: Workplace, own: Run, left: str, cloud: Cloud
) -> None:
    done = own("sweep")
    assert cloud.asked == [left]
    assert left not in workplace.template.kept()
    assert "launch-of-another-database: its folder is here, and this database does not know it" in done.out
    assert "2 left behind, 1 deleted" in done.out
    assert done.code == 1


def test_a_dry_run_deletes_nothing(workplace: Workplace, own: Run, left: str, cloud: Cloud) -> None:
    done = own("sweep", "--dry-run", "--json")
    assert (done.code, cloud.asked) == (0, [])
    *leftovers, result = done.records
    assert {(told["name"], told["known"]) for told in leftovers} == {
        (left, True),
        ("launch-of-another-database", False),
    }
    assert (result["operation"], result["found"], result["deleted"], result["dry_run"]) == ("sweep", 2, 0, True)


def test_a_stack_that_a_server_works_on_does_not_stop_the_sweep(own: Run, left: str, cloud: Cloud) -> None:
    cloud.stops = Stopped(Kind.CONFIGURATION, "stack_locked", "the server holds it", "wait")
    done = own("sweep")
    assert done.code == 1
    assert f"{left}: the server holds it; wait" in done.out


def test_nothing_left_is_told_so(own: Run, workplace: Workplace) -> None:
    assert own("sweep").out == "Nothing is left.\n"
