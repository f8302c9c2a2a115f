"""`liftoff preview` and `launch --expect-digest` by the real engine, on a change in a repository."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provider.storage import Storage
from tests.clouds.fixtures import Clouds, clouds
from tests.e2e.conftest import ROOT, Finished
from tests.launches.conftest import PLACES, Site, last, site_of
from tests.session.conftest import storage, weights

__all__ = ["clouds", "storage", "weights"]

pytestmark = pytest.mark.engine
_PROGRAM = ("Pulumi.yaml", "__main__.py", "components", "provider", "cloud-init", "images")


@dataclass(frozen=True)
class Repository:
    """A copy of the project under version control, with the stack's file in it."""

    folder: Path
    site: Site

    @property
    def file(self) -> Path:
        return self.folder / f"Pulumi.{self.site.desk.stack}.yaml"

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        done = subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout

    def commit(self, message: str, **changes: Any) -> None:
        """Commit the stack's file with these settings changed."""
        document = yaml.safe_load(self.file.read_text())
        document["config"].update({f"liftoff:{key}": value for key, value in changes.items()})
        self.file.write_text(yaml.safe_dump(document))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def preview(self, *arguments: str) -> Finished:
        return self._run("preview", *arguments)

    def launch(self, *arguments: str) -> Finished:
        return self._run("launch", "--yes", "--json", *arguments)

    def _run(self, command: str, *arguments: str) -> Finished:
        desk = self.site.desk
        return desk.run(command, "--project", str(self.folder), "--stack", desk.stack, *arguments)


@pytest.fixture
def site(tmp_path: Path, clouds: Clouds, storage: Storage, weights: str) -> Iterator[Site]:
    yield from site_of(tmp_path, clouds, storage, weights)


@pytest.fixture
def repository(site: Site, tmp_path: Path) -> Repository:
    folder = tmp_path / "repository"
    folder.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z", *_PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / ".gitignore").write_text(".venv\n__pycache__\n")
    made = Repository(folder, site)
    made.file.write_text((ROOT / made.file.name).read_text())
    made.git("init", "--quiet")
    settings = {key: value for key, value in site.config.items() if "[" not in key and ":" not in key}
    made.commit(
        "A node at AWS", **settings, **PLACES["aws"], provider="aws", allowedCidrs=["203.0.113.7/32"], spot="true"
    )
    return made


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
