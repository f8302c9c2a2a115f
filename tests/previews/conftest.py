"""Recorded previews of the real engine, as reports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automation.policy.settings import PolicySettings
from automation.preview import engine, report
from automation.preview.report import Report
from automation.stages import Event
from automation.worker import Result

RECORDINGS = Path(__file__).parent / "recordings"
GOLDEN = Path(__file__).parent / "golden"


def recorded(name: str) -> dict[str, Any]:
    """Return a recording."""
    found: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
    return found


def reported(name: str, allowed: PolicySettings | None = None) -> Report:
    """Return the report on a recording."""
    of = recorded(name)
    if of["ok"]:
        return report.build("prod", of["steps"], allowed or PolicySettings(), destroys=name.endswith("destroy"))
    failing = [
        Event(1, 0.0, "diagnostic", urn=one["urn"], message=one["message"], severity="error") for one in of["errors"]
    ]
    return report.failed("prod", engine.judged(Result(ok=False, text=of["text"]), failing))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file; `pytest --update-golden` writes it."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert text == path.read_text()

    return compare
