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
    found = {
        f"{PREFIX}-project": pulumi.get_project(),
        f"{PREFIX}-stack": pulumi.get_stack(),
        f"{PREFIX}-owner": settings.owner,
    }
    return {key: _value(value) for key, value in found.items() if value}


def of_machine(settings: CloudSettings, boot: Boot) -> dict[str, pulumi.Input[str]]:
    """Return the tags of a machine: also the run that it was made for, and the time at which it ends itself."""
    own = {f"{PREFIX}-run": boot.run_id, f"{PREFIX}-expires": boot.expires_at.apply(_value)}
    return {**tags(settings), **own}


def _value(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
