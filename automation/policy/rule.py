"""What a rule is: it looks at resources as they would be, and says what is wrong, where, and how to mend it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Severity = Literal["advisory", "mandatory"]
"""A mandatory finding stops a launch; an advisory one is only told."""


@dataclass(frozen=True)
class Resource:
    """A resource as it would be after the update."""

    urn: str
    type: str
    inputs: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self.urn.rsplit("::", maxsplit=1)[-1]


@dataclass(frozen=True)
class Finding:
    """Something that a rule does not allow.

    Attributes:
        rule: the rule's id.
        severity: whether it stops a launch.
        urn: the resource; empty where it is about the stack as a whole.
        path: the property.
        found: its value, in words.
        fix: what to do about it.
        setting: the key of the stack's config that decides it, without its namespace; empty where there is none.
    """

    rule: str
    severity: Severity
    urn: str
    path: str
    found: str
    fix: str
    setting: str = ""

    @property
    def resource(self) -> str:
        """The resource's name in the program, or `stack`."""
        return self.urn.rsplit("::", maxsplit=1)[-1] if self.urn else "stack"

    @property
    def message(self) -> str:
        """What was found where, in one sentence."""
        return f"{self.resource}: {self.path} is {self.found}" if self.path else f"{self.resource}: {self.found}"


class Rule(Protocol):
    """One rule. `check` is pure: the same resources always have the same findings, in the same order."""

    @property
    def id(self) -> str:
        """Its name, in small letters and dashes."""

    @property
    def title(self) -> str:
        """What it asks for, in a few words."""

    @property
    def severity(self) -> Severity:
        """What a violation is unless policy.yaml says otherwise."""

    def check(self, resources: Sequence[Resource]) -> Iterable[Finding]:
        """Return what is wrong with these resources."""
