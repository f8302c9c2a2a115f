"""A preview for a terminal, and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from automation.preview import words
from automation.preview.cost import NOT_IN_IT, Cost
from automation.preview.report import Report

_STYLES: Final = {"replace": "bold red", "delete": "red", "update": "yellow", "create": "green"}


def show(reports: Sequence[Report], console: Console) -> None:
    """Write the reports to a console. All of it is text, not markup: what a cloud says may look like it."""
    for report in reports:
        _one(report, console)


def _one(report: Report, console: Console) -> None:
    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    if report.failure is not None:
        line(f"Stack {report.stack}: the preview failed: {report.failure.kind.title}/{report.failure.code}", "red")
        for told in report.failure.message.splitlines():
            line(f"  {told}")
        line(f"What to do: {report.failure.hint}")
        return
    line(f"Stack {report.stack}: {words.counts(report)}", "bold")
    for setting in report.settings:
        line(f"setting {words.change(setting)}")
    for step in words.downtime(report.steps):
        why = f" because of {words.reason(step)}" if step.action == "replace" else ""
        line(f"Downtime: {step.name} is {words.VERBS[step.action]}{why}", "bold red")
    for step in report.changes:
        line(f"{words.SIGNS[step.action]} {step.name} ({step.type}): {words.VERBS[step.action]}", _STYLES[step.action])
        if step.action != "create":
            for told in words.properties(step):
                line(f"    {told}", "dim")
    if report.cost_before.items or report.cost_after.items:
        table = Table("", "before", "after", box=None, pad_edge=False)
        before, after = report.cost_before, report.cost_after
        table.add_row("USD/hour", f"{before.hourly:.4f}", f"{after.hourly:.4f}")
        table.add_row("USD/month", f"{before.monthly:.2f}", f"{after.monthly:.2f}")
        console.print(table)
        unknown = ", ".join(dict.fromkeys((*before.unknown, *after.unknown)))
        line(f"Not in it: {f'{unknown}; ' if unknown else ''}{NOT_IN_IT}", "dim")
    for name, side in (("before", report.fit_before), ("after", report.fit_after)):
        if side is not None and (name == "after" or side != report.fit_after):
            line(f"{side.model} {name}: on {side.instance_type} it {side.text}")
    for finding in report.findings:
        style = "red" if finding.severity == "mandatory" else "yellow"
        line(f"{finding.severity} {finding.rule}: {finding.message}", style)
        line(f"  → {finding.fix}")
    if report.digest is not None:
        line(f"Digest: {report.digest.sha256}", "dim")


def document(report: Report) -> dict[str, Any]:
    """Return a report as JSON."""
    failure = report.failure
    return {
        "stack": report.stack,
        "destroys": report.destroys,
        "exit_code": report.exit_code,
        "failure": None
        if failure is None
        else {"kind": failure.kind.title, "code": failure.code, "message": failure.message, "hint": failure.hint},
        "settings": [asdict(change) for change in report.settings],
        "steps": [
            {
                "urn": step.urn,
                "type": step.type,
                "action": step.action,
                "forced_by": list(step.forced_by),
                "changes": [asdict(change) for change in step.changes],
                "new": dict(step.new or {}) if step.action == "create" else None,
            }
            for step in report.changes
        ],
        "cost": {"before": _cost(report.cost_before), "after": _cost(report.cost_after), "not_in_it": NOT_IN_IT},
        "fit": {
            "before": None if report.fit_before is None else asdict(report.fit_before),
            "after": None if report.fit_after is None else asdict(report.fit_after),
        },
        "findings": [{**asdict(finding), "message": finding.message} for finding in report.findings],
        "digest": None if report.digest is None else report.digest.sha256,
    }


def _cost(cost: Cost) -> dict[str, Any]:
    items = [{**asdict(item), "date": item.date.isoformat() if item.date else None} for item in cost.items]
    return {"hourly": round(cost.hourly, 6), "monthly": round(cost.monthly, 2), "items": items}
