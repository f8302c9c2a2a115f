"""A scratch repository with the program and one stack in it, and a desk at the emulated clouds."""

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
from tests.launches.conftest import PLACES, Site, site_of
from tests.session.conftest import storage, weights

__all__ = ["clouds", "storage", "weights"]

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
