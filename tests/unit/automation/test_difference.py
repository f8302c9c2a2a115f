import json
from collections.abc import Mapping
from typing import Any

from automation.difference import Difference, of_step
from automation.drift import DriftResult
from automation.drift_command import records, sentences
from automation.errors import Kind, LaunchFailure
from provider.status import Stage

URN = "urn:pulumi:chat::liftoff::aws:ec2/instance:Instance::chat-machine"
TYPE = "aws:ec2/instance:Instance"


def step(old: Mapping[str, Any], new: Mapping[str, Any], *paths: str) -> Difference:
    found = of_step(URN, TYPE, "update", ({}, old), ({}, new), paths)
    assert found is not None
    return found


def sides(found: Difference) -> dict[str, tuple[str | None, str | None]]:
    return {change.property: (change.state, change.real) for change in found.changes}


def test_what_is_as_the_state_says_is_no_difference() -> None:
    assert of_step(URN, TYPE, "same", ({}, {}), ({}, {}), ()) is None


def test_what_is_gone_has_no_properties() -> None:
    found = of_step(URN, TYPE, "delete", ({}, {"a": 1}), ({}, {}), ())
    assert found is not None
    assert (found.name, found.what, found.changes) == ("chat-machine", "gone", ())


def test_a_property_is_found_by_the_engines_path() -> None:
    old = {"tags": {"a.b": "x"}, "rules": [{"port": 443}], "size": 1}
    new = {"tags": {}, "rules": [{"port": 80}], "size": 1}
    assert sides(step(old, new, 'tags["a.b"]', "rules[0].port")) == {
        'tags["a.b"]': ("x", None),
        "rules[0].port": ("443", "80"),
    }


def test_without_paths_the_outputs_are_compared() -> None:
    assert sides(step({"state": "running", "a": 1}, {"state": "stopped", "a": 1})) == {"state": ("running", "stopped")}


def test_a_secret_on_either_side_hides_both() -> None:
    old, new = {"data": {"key": "[secret]"}, "plain": "x"}, {"data": {"key": "in the open"}, "plain": "[secret]"}
    assert sides(step(old, new)) == {"data": ("[secret]", "[secret]"), "plain": ("[secret]", "[secret]")}


def test_a_long_value_is_cut() -> None:
    (change,) = step({"data": "a" * 5000}, {"data": "b"}).changes
    assert change.state is not None
    assert len(change.state) < 250
    assert change.state.endswith("(5000 characters)")


def test_a_person_is_told_what_differs_and_what_to_do() -> None:
    changed = step({"tags": {"a": "x"}, "key": "[secret]"}, {"tags": {}, "key": "open"}, "tags.a", "key")
    gone = of_step(URN, TYPE, "delete", ({}, {}), ({}, {}), ())
    assert gone is not None
    told = list(sentences(DriftResult("chat", 1.0, 3, (changed, gone))))
    assert told[:4] == [
        "chat-machine (aws:ec2/instance:Instance) was changed:",
        "  tags.a: in state x, really nothing",
        "  key: in state [secret], really [secret]",
        "chat-machine (aws:ec2/instance:Instance) is gone",
    ]
    assert told[4] == "2 of 3 resources of stack chat are not as its state says."
    assert "liftoff launch --stack chat" in told[5]


def test_a_look_that_failed_is_not_told_as_everything_being_fine() -> None:
    failure = LaunchFailure(Kind.CREDENTIALS, "expired", Stage.VALIDATE, "", "keys expired", "renew them", False, "raw")
    result = DriftResult("chat", 1.0, 3, (), failure)
    assert not any("as its state says" in line for line in sentences(result))
    (record,) = [json.loads(line) for line in records(result)]
    assert (record["ok"], record["failure"]["kind"]) == (False, "credentials")
