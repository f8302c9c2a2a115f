"""`liftoff preview` and `launch --expect-digest` by the real engine, on a change in a repository."""

import json
from pathlib import Path

import pytest

from provider.storage import Storage
from tests.launches.conftest import Site, last

from .repository import Repository, clouds, repository, site, storage, weights

__all__ = ["clouds", "repository", "site", "storage", "weights"]

pytestmark = pytest.mark.engine


def test_a_reviewed_change_is_launched_and_another_one_is_refused(
    repository: Repository, site: Site, storage: Storage, tmp_path: Path
) -> None:
    first, comment, sarif = tmp_path / "first.json", tmp_path / "comment.md", tmp_path / "found.sarif"
    shown: list[str] = []

    created = repository.preview("--format", "json", "--digest", str(first))
    assert created.code == 0, created.text
    (of_stack,) = json.loads(created.out)["stacks"]
    assert {step["action"] for step in of_stack["steps"]} == {"create"}
    assert of_stack["digest"] == json.loads(first.read_text())["stacks"][site.desk.stack]["sha256"]
    shown += [created.text, first.read_text()]
    assert site.clouds.truth.find() == []
    assert repository.git("status", "--porcelain") == ""

    launched = repository.launch("--expect-digest", str(first))
    assert launched.code == 0, launched.text
    (machine,) = site.machines("aws")

    repository.commit("A larger GPU", instanceType="g6e.2xlarge")
    second = tmp_path / "second.json"
    replaced = repository.preview("--format", "markdown", "--out", str(comment), "--digest", str(second))
    assert replaced.code == 0, replaced.text
    text = comment.read_text()
    assert "Downtime" in text
    assert "instanceType: &quot;g6.2xlarge&quot; → &quot;g6e.2xlarge&quot;" in text
    shown += [text, second.read_text()]

    (repository.folder / "policy.yaml").write_text("allowedTypes: [g6.*]\n")
    scanned = repository.preview("--format", "sarif", "--out", str(sarif))
    told = repository.preview()
    assert (scanned.code, told.code) == (16, 16), told.text
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    line = next(index for index, row in enumerate(repository.file.read_text().splitlines(), 1) if "instanceType" in row)
    assert [
        one["locations"][0]["physicalLocation"]["region"]["startLine"]
        for one in results
        if one["ruleId"] == "allowed-types"
    ] == [line]
    shown += [sarif.read_text(), told.text]

    forbidden = repository.launch()
    assert (forbidden.code, last(forbidden, "error")["kind"]) == (16, "policy"), forbidden.text
    (repository.folder / "policy.yaml").unlink()
    changed = repository.launch("--expect-digest", str(first))
    assert (changed.code, last(changed, "error")["code"]) == (17, "steps_changed"), changed.text
    assert f"{site.desk.stack}-machine" in last(changed, "error")["message"]
    shown += [forbidden.text, changed.text]
    assert [one.id for one in site.machines("aws")] == [machine.id]

    for secret in (storage.secret_access_key, storage.access_key_id):
        assert [text for text in shown if secret in text] == []


def test_a_preview_that_fails_says_why_in_the_comment_and_leaves_no_stack(
    repository: Repository, site: Site, tmp_path: Path
) -> None:
    repository.commit("A type that nobody sells", instanceType="g6.enormous")
    comment = tmp_path / "comment.md"
    failed = repository.preview("--format", "markdown", "--out", str(comment))
    assert failed.code == 13, failed.text
    assert "the preview failed" in comment.read_text()
    assert "g6.enormous" in comment.read_text()

    (repository.folder / "Pulumi.other.yaml").write_text(
        "config:\n  liftoff:provider: local\n  liftoff:model: tiny-llama\n  liftoff:weights: s3://liftoff/models/tiny\n"
    )
    options = ("--project", str(repository.folder), "--stack", "other")
    new = site.desk.run("preview", *options, "--format", "json")
    assert new.code == 0, new.text
    assert [step["action"] for step in json.loads(new.out)["stacks"][0]["steps"]] == ["create"] * 6
    assert '"other"' not in site.desk.pulumi("stack", "ls", "--json").out
