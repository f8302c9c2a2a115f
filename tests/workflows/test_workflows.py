"""The workflows hold what docs/ci.md says: pinned actions, least permissions, nothing for forks, no lasting keys."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .linters import ROOT, ZIZMOR, actionlint

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
ACTION = ROOT / ".github" / "actions" / "liftoff" / "action.yml"
TEAM = ROOT / "examples" / "team"
USES = re.compile(r"^\s*(?:- )?uses: (?P<action>\S+)(?: # (?P<version>\S+))?$", re.MULTILINE)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(), yaml.BaseLoader)
    return found


def jobs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = load(FOLDER / f"{name}.yml")["jobs"]
    return found


def test_actionlint_finds_nothing() -> None:
    files = [*WORKFLOWS, *sorted((TEAM / ".github" / "workflows").glob("*.yml"))]
    done = subprocess.run([actionlint(), "-no-color", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    files = [*WORKFLOWS, ACTION]
    config = ROOT / ".github" / "zizmor.yml"
    command = [str(part) for part in (ZIZMOR, "--offline", "--no-progress", "--config", config, *files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: str(path.name))
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path: Path) -> None:
    found = [(match["action"], match["version"]) for match in USES.finditer(path.read_text())]
    assert len(found) == path.read_text().count("uses: ")
    for action, version in found:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r"v\d+\.\d+\.\d+", version or ""), action


def test_one_action_has_one_commit_everywhere() -> None:
    text = "".join(path.read_text() for path in [*WORKFLOWS, ACTION])
    pins = {match["action"] for match in USES.finditer(text) if "@" in match["action"]}
    assert len({pin.partition("@")[0] for pin in pins}) == len(pins)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_nothing_and_each_job_says_what_it_needs(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    for name, job in workflow["jobs"].items():
        writes = {scope for scope, level in job["permissions"].items() if level == "write"}
        # Who holds a cloud's credentials can't write to GitHub, and the other way round.
        assert len(writes) <= 1, name
        assert "timeout-minutes" in job, name


def test_a_forks_pull_request_reaches_no_job_with_secrets_or_credentials() -> None:
    first = jobs("preview")["affected"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in first["if"]
    assert all("affected" in str(job["needs"]) for name, job in jobs("preview").items() if name != "affected")


def test_no_cloud_is_reached_with_a_key_that_lasts() -> None:
    text = "".join(path.read_text() for path in [*WORKFLOWS, ACTION])
    # What else may be needed, and only where the stack's secrets are not encrypted by a cloud's key.
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"PULUMI_CONFIG_PASSPHRASE"}
    with_credentials = [job for path in WORKFLOWS for job in load(path)["jobs"].values() if "cloud:" in yaml.dump(job)]
    assert with_credentials
    for job in with_credentials:
        assert job["permissions"]["id-token"] == "write"
        assert "${{ matrix.stack }}" in job["environment"]


def test_a_deploy_launches_what_was_reviewed_one_at_a_time_and_is_never_cut_off() -> None:
    deploy = jobs("deploy")["deploy"]
    assert deploy["environment"] == "${{ matrix.stack }}"
    assert deploy["concurrency"] == {"group": "deploy-stack-${{ matrix.stack }}", "cancel-in-progress": "false"}
    steps = "".join(step.get("run", "") for step in deploy["steps"])
    assert "head_repository.full_name == env.GITHUB_REPOSITORY" in steps
    assert "--non-interactive --yes --expect-digest reviewed/digest" in steps
    assert "--digest preview/digest" in (FOLDER / "preview.yml").read_text()


def test_ci_runs_what_everybody_runs() -> None:
    assert jobs("test")["test"]["steps"][-1]["run"].endswith(" .ci/run")
