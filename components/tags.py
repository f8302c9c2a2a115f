"""What every resource of a node is marked with, so that the cloud's own listing finds it and tells its cost."""

import re

import pulumi

from components.settings import CloudSettings

PREFIX = "liftoff"


def tags(settings: CloudSettings) -> dict[str, str]:
    """Return the tags; keys and values are in the characters that the labels of Compute Engine take, too.

    https://cloud.google.com/compute/docs/labeling-resources#requirements: lower-case letters, digits, - and _.
    """
    found = {
        f"{PREFIX}-project": pulumi.get_project(),
        f"{PREFIX}-stack": pulumi.get_stack(),
        f"{PREFIX}-owner": settings.owner,
    }
    return {key: _value(value) for key, value in found.items() if value}


def expiring(settings: CloudSettings, expires_at: pulumi.Output[str]) -> dict[str, pulumi.Input[str]]:
    """Return the tags of a machine, with the time at which it ends itself."""
    return {**tags(settings), f"{PREFIX}-expires": expires_at.apply(_value)}


def _value(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
