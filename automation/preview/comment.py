"""A preview as a comment on a pull request: GitHub's Markdown, below its limit however large the change is."""

import html
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from automation.policy.rule import Finding
from automation.preview import words
from automation.preview.cost import NOT_IN_IT
from automation.preview.fit import Side
from automation.preview.report import Report
from automation.preview.steps import Step

MARKER: Final = "<!-- liftoff-preview -->"
"""The first line, not shown: by it a workflow finds its own comment again."""

LIMIT: Final = 65_000
"""GitHub takes 65,536 characters; bytes are counted here, which are never fewer:
https://github.com/orgs/community/discussions/27190"""

_LIST_SHARE: Final = 0.15
_ROW_PROPERTIES: Final = 100
_LAST_BYTES: Final = 40


def render(reports: Sequence[Report], limit: int = LIMIT) -> str:
    """Return the comment on one or more stacks' previews."""
    head = f"{MARKER}\n## Preview of {_plural(len(reports), 'stack')}\n"
    # What a small section leaves over is the next one's.
    room = limit - _size(head)
    sections = []
    for index, report in enumerate(reports):
        share = room // (len(reports) - index)
        section = _section(report, share)
        if _size(section) + 1 > share:
            section = _headline(report)
        if _size(section) + _LAST_BYTES > room:
            sections.append(f"… and {_plural(len(reports) - index, 'more stack')}")
            break
        room -= _size(section) + 1
        sections.append(section)
    return "\n".join([head, *sections])


def _section(report: Report, room: int) -> str:
    head = [_headline(report), ""]
    if report.failure is not None:
        kind = f"{report.failure.kind.title}/{report.failure.code}"
        text = _cut(report.failure.message, max(room - 1000, 200))
        return "\n".join(
            [*head, f":x: **{kind}**", "", *_fence([text]), "", f"What to do: {_text(report.failure.hint)}", ""]
        )
    part = int(room * _LIST_SHARE)
    body = [
        *head,
        *_settings(report, part),
        *_warnings(report, part),
        *_findings(report.findings, part),
        *_cost(report, part),
        *_fit(report),
        *_table(report.changes, part),
    ]
    tail = [f"<sub>Digest of these steps: <code>{report.digest.sha256}</code></sub>", ""] if report.digest else []
    left = room - _size("\n".join([*body, *tail])) - 2
    return "\n".join([*body, *_details(report.changes, left), *tail])


def _headline(report: Report) -> str:
    what = "would be destroyed" if report.destroys else words.counts(report)
    return f"### Stack {_code(report.stack)}: {'the preview failed' if report.failure else what}"


def _settings(report: Report, room: int) -> list[str]:
    if not report.settings:
        return []
    lines = [f"- {_code(words.change(one))}" for one in report.settings]
    return ["Settings that differ:", "", *_within(lines, room, lambda more: f"- … and {more} more"), ""]


def _warnings(report: Report, room: int) -> list[str]:
    down = words.downtime(report.steps)
    if not down:
        return []
    lines = []
    for step in down:
        if step.action == "delete":
            lines.append(f"> - {_code(step.name)} is deleted: its endpoint ends.")
        else:
            order = (
                "The old machine goes before the new one comes" if step.deleted_first else "The machine is a new one"
            )
            lines.append(f"> - {_code(step.name)} is **replaced**, because of {_code(words.reason(step))}. {order}.")
    told = _within(lines, room, lambda more: f"> - … and {more} more")
    ends = all(step.action == "delete" for step in down)
    title = "The endpoint ends." if ends else "Downtime: the endpoint does not answer until the new node is ready."
    return ["> [!WARNING]", f"> **{title}**", *told, ""]


def _findings(findings: Sequence[Finding], room: int) -> list[str]:
    if not findings:
        return []
    lines = [
        f"- {':no_entry:' if one.severity == 'mandatory' else ':warning:'} **{one.rule}** ({one.severity}): "
        f"{_text(one.message)}. Mend it: {_text(one.fix)}"
        for one in findings
    ]
    return ["#### Policy", "", *_within(lines, room, lambda more: f"- … and {more} more"), ""]


