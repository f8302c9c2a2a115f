"""Everything that a reader is told of one stack's preview, in one frozen value; rendered elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automation.errors import Kind, LaunchFailure
from automation.journal import redact
from automation.policy import rules
from automation.policy.rule import Finding, Resource
from automation.policy.settings import PolicySettings
from automation.preview import cost, digest, fit, steps
from automation.preview.cost import NOTHING, Cost
from automation.preview.digest import Digest
from automation.preview.fit import Side
from automation.preview.steps import Change, Step


@dataclass(frozen=True)
class Failure:
    """Why there is no preview, or only part of one."""

    kind: Kind
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Report:
    """One stack's preview.

    Attributes:
        stack: its name.
        destroys: whether the preview is that of a destroy.
        steps: what happens to each resource, what is lost first.
        settings: the stack's settings that differ.
        cost_before: what is paid for now.
        cost_after: what will be paid for.
        fit_before: how the model fits the machine now; None where there is none.
        fit_after: how it will.
        findings: what the rules found, mandatory findings first.
        digest: of the steps; None where the preview failed.
        failure: why it failed; None where it did not.
    """

    stack: str
    destroys: bool = False
    steps: tuple[Step, ...] = ()
    settings: tuple[Change, ...] = ()
    cost_before: Cost = NOTHING
    cost_after: Cost = NOTHING
    fit_before: Side | None = None
    fit_after: Side | None = None
    findings: tuple[Finding, ...] = ()
    digest: Digest | None = None
    failure: Failure | None = None

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that do something to a resource; new ones of the engine's own are left out."""
        return tuple(
            step
            for step in self.steps
            if step.action != "same" and not (step.is_plumbing and step.action in ("create", "delete"))
        )

    @property
    def forbidden(self) -> tuple[Finding, ...]:
        """The mandatory findings."""
        return tuple(finding for finding in self.findings if finding.severity == "mandatory")

    @property
    def exit_code(self) -> int:
        """What a command ends with: that of the failure, of a mandatory finding, or 0."""
        if self.failure is not None:
            return self.failure.kind.exit_code
        return Kind.POLICY.exit_code if self.forbidden else 0


def build(
    stack: str, records: Sequence[Mapping[str, Any]], allowed: PolicySettings, *, destroys: bool = False
) -> Report:
    """Return the report on a preview that went well."""
    found = steps.read(records)
    return Report(
        stack=stack,
        destroys=destroys,
        steps=found,
        settings=steps.settings(found),
        cost_before=cost.before(found),
        cost_after=cost.after(found),
        fit_before=fit.before(found),
        fit_after=fit.after(found),
        # What goes is held to nothing.
        findings=() if destroys else rules.check(_resources(found), allowed),
        digest=digest.of(found),
    )


def failed(stack: str, failure: LaunchFailure, *, destroys: bool = False) -> Report:
    """Return the report on a preview that failed."""
    message = redact(failure.message)
    return Report(stack, destroys, failure=Failure(failure.kind, failure.code, message, failure.hint))


def _resources(found: Sequence[Step]) -> list[Resource]:
    return [
        Resource(step.urn, step.type, step.new)
        for step in found
        if step.action != "delete" and step.new is not None and not step.is_plumbing
    ]
