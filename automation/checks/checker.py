"""What a launch asks before it begins. Apart from who answers, which takes the clouds' SDKs to import."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from automation.offers import Offer
from components.settings import Settings

Tell = Callable[[str], None]
"""Is given what can't be known, a line at a time."""
WhyNot = Callable[[Offer], str]
"""Says why an offer can't be had, or nothing."""


@dataclass(frozen=True)
class Stack:
    """Which stack a launch is for, and the values with full keys that its command line sets.

    Attributes:
        secrets_of: project and name of a stack that has the same secrets, where this one is not there yet.
    """

    project: Path
    name: str
    config: Mapping[str, str]
    secrets_of: tuple[Path, str] | None = None


class Checker(Protocol):
    """Looks up before a launch what it needs. What can't be looked up never stops it."""

    def node(self, stack: Stack, asked: Settings, tell: Tell) -> None:
        """Look up what the stack's own machine needs.

        Raises:
            Stopped: a launch could only fail.
        """

    def plan(self, stack: Stack, offers: Sequence[Offer], tell: Tell) -> tuple[tuple[Offer, ...], WhyNot]:
        """Return the offers whose clouds can be asked, and what says of one why its quota is too low.

        Raises:
            Stopped: a launch could only fail.
        """
