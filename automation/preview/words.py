"""The words that every form of a report shares."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from automation.difference import SECRET
from automation.preview.cost import HOURS_PER_MONTH, Cost, Item
from automation.preview.report import Report
from automation.preview.steps import UNKNOWN, Action, Change, Step, leaves
from automation.stages import MACHINE_TYPES

VERBS: Final[dict[Action, str]] = {
    "replace": "replaced",
    "delete": "deleted",
    "update": "changed",
    "create": "created",
    "same": "unchanged",
}
SIGNS: Final[dict[Action, str]] = {"replace": "±", "delete": "-", "update": "~", "create": "+", "same": " "}
_LONGEST: Final = 200
"""A value is cut after so many characters."""


def counts(report: Report) -> str:
    """Return how many resources are replaced, deleted, changed and created."""
    found = Counter(step.action for step in report.changes)
    parts = [f"{found[action]} {verb}" for action, verb in VERBS.items() if found[action] and action != "same"]
    return ", ".join(parts) or "no changes"


def downtime(steps: Sequence[Step]) -> list[Step]:
    """Return the machines whose replacement or end takes the endpoint down."""
    return [step for step in steps if step.type in MACHINE_TYPES and step.action in ("replace", "delete")]


def reason(step: Step) -> str:
    """Return for which properties a resource is replaced."""
    return ", ".join(step.forced_by) or "what it depends on is replaced"


def value(of: Any) -> str:  # noqa: ANN401 - JSON
    """Return a property's value as text; secrets and unknown values are words of their own."""
    if of is None:
        return "(none)"
    if of == SECRET:
        return "(secret)"
    if of == UNKNOWN:
        return "(known after the update)"
    text = json.dumps(of, ensure_ascii=False, sort_keys=True).replace(json.dumps(UNKNOWN), "(known after the update)")
    text = text.replace(json.dumps(SECRET), "(secret)")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def change(of: Change) -> str:
    """Return how a property differs."""
    tail = "  # forces the replacement" if of.forces else ""
    if of.old == SECRET and of.new == SECRET:
        return f"{of.path}: (secret, changes){tail}"
    return f"{of.path}: {value(of.old)} → {value(of.new)}{tail}"


def properties(step: Step) -> list[str]:
    """Return a line for each property that differs, or that a new resource has; what forces a replacement first."""
    if step.action == "create":
        return [f"{path}: {value(found)}" for path, found in leaves(step.new or {}) if found not in (None, "", [], {})]
    return [change(one) for one in sorted(step.changes, key=lambda one: not one.forces)]


def money(cost: Cost) -> str:
    """Return a cost in USD/hour and a month, and whether something is missing in it."""
    if not cost.items:
        return "nothing"
    least = "at least " if cost.unknown else ""
    return f"{least}{cost.hourly:.4f} USD/hour, {least}{cost.monthly:.2f} USD/month"


def difference(report: Report) -> str:
    """Return by how much the month's cost changes."""
    change_ = report.cost_after.monthly - report.cost_before.monthly
    return f"{change_:+.2f} USD/month" if round(change_, 2) else "no change"


def item(of: Item) -> str:
    """Return what one thing costs, with its source and day."""
    if of.hourly is None:
        return f"{of.what}: no price is known"
    day = f"of {of.date}" if of.date else "of a day that its source does not say"
    note = f"; {of.note}" if of.note else ""
    return (
        f"{of.what}: {of.hourly:.4f} USD/hour, {of.hourly * HOURS_PER_MONTH:.2f} USD/month ({of.source}, {day}{note})"
    )
