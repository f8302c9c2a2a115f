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

    (network,) = site.clouds.truth.find(NATIVE["aws"], "aws:ec2/vpc:Vpc")
    tags = {**network.tags, "liftoff-project": "another"}
    changed = {"inputs": {**network.inputs, "tags": tags}, "outputs": {**network.outputs, "tags": tags}}
    site.clouds.truth.change(NATIVE["aws"], network.id, tags=tags, **changed)
    site.clouds.truth.remove(NATIVE["aws"], machine.id)
    found, differences = look(site)
    assert found.code == 20, found.text
    by_name = {difference.pop("resource").removeprefix(f"{site.desk.stack}-"): difference for difference in differences}
    tag = {"property": 'tags["liftoff-project"]', "state": "liftoff", "real": "another"}
    assert by_name == {
        "machine": {"type": "difference", "of": MACHINES["aws"], "what": "gone", "changes": []},
        "network": {"type": "difference", "of": "aws:ec2/vpc:Vpc", "what": "changed", "changes": [tag]},
    }
    assert state(site) == before
