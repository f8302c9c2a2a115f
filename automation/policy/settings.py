"""`policy.yaml` beside Pulumi.yaml: what is allowed, for every stack and for one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from automation.errors import Kind, Stopped

FILE: Final = "policy.yaml"
Port = Annotated[int, Field(ge=1, le=65535)]
RuleId = Literal[
    "open-ingress",
    "public-ssh",
    "disk-encryption",
    "imdsv2",
    "spot-price-cap",
    "required-tags",
    "expiry",
    "allowed-regions",
    "allowed-types",
    "budget",
]


class PolicySettings(BaseModel):
    """What is allowed. Everything has a default, so that a stack without the file is held to the rules, too."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    allow_open_ports: tuple[Port, ...] = ()
    """Ports that may be reached from anywhere; never that of SSH."""
    required_tags: tuple[Annotated[str, Field(min_length=1)], ...] = ("liftoff-project", "liftoff-stack")
    """Tags, or labels, that each resource that can have them has to have."""
    max_lifetime_hours: float = Field(default=0, ge=0)
    """The longest that a node may live, in hours; 0 is any time, but a node without an end is never allowed."""
    allowed_regions: tuple[str, ...] = ()
    """Regions, with * and ?; empty allows all."""
    allowed_types: tuple[str, ...] = ()
    """Instance types, with * and ?; empty allows all."""
    budget_usd_per_month: float = Field(default=0, ge=0)
    """The most that the stack may cost, in USD for a month of 730 hours; 0 is no limit."""
    severities: Mapping[RuleId, Literal["advisory", "mandatory", "off"]] = Field(default_factory=dict)
    """Rules that count for more or less than they do by themselves."""


class _File(PolicySettings):
    stacks: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """By stack: keys that are other than the file's."""


def exists(project: Path) -> bool:
    """Tell whether the project has rules of its own."""
    return (project / FILE).is_file()


def load(project: Path, stack: str) -> PolicySettings:
    """Return what is allowed for a stack: its own keys, else the file's, else the defaults.

    Raises:
        Stopped: with a line for each field that can't be used.
    """
    if not exists(project):
        return PolicySettings()
    try:
        document = yaml.safe_load((project / FILE).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise _refused(f"{FILE} is not valid YAML: {error}") from error
    if document is None:
        return PolicySettings()
    if not isinstance(document, dict):
        raise _refused(f"{FILE}: given a {type(document).__name__}; allowed: keys and values")
    try:
        file = _File.model_validate(document)
        own = file.stacks.get(stack.rsplit("/", maxsplit=1)[-1], {})
        shared = {key: value for key, value in document.items() if key != "stacks"}
        return PolicySettings.model_validate({**shared, **own})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [f"{FILE}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems]
        raise _refused("\n".join(lines)) from error


def _refused(text: str) -> Stopped:
    return Stopped(Kind.CONFIGURATION, "policy_refused", text, f"correct {FILE}: docs/previews.md has every key")
