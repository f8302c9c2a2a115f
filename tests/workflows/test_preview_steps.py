"""The steps of preview.yml that are ours, as a runner runs them, on changes in a scratch repository."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from provider.storage import Storage
from tests.e2e.conftest import LIFTOFF, ROOT
from tests.previews.conftest import golden
from tests.previews.repository import Repository, clouds, repository, site, storage, weights

from .github_api import Api

__all__ = ["clouds", "golden", "repository", "site", "storage", "weights"]

pytestmark = pytest.mark.engine
# The digest, names that the engine makes up, the bucket's folder, and what goes with the boot program.
_OTHERWISE: Final = (
    r"(?<=Digest of these steps: <code>)[0-9a-f]{64}",
    r"(?<=prod-group-)[0-9a-f]{7}",
    r"(?<=s3://liftoff/)test-[0-9a-f]+",
    r'(?<=programSha256: ")[0-9a-f]{64}',
    r"(?<=\+ requirements: ).*",
)
WORKFLOW: Final[dict[str, Any]] = yaml.safe_load((ROOT / ".github/workflows/preview.yml").read_text())


def script(name: str) -> str:
    """Return what a step runs."""
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"] if step.get("name") == name]
    (found,) = [str(step["run"]) for step in steps]
    return found


class Runner:
    """Runs steps in a checkout, and keeps what they print and set."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository = repository
        self.outputs = folder / "outputs"
        self.printed = ""

    def run(self, name: str, **variables: str) -> None:
        environment = {
            **self.repository.site.desk.environment,
            "PATH": f"{LIFTOFF.parent}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(self.outputs),
            **variables,
        }
        # As GitHub runs `shell: bash`: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
        shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script(name))
        done = subprocess.run(
            shell, cwd=self.repository.folder, env=environment, capture_output=True, text=True, check=False
        )
        self.printed += done.stdout + done.stderr
        assert done.returncode == 0, done.stdout + done.stderr

    def set(self, name: str) -> Any:
        """Return an output that a step has set, last."""
        lines = [line.partition("=") for line in self.outputs.read_text().splitlines()]
        return json.loads([value for key, _, value in lines if key == name][-1])


def plain(text: str, stack: str) -> str:
    """Return a comment without what is another one in each run."""
    text = text.replace(stack, "prod")
    for pattern in _OTHERWISE:
        text = re.sub(pattern, "…", text)
    return text


def pull_request(runner: Runner, base: str, api: Mapping[str, str]) -> None:
    """Do what the workflow does for one push to a pull request."""
    stack = runner.repository.site.desk.stack
    runner.run("Tell the stacks", BASE=base)
    assert runner.set("stacks") == [{"stack": stack, "provider": "aws"}]
    runner.run("Preview", STACK=stack)
    runner.run("Write the comment, or update it", STACK=stack, NUMBER="7", **api)
    for path in (runner.repository.folder / "preview").iterdir():
        runner.printed += path.read_text()
        path.unlink()
    (runner.repository.folder / "preview").rmdir()


def test_a_pull_request_gets_one_comment_that_each_push_brings_up_to_date(
    repository: Repository, tmp_path: Path, storage: Storage, golden: Callable[[str, str], None]
) -> None:
    stack = repository.site.desk.stack
    runner, api = Runner(repository, tmp_path), Api()
    base = repository.git("rev-parse", "HEAD").strip()
    repository.commit("A longer context", maxModelLen="8192")
    with api.served() as variables:
        pull_request(runner, base, variables)
        (comment,) = api.comments
        golden("workflow-create.md", plain(comment["body"], stack))

        repository.commit("A price cap", maxPricePerHour="0.55")
        pull_request(runner, base, variables)
        assert [one["id"] for one in api.comments] == [comment["id"]]
        assert "0.55" in api.comments[0]["body"]
        assert "spot-price-cap" not in api.comments[0]["body"]

    assert repository.site.clouds.truth.find() == []
    for secret in (storage.secret_access_key, storage.access_key_id):
        assert secret not in runner.printed
