"""What every resource of a node is marked with, so that the cloud's own listing finds it and tells its cost."""

import re

import pulumi

from components.cloud import Boot
from components.settings import CloudSettings

PREFIX = "liftoff"


def tags(settings: CloudSettings) -> dict[str, str]:
    """Return the tags; keys and values are in the characters that the labels of Compute Engine take, too.

    https://cloud.google.com/compute/docs/labeling-resources#requirements: lower-case letters, digits, - and _.
    """
    owner = {f"{PREFIX}-owner": _value(settings.owner)} if settings.owner else {}
    return {**of_stack(pulumi.get_project(), pulumi.get_stack()), **owner}


def of_stack(project: str, stack: str) -> dict[str, str]:
    """Return the tags by which everything of a stack is found."""
    return {f"{PREFIX}-project": _value(project), f"{PREFIX}-stack": _value(stack)}


def of_machine(settings: CloudSettings, boot: Boot) -> dict[str, pulumi.Input[str]]:
    """Return the tags of a machine: also the run that it was made for, and the time at which it ends itself."""
    own = {f"{PREFIX}-run": boot.run_id, f"{PREFIX}-expires": boot.expires_at.apply(_value)}
    return {**tags(settings), **own}


def _value(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
