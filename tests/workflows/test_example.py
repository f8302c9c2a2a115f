"""The repository in examples/ is one that works: its stacks are valid, and its workflows are the project's own."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from automation import affected, stack_file
from automation.stack_file import Values
from automation.worker import SECRET
from components import settings
from tests.e2e.conftest import _environment

from .linters import ROOT

TEAM = ROOT / "examples" / "team"
STACKS = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in TEAM.glob("Pulumi.*.yaml"))
KEYS = {"storageAccessKeyId": SECRET, "storageSecretAccessKey": SECRET}


def test_there_is_a_stack_of_this_host_and_one_per_cloud() -> None:
    assert STACKS == ["chat-aws", "chat-azure", "chat-gcp", "dev"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_stacks_file_is_what_the_program_takes_once_its_keys_are_set(stack: str) -> None:
    read = stack_file.read(TEAM, stack, {})
    values = read if stack == "dev" else Values({**read.values, **KEYS})
    asked = settings.load(values, stack, is_encrypted=values.is_encrypted)
    assert asked.provider == ("local" if stack == "dev" else stack.removeprefix("chat-"))


def test_the_project_is_liftoffs_own_below_the_submodule() -> None:
    own, root = (yaml.safe_load((folder / "Pulumi.yaml").read_text()) for folder in (TEAM, ROOT))
    assert (own["name"], own["config"]) == (root["name"], root["config"])
    assert own["main"] == f"liftoff/{root['main']}"
    assert own["plugins"]["providers"] == [{"name": "liftoff", "path": "./liftoff/provider"}]


def test_the_workflows_are_the_projects_own() -> None:
    for path in sorted((TEAM / ".github" / "workflows").iterdir()):
        assert path.resolve() == ROOT / ".github" / "workflows" / path.name
    assert (TEAM / ".github" / "actions").resolve() == ROOT / ".github" / "actions"


def test_moving_the_submodule_affects_every_stack() -> None:
    stacks = {stack: str(stack_file.read(TEAM, stack, {}).get("provider")) for stack in STACKS}
    assert list(affected.by_paths(["liftoff"], stacks).stacks) == STACKS
    assert list(affected.by_paths([str(Path("Pulumi.chat-gcp.yaml"))], stacks).stacks) == ["chat-gcp"]


@pytest.mark.engine
def test_a_copy_with_liftoff_in_it_is_a_project_that_the_engine_previews(tmp_path: Path) -> None:
    copy = tmp_path / "team"
    shutil.copytree(TEAM, copy)
    (copy / "liftoff").symlink_to(ROOT)
    script = (
        'eval "$(liftoff/.venv/bin/liftoff env)"; pulumi stack init dev; '
        "pulumi preview --stack dev --json --non-interactive"
    )
    command = ["bash", "-euc", script]
    done = subprocess.run(
        command, cwd=copy, env=_environment(tmp_path), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for resource in ("ModelNode", "LocalMachine", "Readiness"):
        assert f"liftoff:index:{resource}" in done.stdout
