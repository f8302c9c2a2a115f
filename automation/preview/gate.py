"""What stands between a launch and its update: the rules, and what was reviewed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from automation.errors import Kind, LaunchFailure, Stopped
from automation.offers import Offer
from automation.policy import rules, settings
from automation.policy.rule import Finding
from automation.policy.settings import PolicySettings
from automation.preview import digest, engine
from automation.preview.report import Report
from automation.session import Session

FORBIDDEN: Final = "a rule forbids it: "
"""How the reason begins for which an offer is not tried."""
_SHOWN: Final = 20
"""At most so many findings or differences are told."""


@dataclass
class Gate:
    """Looks at the preview of a launch before its update.

    Attributes:
        expected: what `--expect-digest` names; empty where nothing was reviewed.
    """

    expected: str = ""
    _seen: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    _failures: dict[str, LaunchFailure] = field(default_factory=dict)

    def node(self, session: Session, provider: str, config: Mapping[str, str]) -> None:
        """Preview a launch of the stack's own machine. One on this host is looked at only where there is a reason to.

        Raises:
            Stopped: the preview failed, a mandatory rule forbids it, or the steps are not those that were reviewed.
        """
        if provider == "local" and not self.expected and not settings.exists(session.project):
            return
        reviewed = digest.expected(self.expected, session.stack) if self.expected else None
        allowed = settings.load(session.project, session.stack)
        report, failure = _preview(session, allowed, provider, config)
        if failure is not None:
            raise Stopped(failure.kind, failure.code, failure.message, failure.hint)
        for finding in report.findings:
            if finding.severity == "advisory":
                session.reporter.note(f"{finding.rule}: {finding.message}. {finding.fix}")
        if report.forbidden:
            raise forbidden(report.forbidden)
        if reviewed is not None:
            _compare(report, *reviewed, session.stack)

    def why_not(self, session: Session, offer: Offer, config: Mapping[str, str]) -> str:
        """Return which rule forbids an offer, or nothing.

        What depends on the place, the type and the price is known of each offer; the rest is the same for all of one
        cloud, and looked at in a preview of the first.
        """
        allowed = settings.load(session.project, session.stack)
        found = rules.of_offer(offer.instance_type, offer.region, offer.price, allowed)
        if not found:
            if offer.provider not in self._seen:
                report, failure = _preview(session, allowed, offer.provider, config)
                if failure is not None:
                    # The attempt tells it, sorted as any other failure is.
                    self._failures[str(offer)] = failure
                    return ""
                self._seen[offer.provider] = report.forbidden
            found = tuple(one for one in self._seen[offer.provider] if one.rule not in rules.OF_OFFER)
        return f"{FORBIDDEN}{found[0].rule}: {found[0].message}" if found else ""

    def failure(self, offer: Offer) -> LaunchFailure | None:
        """Return why the preview of an offer failed, once; None where it did not."""
        return self._failures.pop(str(offer), None)


def forbidden(findings: tuple[Finding, ...]) -> Stopped:
    """Return what a command ends with that rules forbid."""
    lines = [f"{one.rule}: {one.message}" for one in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"… and {len(findings) - _SHOWN} more")
    hints = list(dict.fromkeys(one.fix for one in findings))
    return Stopped(Kind.POLICY, findings[0].rule.replace("-", "_"), "\n".join(lines), "; ".join(hints[:3]))


def _preview(
    session: Session, allowed: PolicySettings, provider: str, config: Mapping[str, str]
) -> tuple[Report, LaunchFailure | None]:
    # The update's process gets ready while the preview runs.
    return engine.look(session, allowed, config, on_event=lambda _: session.start_ahead(f"components.{provider}"))


def _compare(report: Report, sha256: str, steps: tuple[Mapping[str, object], ...] | None, stack: str) -> None:
    now = report.digest
    assert now is not None
    if now.sha256 == sha256:
        return
    if steps is None:
        lines = [f"the digest is {now.sha256}, reviewed was {sha256}"]
        lines += [f"{entry['op']} {entry['urn']}" for entry in now.steps[:_SHOWN]]
    else:
        lines = digest.differences(steps, now.steps)[:_SHOWN]
    raise Stopped(
        Kind.CHANGED,
        "steps_changed",
        "\n".join(["the steps are not those that were reviewed", *lines]),
        f"review them again: liftoff preview --stack {stack} --digest FILE",
    )
