import json
from typing import Any

import pytest
from pulumi.automation import EngineEvent

from automation import update
from automation.worker import SECRET


def event(**kind: Any) -> EngineEvent:
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, **kind})


def test_of_a_resource_only_what_is_done_to_it_leaves_the_worker() -> None:
    state = {"type": "t", "urn": "u", "inputs": {"userData": "hush"}, "outputs": {"apiKey": "hush"}}
    metadata = {"op": "create", "urn": "u", "type": "t", "provider": "p", "new": state}
    plain = update.plain(event(resOutputsEvent={"metadata": metadata}))
    assert plain == {"kind": "outputs", "urn": "u", "type": "t", "op": "create"}


def test_a_diagnostic_may_have_no_resource() -> None:
    plain = update.plain(event(diagnosticEvent={"message": "update failed\n", "color": "raw", "severity": "error"}))
    assert plain is not None
    assert (plain["urn"], plain["message"], plain["ephemeral"]) == ("", "update failed", False)


@pytest.mark.parametrize("told", [{"message": "x", "severity": "debug"}, {"message": " \n", "severity": "info"}])
def test_what_says_nothing_is_left_out(told: dict[str, str]) -> None:
    assert update.plain(event(diagnosticEvent={"color": "raw", **told})) is None


def test_secrets_are_masked_at_any_depth() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "hush"}
    found = update.masked({"a": secret, "b": [1, {"c": secret}], "d": "plain"})
    assert found == {"a": SECRET, "b": [1, {"c": SECRET}], "d": "plain"}
    assert "hush" not in json.dumps(found)
