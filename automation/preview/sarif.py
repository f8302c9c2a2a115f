"""What the rules found as SARIF 2.1.0, for code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from automation.policy import rules
from automation.policy.rule import Finding, Severity
from automation.policy.settings import PolicySettings
from automation.preview.report import Report

_LEVELS: Final[dict[Severity, str]] = {"mandatory": "error", "advisory": "warning"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

ReadFile = Callable[[str], str]
"""Returns the text of a stack's file, empty where there is none."""


def render(reports: Sequence[Report], read: ReadFile, version: str) -> str:
    """Return all findings, each at the line of the stack's file that decides it."""
    known = rules.rules(PolicySettings())
    driver = {
        "name": "liftoff",
        "version": version,
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            }
            for rule in known
        ],
    }
    index = {rule.id: number for number, rule in enumerate(known)}
    results = [
        _result(finding, index[finding.rule], file_name(report.stack), read(report.stack))
        for report in reports
        for finding in report.findings
    ]
    notifications = [
        {"level": "error", "message": {"text": f"stack {report.stack}: {report.failure.message}"}}
        for report in reports
        if report.failure is not None
    ]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {"executionSuccessful": not notifications, "toolExecutionNotifications": notifications},
        ],
        "results": results,
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def file_name(stack: str) -> str:
    """Return the name of a stack's file."""
    return f"Pulumi.{stack.rsplit('/', maxsplit=1)[-1]}.yaml"


def line_of(text: str, setting: str) -> int:
    """Return the line of a setting in a stack's file, counted from 1; that of `config:` where it has none, else 1."""
    for pattern in ([rf"^\s+['\"]?[\w-]+:{re.escape(setting)}['\"]?:"] if setting else []) + [r"^config:"]:
        found = re.search(pattern, text, re.MULTILINE)
        if found is not None:
            return text.count("\n", 0, found.start()) + 1
    return 1


def _result(finding: Finding, rule: int, file: str, text: str) -> dict[str, Any]:
    # The same finding keeps its identity when lines move.
    identity = hashlib.sha256("\n".join((file, finding.rule, finding.urn, finding.path)).encode()).hexdigest()
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. Mend it: {finding.fix}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": file, "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": line_of(text, finding.setting)},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.urn, "kind": "resource"}] if finding.urn else [],
            }
        ],
        "partialFingerprints": {"liftoff/v1": identity},
    }
