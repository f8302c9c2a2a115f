"""Where a launch's stack is: a folder of the launch's own with the same program and settings, or a person's stack."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from automation import outputs, stack_file
from automation.errors import Kind, Stopped
from automation.policy import settings as policy
from control_plane.store.launches import Launch


@dataclass(frozen=True)
class Site:
    """Where a launch's stack is.

    Attributes:
        folder: of the Pulumi program.
        stack: the stack's name.
        is_persons: whether it is a person's own, which has been there before and stays.
    """

    folder: Path
    stack: str
    is_persons: bool

    def api_key(self) -> str:
        """Return the key of the stack's node, which only the stack holds.

        Raises:
            Stopped: the stack has no node, or can't be read.
            FileNotFoundError: the folder is not there.
        """
        return str(outputs.read(self.folder, self.stack, show_secrets=True)["apiKey"])


@dataclass(frozen=True)
class Template:
    """What every launch begins with.

    Attributes:
        project: folder of the Pulumi program.
        stack: the stack whose settings a launch starts from.
        folder: where the launches' own folders are.
    """

    project: Path
    stack: str
    folder: Path

    def check(self) -> None:
        """Refuse to serve launches that could not begin.

        Raises:
            Stopped: there is no such project, or no file of the stack's settings.
        """
        stack_file.project_name(self.project)
        path = stack_file.path_of(self.project, self.stack)
        if not path.exists():
            raise Stopped(
                Kind.CONFIGURATION,
                "stack_file_missing",
                f"--stack: given {self.stack!r}; allowed: a stack with a settings file; there is no {path.name}",
                "copy one of the examples, Pulumi.dev.yaml to Pulumi.gcp.yaml, and fill it in",
            )

    def site_of(self, launch: Launch) -> Site:
        """Return where a launch's stack is, or would be."""
        if launch.stack is not None:
            return Site(Path(launch.stack["project"]), str(launch.stack["stack"]), is_persons=True)
        return Site(self.folder_of(launch.id), launch.id, is_persons=False)

    def folder_of(self, launch_id: str) -> Path:
        """Return where a launch's own folder is, or would be."""
        return self.folder / launch_id

    def prepare(self, launch_id: str) -> Path:
        """Make the folder of a launch, or leave it as it is, and return it."""
        folder = self.folder_of(launch_id)
        settings = stack_file.path_of(folder, launch_id)
        if settings.exists():
            return folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        project = self.project.resolve()
        found: dict[str, Any] = yaml.safe_load((project / "Pulumi.yaml").read_text())
        found["main"] = str(project / found.get("main", "."))
        options = found.get("runtime", {}).get("options", {})
        if "virtualenv" in options:
            options["virtualenv"] = str(project / options["virtualenv"])
        for plugin in found.get("plugins", {}).get("providers", ()):
            plugin["path"] = str(project / plugin["path"])
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
        if policy.exists(project):
            shutil.copy(project / policy.FILE, folder)
        # Written last and at once: where it is, the folder is whole.
        partial = settings.with_suffix(".partial")
        partial.write_text(stack_file.path_of(project, self.stack).read_text())
        partial.replace(settings)
        return folder

    def forget(self, launch_id: str) -> None:
        """Remove the folder of a launch that has nothing left in any cloud."""
        shutil.rmtree(self.folder_of(launch_id), ignore_errors=True)

    def kept(self) -> frozenset[str]:
        """Return the launches whose folder is there: their stacks may hold something."""
        return frozenset(path.name for path in self.folder.iterdir()) if self.folder.exists() else frozenset()