def _cost(report: Report, room: int) -> list[str]:
    before, after = report.cost_before, report.cost_after
    if not before.items and not after.items:
        return []
    more = after.monthly - before.monthly
    lines = [
        "#### Cost",
        "",
        "| | before | after | difference |",
        "|---|---|---|---|",
        f"| USD/hour | {before.hourly:.4f} | {after.hourly:.4f} | {after.hourly - before.hourly:+.4f} |",
        f"| USD/month (730 hours) | {before.monthly:.2f} | {after.monthly:.2f} | {more:+.2f} |",
        "",
    ]
    unknown = tuple(dict.fromkeys((*before.unknown, *after.unknown)))
    missing = f"{', '.join(unknown)} (no price is known), " if unknown else ""
    items = [f"- {_text(words.item(one))}" for one in (after if after.items else before).items]
    return [
        *lines,
        "<details><summary>What is in it, and what is not</summary>",
        "",
        *_within(items, room, lambda more: f"- … and {more} more"),
        "",
        f"Not in it: {_text(_cut(missing, room // 4) + NOT_IN_IT)}. Prices are of their day, not live.",
        "</details>",
        "",
    ]


def _fit(report: Report) -> list[str]:
    before, after = report.fit_before, report.fit_after
    if after is None or before == after:
        return [] if after is None else ["#### Model and GPU", "", f"Unchanged: {_side(after)}", ""]
    lines = [f"- before: {_side(before)}"] if before is not None else []
    bad = " :x:" if after.fits is False else ""
    return ["#### Model and GPU", "", *lines, f"- after: {_side(after)}{bad}", ""]


def _side(side: Side) -> str:
    gpu = f" ({side.gpu})" if side.gpu else ""
    return f"{_code(side.model)} on {_code(side.instance_type)}{gpu} {_text(side.text)}"


def _table(changes: Sequence[Step], room: int) -> list[str]:
    if not changes:
        return []
    rows = [
        f"| {words.VERBS[step.action]} | {_cell(step.name)} | {_cell(step.type)} | "
        f"{_cell(words.reason(step)) if step.action == 'replace' else ''} |"
        for step in changes
    ]
    told = _within(rows, room, lambda more: f"| | … and {more} more | | |")
    return ["| | resource | type | replaced because of |", "|---|---|---|---|", *told, ""]


def _details(changes: Sequence[Step], room: int) -> list[str]:
    blocks = [_block(step, found) for step in changes if (found := words.properties(step))]
    return _within(blocks, room, lambda more: f"\n… and {more} more\n")


def _block(step: Step, found: Sequence[str]) -> str:
    # GitHub shows a difference's lines that begin with ! in a colour of their own.
    sign = "+" if step.action == "create" else "!"
    lines = [f"{sign} {line}" for line in found[:_ROW_PROPERTIES]]
    if len(found) > _ROW_PROPERTIES:
        lines.append(f"… and {len(found) - _ROW_PROPERTIES} more")
    title = f"{words.VERBS[step.action]}: {html.escape(step.name)} <code>{html.escape(step.type)}</code>"
    inside = "\n".join(_fence(lines, "diff"))
    return f"<details><summary>{title}</summary>\n\n{inside}\n\n</details>\n"


def _within(items: Iterable[str], room: int, more: Callable[[int], str]) -> list[str]:
    """Return the items that have room, the first ones first, and how many there are besides."""
    given = list(items)
    if _size("\n".join(given)) <= room:
        return given
    left = room - _size(more(len(given))) - 1
    kept: list[str] = []
    for one in given:
        if _size(one) + 1 > left:
            break
        left -= _size(one) + 1
        kept.append(one)
    return [*kept, more(len(given) - len(kept))]


def _fence(lines: Sequence[str], language: str = "text") -> list[str]:
    """Return lines as a block of code that nothing in them can end."""
    text = "\n".join(lines)
    ticks = "```"
    while ticks in text:
        ticks += "`"
    return [f"{ticks}{language}", text, ticks]


def _code(text: str) -> str:
    """Return text as code within a line."""
    return f"<code>{html.escape(_line(text))}</code>"


def _cell(text: str) -> str:
    return f"<code>{html.escape(_line(text)).replace('|', '&#124;')}</code>"


def _text(text: str) -> str:
    """Return text in which nothing is markup, and nobody is mentioned."""
    escaped = html.escape(_line(text), quote=False)
    for character in "\\`*_[]|~":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped.replace("@", "&#64;")


def _line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, most: int) -> str:
    return text if _size(text) <= most else f"{text.encode()[:most].decode(errors='ignore')}…"


def _size(text: str) -> int:
    return len(text.encode())


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
