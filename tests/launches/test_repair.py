"""`liftoff repair`, over the real engine: a state that was cut off comes back, and nothing is made twice."""

from pathlib import Path

import pytest

from automation import state_files

from .conftest import PLACES, Site, last

pytestmark = pytest.mark.engine


def state_of(site: Site) -> Path:
    root = Path(site.desk.environment["LIFTOFF_STATE"]) / "pulumi"
    return root / state_files.state_name("liftoff", site.desk.stack)


def test_a_state_that_was_cut_off_comes_back_from_its_last_copy_and_can_be_destroyed(site: Site) -> None:
    launched = site.launch(provider="aws", **PLACES["aws"])
    assert launched.code == 0, launched.text
    path = state_of(site)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    stack = ("--stack", site.desk.stack)
    assert site.desk.run("destroy", *stack, "--yes").code != 0
    assert len(site.machines("aws")) == 1

    repaired = site.desk.run("repair", *stack, "--json")
    assert repaired.code == 0, repaired.text
    told = last(repaired, "result")
    assert told["copy"].endswith((".json.bak", ".json"))
    assert (told["ok"], told["unknown"], told["deleted"]) == (True, [], [])
    assert told["resources"] > 5
    assert state_files.is_whole(path.read_text())
    (broken,) = path.parent.glob("*.broken-*")
    assert broken.read_text() == whole[: len(whole) // 2]

    again = site.desk.run("repair", *stack)
    assert "The state can be read." in again.out, again.text
    done = site.desk.run("destroy", *stack, "--yes")
    assert done.code == 0, done.text
    assert site.clouds.truth.find() == []


def test_a_machine_that_the_copy_does_not_know_is_told_and_deleted_only_where_that_is_asked_for(site: Site) -> None:
    launched = site.launch(provider="gcp", **PLACES["gcp"])
    assert launched.code == 0, launched.text
    (machine,) = site.machines("gcp")
    stack = ("--stack", site.desk.stack)
    # As if the machine's own checkpoint had never been written.
    gone = site.desk.pulumi("state", "delete", *stack, "--yes", "--target-dependents", _urn(site))
    assert gone.code == 0, gone.text
    told = last(site.desk.run("repair", *stack, "--json"), "result")
    assert (told["ok"], told["unknown"], told["deleted"]) == (False, [machine.id], [])
    assert len(site.machines("gcp")) == 1
    told = last(site.desk.run("repair", *stack, "--delete-unknown", "--json"), "result")
    assert (told["ok"], told["deleted"]) == (True, [machine.id])
    assert site.machines("gcp") == []


def _urn(site: Site) -> str:
    (machine,) = site.machines("gcp")
    return str(machine.urn)
