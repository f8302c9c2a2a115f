"""Which stacks a change in git may affect. What is not known to be harmless affects all: a preview is cheap."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from automation import stack_file
from automation.errors import Kind, Stopped

_HARMLESS: Final = frozenset(
    {".ci", ".github", "benchmarks", "control_plane", "docs", "examples", "tests", ".gitignore", "LICENSE", "Makefile"}
)
"""Folders and files that no stack is made of. `control_plane` and what is below it drive launches of their own."""
_OF_ONE_CLOUD: Final = re.compile(r"components/(aws|azure|gcp|local)\.py|provider/(local)(?:_\w+\.py|/.*)")
_STACK_FILE: Final = re.compile(r"Pulumi\.(?P<stack>[A-Za-z0-9_.-]+)\.ya?ml")
_NOTHING: Final = re.compile("0+")
"""What GitHub gives for the commit before a branch's first."""


@dataclass(frozen=True)
class Affected:
    """What a change means for the stacks.

    Attributes:
        stacks: names and providers of those that it may affect, by name.
        removed: names whose file it deletes: nothing destroys what they made.
    """

    stacks: Mapping[str, str]
    removed: tuple[str, ...] = ()


def by_paths(changed: Iterable[str], stacks: Mapping[str, str]) -> Affected:
    """Return which stacks are affected.

    Args:
        changed: paths relative to the project, with slashes.
        stacks: provider of each stack, by name.
    """
    names: set[str] = set()
    removed: set[str] = set()
    for path in changed:
        of_stack = _STACK_FILE.fullmatch(path)
        of_cloud = _OF_ONE_CLOUD.fullmatch(path)
        if of_stack is not None:
            (names if of_stack["stack"] in stacks else removed).add(of_stack["stack"])
        elif of_cloud is not None:
            provider = of_cloud[1] or of_cloud[2]
            names |= {name for name, own in stacks.items() if own == provider}
        elif not _is_harmless(path):
            names |= stacks.keys()
    return Affected({name: stacks[name] for name in sorted(names)}, tuple(sorted(removed)))


def _is_harmless(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return parts[0] in _HARMLESS or (len(parts) == 1 and path.endswith(".md"))


def find(project: Path, base: str | None, head: str) -> Affected:
    """Return the stacks that the commits after `base`, up to `head`, affect; without `base` all.

    Raises:
        Stopped: git does not know the commits, or the project is in no repository.
    """
    stacks = {}
    for path in _lines(project, "ls-files", "-z", "--", "Pulumi.*.yaml", "Pulumi.*.yml"):
        match = _STACK_FILE.fullmatch(path)
        if match is not None and (project / path).exists():
            stacks[match["stack"]] = str(stack_file.read(project, match["stack"], {}).get("provider"))
    if base is None or _NOTHING.fullmatch(base):
        return Affected(dict(sorted(stacks.items())))
    # Three dots: since the branch left its base. Renames are told as one path that goes and one that comes.
    changed = _lines(project, "diff", "--name-only", "--no-renames", "-z", "--relative", f"{base}...{head}", "--")
    return by_paths(changed, stacks)


def _lines(project: Path, *arguments: str) -> list[str]:
    command = ["git", "-C", str(project), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Stopped(
            Kind.CONFIGURATION,
            "git_failed",
            f"git can't tell what has changed: {done.stderr.strip()}",
            "give commits that this clone has; in GitHub Actions check out with fetch-depth: 0",
        )
    return [line for line in done.stdout.split("\0") if line]
