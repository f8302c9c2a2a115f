"""The app does what its OpenAPI document says, whatever is asked: values of every sort, right and wrong ones."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import EngineEvent, FatalError, NonFatalError, ScenarioFinished

from control_plane.api.guesses import Guesses
from control_plane.api.rates import Rates
from control_plane.services import Services
from tests.unit.control_plane.conftest import Noted
from tests.unit.control_plane.story import Story

SEED = 7206201
EXAMPLES = {"launch": 25, "read": 8, None: 5}


def _config(scope: str | None, headers: dict[str, str]) -> SchemathesisConfig:
    refused: list[int] = {"launch": [], "read": [403], None: [401]}[scope]
    # What fits the document may still be unknown to the catalog, or too cheap: 422 says so.
    accepted = ["2xx", 404, 409, 422, *refused]
    checks: dict[str, Any] = {"positive_data_acceptance": {"expected-statuses": accepted}}
    # No token that fits the document is known to the server.
    sign_in = {"positive_data_acceptance": {"expected-statuses": ["2xx", 401]}}
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": headers,
            "generation": {"max-examples": EXAMPLES[scope], "no-shrink": True, "database": "none"},
            "checks": checks,
            "operations": [{"include-path": "/session", "checks": sign_in}],
            "phases": {"stateful": {"enabled": False}},
        }
    )


def _said(event: EngineEvent) -> Iterator[str]:
    if isinstance(event, FatalError):
        yield str(event.exception)
    if isinstance(event, NonFatalError):
        yield f"{event.label}: {event.value}"
    if isinstance(event, ScenarioFinished):
        for checks in event.recorder.checks.values():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info
                    yield f"{event.label}: {check.name}: {failure.failure}\n{failure.code_sample}"


@pytest.mark.parametrize("scope", ["launch", "read", None])
def test_every_route_keeps_to_the_document(
    app: FastAPI, services: Services, queue: Noted, story: Story, scope: Any
) -> None:
    for tell in (story.succeeded, story.failed, story.cancelled):
        tell()
    # The events of a launch that goes on have no end.
    queue.carry_out = services.launches.ask_to_cancel
    # Much is asked, and many wrong tokens are tried; the limits have tests of their own.
    app.state.guesses = Guesses(most=1_000_000)
    app.state.token_rates = app.state.address_rates = Rates(0)
    headers = {"X-Admin-Token": services.tokens.issue("fuzzer", scope)} if scope else {}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=_config(scope, headers))
    # It asks the clouds.
    asked = schema.exclude(path="/admin/check")
    said = [text for event in from_schema(asked).execute() for text in _said(event)]
    assert not said, f"{len(said)} failures; the first:\n\n" + "\n\n".join(said[:12])
