"""What a reviewer reads."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from automation.difference import SECRET
from automation.policy.settings import PolicySettings
from automation.preview import comment, report
from automation.preview.report import Report

from .conftest import recorded, reported

LIMIT = 65_536


def many(count: int) -> Report:
    """Return the report on a change of many resources: the recorded ones over and over, with names of their own."""
    steps = recorded("aws-instance-type")["steps"] + recorded("gcp-create")["steps"]
    copies = [
        {**step, "urn": f"{step['urn']}-{number:05}"} for number in range(count // len(steps) + 1) for step in steps
    ]
    return report.build("prod", copies[:count], PolicySettings())


@pytest.mark.parametrize(
    "name",
    [
        "aws-create",
        "gcp-create",
        "dev-create",
        "azure-max-price",
        "aws-instance-type",
        "azure-instance-type",
        "aws-owner",
        "aws-destroy",
        "aws-same",
        "aws-failed",
    ],
)
def test_a_comment_is_as_it_was_reviewed(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.md", comment.render([reported(name)]))


def test_a_comment_on_200_resources_is_as_it_was_reviewed(golden: Callable[[str, str], None]) -> None:
    text = comment.render([many(200)])
    golden("200-resources.md", text)
    assert len(text) < LIMIT


@pytest.mark.parametrize("count", [1, 200, 3000])
@pytest.mark.parametrize("stacks", [1, 3])
def test_a_comment_stays_below_githubs_limit_and_tells_what_is_lost_first(count: int, stacks: int) -> None:
    text = comment.render([replace(many(count), stack=f"stack-{number}") for number in range(stacks)])
    assert len(text.encode()) < LIMIT
    assert text.startswith(f"{comment.MARKER}\n")
    assert text.count("### Stack") == stacks
    if count == 3000:
        assert "more" in text
        assert text.index("Downtime") < text.index("… and ")
        assert "<summary>created" not in text
    assert text.count("<details>") == text.count("</details>")
    assert text.count("```") % 2 == 0


def test_a_failure_of_any_length_stays_below_the_limit() -> None:
    failed = reported("aws-failed")
    assert failed.failure is not None
    long = replace(failed, failure=replace(failed.failure, message="é" * 100_000))
    assert len(comment.render([long, long]).encode()) < LIMIT


def test_a_replacement_says_which_property_forces_it_and_that_it_is_downtime() -> None:
    text = comment.render([reported("aws-instance-type")])
    assert "**Downtime: the endpoint does not answer until the new node is ready.**" in text
    assert "<code>instanceType: &quot;g6.2xlarge&quot; → &quot;g6e.2xlarge&quot;</code>" in text
    assert re.search(r"userDataBase64: .*# forces the replacement", text)


def test_what_a_cloud_or_a_program_says_can_be_no_markup() -> None:
    steps = recorded("azure-max-price")["steps"]
    evil = '```\n</details> <img src=x onerror=alert(1)> @everyone "'
    of = next(step for step in steps if step["detailed_diff"])
    path = next(iter(of["detailed_diff"]))
    of["new"]["billingProfile"]["maxPrice"] = evil
    assert path == "billingProfile.maxPrice"
    text = comment.render([report.build("<b>@prod`</b>", steps, PolicySettings())])
    outside = re.sub(r"(`{3,})diff\n.*?\n\1", "", text, flags=re.DOTALL)
    assert "<img" not in outside
    assert "<b>" not in outside
    assert text.count("</details>\n") == text.count("<details>")


@settings(deadline=None, max_examples=50)
@given(
    some.recursive(
        some.none() | some.text() | some.integers(),
        lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    )
)
def test_any_value_can_be_shown(value: Any) -> None:
    record = recorded("aws-create")["steps"][3]
    step = {**record, "new": {"property": value}}
    assert comment.render([report.build("prod", [step], PolicySettings())])


def test_a_secret_that_changes_is_told_without_its_value() -> None:
    step = {
        "urn": "urn:pulumi:prod::liftoff::liftoff:index:Thing::thing",
        "type": "liftoff:index:Thing",
        "op": "update",
        "provider": "",
        "keys": [],
        "diffs": ["storage"],
        "detailed_diff": {"storage.secretAccessKey": {"kind": "update", "of_inputs": True}},
        "old": {"storage": SECRET},
        "new": {"storage": SECRET},
        "old_outputs": {},
    }
    assert "storage.secretAccessKey: (secret, changes)" in comment.render([report.build("p", [step], PolicySettings())])


def test_more_stacks_than_have_room_have_a_line_each_or_are_counted() -> None:
    reports = [Report(f"stack-{number}") for number in range(2000)]
    text = comment.render(reports)
    assert len(text.encode()) < LIMIT
    assert re.search(r"… and \d+ more stacks", text)
