import json
import subprocess
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from automation import affected_command
from automation.affected import by_paths

STACKS = {"chat": "aws", "code": "gcp", "dev": "local"}


@pytest.mark.parametrize(
    ("path", "stacks"),
    [
        ("Pulumi.chat.yaml", {"chat"}),
        ("components/gcp.py", {"code"}),
        ("components/local.py", {"dev"}),
        ("provider/local_machine.py", {"dev"}),
        ("provider/local/storage.py", {"dev"}),
        ("components/model_node.py", set(STACKS)),
        ("cloud-init/boot/serve.py", set(STACKS)),
        ("provider/readiness.py", set(STACKS)),
        ("Pulumi.yaml", set(STACKS)),
        ("uv.lock", set(STACKS)),
        ("liftoff", set(STACKS)),
        ("something/new.txt", set(STACKS)),
        # No name that the engine would take: a workflow shows names, so this one may not become one.
        ("Pulumi.x\n::warning::y.yaml", set(STACKS)),
        ("docs/cli.md", set()),
        ("README.md", set()),
        (".github/workflows/preview.yml", set()),
    ],
)
def test_a_path_affects_the_stacks_that_are_made_of_it(path: str, stacks: set[str]) -> None:
    assert set(by_paths([path], STACKS).stacks) == stacks


def test_a_stacks_file_that_goes_is_told_since_nothing_destroys_what_it_made() -> None:
    found = by_paths(["Pulumi.old.yaml"], STACKS)
    assert (found.stacks, found.removed) == ({}, ("old",))


@given(st.lists(st.sampled_from(["docs/a.md", "Pulumi.chat.yaml", "components/aws.py", "uv.lock", "x"])))
def test_more_changes_never_affect_less(paths: list[str]) -> None:
    whole = set(by_paths(paths, STACKS).stacks)
    assert all(set(by_paths([path], STACKS).stacks) <= whole for path in paths)


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(affected_command.affected)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.com")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "Pulumi.yaml").write_text("name: liftoff\n")
    for stack, provider in STACKS.items():
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(f"config:\n  liftoff:provider: {provider}\n")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "m")
    return git(folder, "rev-parse", "HEAD")


def test_what_came_into_the_base_meanwhile_is_none_of_the_branchs(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "branch")
    (repository / "Pulumi.chat.yaml").write_text("config:\n  liftoff:provider: aws\n  liftoff:region: x\n")
    (repository / "Pulumi.code.yaml").unlink()
    commit(repository)
    git(repository, "switch", "--quiet", "main")
    (repository / "uv.lock").write_text("new")
    base = commit(repository)
    git(repository, "switch", "--quiet", "branch")
    found = run("--project", str(repository), "--base", base, "--json")
    assert json.loads(found.stdout) == {"stacks": [{"stack": "chat", "provider": "aws"}], "removed": ["code"]}


@pytest.mark.parametrize("base", ["", "0" * 40])
def test_without_a_base_every_stack_is_named(repository: Path, base: str) -> None:
    assert run("--project", str(repository), "--base", base).stdout.split() == ["chat", "code", "dev"]
    assert run("--project", str(repository), "--base", base, "--clouds").stdout.split() == ["chat", "code"]


def test_a_commit_that_the_clone_does_not_have_is_told_with_what_helps(repository: Path) -> None:
    found = run("--project", str(repository), "--base", "f" * 40)
    assert found.exit_code == 13
    assert "fetch-depth: 0" in found.output
