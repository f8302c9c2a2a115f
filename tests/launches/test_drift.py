"""What was changed behind a stack's back, at emulated clouds, over the real engine."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Finished

from .conftest import MACHINES, NATIVE, PLACES, Site

pytestmark = pytest.mark.engine


def look(site: Site) -> tuple[Finished, list[dict[str, Any]]]:
    found = site.desk.run("drift", "--stack", site.desk.stack, "--json")
    return found, [record for record in found.records if record["type"] == "difference"]


def state(site: Site) -> list[tuple[str, str]]:
    """The stack's files of state with their content."""
    folder = Path(site.desk.environment["LIFTOFF_STATE"]) / "pulumi" / ".pulumi" / "stacks"
    return [(str(path), path.read_text()) for path in sorted(folder.rglob("*.json"))]


def test_what_was_changed_and_what_is_gone_is_told_and_nothing_is_written(site: Site) -> None:
    launched = site.launch(provider="aws", **PLACES["aws"])
    assert launched.code == 0, launched.text
    (machine,) = site.machines("aws")
    before = state(site)

    same, differences = look(site)
    assert (same.code, differences) == (0, []), same.text
    assert same.records[-1]["looked_at"] > 5

    tags = {**machine.tags, "liftoff-project": "another"}
    wrong = {"tags": tags, "userDataBase64": "bm90aGluZw=="}
    site.clouds.truth.change(
        "aws", machine.id, inputs={**machine.inputs, **wrong}, outputs={**machine.outputs, **wrong}, tags=tags
    )
    changed, differences = look(site)
    assert changed.code == 20, changed.text
    (difference,) = differences
    assert (difference["resource"], difference["what"]) == (f"{site.desk.stack}-machine", "changed")
    changes = {change["property"]: (change["state"], change["real"]) for change in difference["changes"]}
    assert changes['tags["liftoff-project"]'] == ("liftoff", "another")
    # User data holds the node's keys: the state marks it as a secret, and so it stays one.
    assert changes["userDataBase64"] == ("[secret]", "[secret]")
    assert "bm90aGluZw" not in changed.text

    site.clouds.truth.remove(NATIVE["aws"], machine.id)
    gone = site.desk.run("drift", "--stack", site.desk.stack)
    assert gone.code == 20, gone.text
    assert f"{site.desk.stack}-machine ({MACHINES['aws']}) is gone" in gone.out
    assert f"liftoff launch --stack {site.desk.stack}" in gone.out
    assert state(site) == before
