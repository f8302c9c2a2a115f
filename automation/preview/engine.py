"""A preview by the real engine, as a report."""

from collections.abc import Callable, Mapping
from typing import Final

from automation import errors
from automation.errors import Kind, LaunchFailure
from automation.policy.settings import PolicySettings
from automation.preview import report
from automation.preview.report import Report
from automation.session import Session, judge
from automation.stages import Event
from automation.worker import Operation, Result
from provider.status import Stage

LIMIT_SECONDS: Final = 300.0
"""A preview that asks a cloud for little more than images has hung after this time."""


def look(
    session: Session,
    allowed: PolicySettings,
    config: Mapping[str, str],
    *,
    destroys: bool = False,
    on_event: Callable[[Event], None] = lambda _: None,
) -> tuple[Report, LaunchFailure | None]:
    """Preview an update, or a destroy, and leave no stack and no setting behind that was not there.

    Args:
        session: of the stack.
        allowed: what the rules allow.
        config: values that override the stack's, with full keys.
        destroys: preview what a destroy would do.
        on_event: is given the engine's events.
    """
    failing: list[Event] = []

    def take(event: Event) -> None:
        if event.kind == "failed" or (event.kind == "diagnostic" and event.severity == "error"):
            failing.append(event)
        on_event(event)

    operation: Operation = "preview-destroy" if destroys else "preview"
    result = session.run(operation, LIMIT_SECONDS, take, config=config, remove=not destroys)
    if result.ok:
        return report.build(session.stack, result.steps, allowed, destroys=destroys), None
    failure = judged(result, failing)
    return report.failed(session.stack, failure, destroys=destroys), failure


def judged(result: Result, failing: list[Event]) -> LaunchFailure:
    """Return why it failed. What the program itself refused has no resource, and its first words are the best."""
    said = [event.message for event in failing if event.kind == "diagnostic"]
    if result.cancelled is None and said and not any(event.urn for event in failing):
        found = errors.classify(said[0], Stage.VALIDATE)
        if found.kind is not Kind.UNKNOWN or not errors.is_traceback(said[0]):
            return found
    return judge(result, failing, Stage.VALIDATE)
