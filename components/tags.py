"""What every resource of a node is marked with, so that the cloud's own listing finds it and tells its cost."""

import re
from typing import Final

import pulumi

from components.cloud import Boot
from components.settings import CloudSettings

PREFIX: Final = "liftoff"
PROJECT: Final = f"{PREFIX}-project"
STACK: Final = f"{PREFIX}-stack"
PLANE: Final = f"{PREFIX}-plane"
"""Which control plane made it; nothing where a person did."""


def tags(settings: CloudSettings) -> dict[str, str]:
    """Return the tags; keys and values are in the characters that the labels of Compute Engine take, too.

    https://cloud.google.com/compute/docs/labeling-resources#requirements: lower-case letters, digits, - and _.
    """
    owner = {f"{PREFIX}-owner": value(settings.owner)} if settings.owner else {}
    plane = {PLANE: value(settings.plane)} if settings.plane else {}
    return {**of_stack(pulumi.get_project(), pulumi.get_stack()), **owner, **plane}


def of_stack(project: str, stack: str) -> dict[str, str]:
    """Return the tags by which everything of a stack is found."""
    return {PROJECT: value(project), STACK: value(stack)}


def of_machine(settings: CloudSettings, boot: Boot) -> dict[str, pulumi.Input[str]]:
    """Return the tags of a machine: also the run that it was made for, and the time at which it ends itself."""
    own = {f"{PREFIX}-run": boot.run_id, f"{PREFIX}-expires": boot.expires_at.apply(value)}
    return {**tags(settings), **own}


def value(text: str) -> str:
    """Return a text in the characters that every cloud takes."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
