"""What was reviewed is what is done, or it is refused with the difference."""

import json
import random
from pathlib import Path

import pytest

from automation.errors import Stopped
from automation.policy.settings import PolicySettings
from automation.preview import digest, report, steps

from .conftest import recorded


def of(name: str) -> digest.Digest:
    return digest.of(steps.read(recorded(name)["steps"]))


def test_the_same_steps_in_any_order_have_the_same_digest() -> None:
    records = recorded("aws-instance-type")["steps"]
    # The three steps of one replacement stay in order, as the engine keeps them.
    urns = sorted({record["urn"] for record in records})
    random.Random(7).shuffle(urns)
    mixed = [record for urn in urns for record in records if record["urn"] == urn]
    assert digest.of(steps.read(mixed)) == of("aws-instance-type")


def test_names_that_the_engine_makes_up_do_not_count() -> None:
    text = json.dumps(recorded("aws-create"))
    name = next(step for step in recorded("aws-create")["steps"] if "securityGroup" in step["type"])["new"]["name"]
    again = json.loads(text.replace(name, f"{name[:-7]}0123abc"))
    assert digest.of(steps.read(again["steps"])) == of("aws-create")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("new", "instanceType"), "p5.48xlarge"),
        (("new", "metadataOptions", "httpTokens"), "optional"),
        (("op",), "same"),
    ],
)
def test_whatever_else_differs_counts(path: tuple[str, ...], value: str) -> None:
    document = recorded("aws-create")
    found = next(step for step in document["steps"] if step["type"] == "aws:ec2/instance:Instance")
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = value
    assert digest.of(steps.read(document["steps"])).sha256 != of("aws-create").sha256


def test_a_file_is_read_back_for_its_own_stack_only(tmp_path: Path) -> None:
    file = tmp_path / "digest.json"
    found = of("aws-instance-type")
    file.write_text(digest.render({"prod": found}))
    assert digest.expected(str(file), "prod") == (found.sha256, tuple(json.loads(json.dumps(list(found.steps)))))
    assert digest.expected(found.sha256.upper(), "prod") == (found.sha256, None)
    with pytest.raises(Stopped, match="one for stack dev"):
        digest.expected(str(file), "dev")
    for text in (
        "",
        "{}",
        "[]",
        file.read_text().replace("replace", "update"),
        file.read_text().replace('"version": 1', '"version": 2'),
    ):
        wrong = tmp_path / "wrong.json"
        wrong.write_text(text)
        with pytest.raises(Stopped):
            digest.expected(str(wrong), "prod")
    with pytest.raises(Stopped, match="64 hex digits"):
        digest.expected("nowhere", "prod")


def test_the_difference_names_the_resource_the_property_and_both_values() -> None:
    told = digest.differences(of("azure-max-price").steps, of("azure-owner").steps)
    assert "prod-machine (azure-native:compute:VirtualMachine): billingProfile.maxPrice: " in "\n".join(told)
    assert any("was not reviewed" in line for line in told)
    assert digest.differences(of("aws-same").steps, of("aws-same").steps) == []
    gone = digest.differences(of("aws-owner").steps, of("aws-same").steps)
    assert all(line.endswith("was reviewed, now nothing happens") for line in gone)


def test_a_report_has_the_digest_of_its_steps() -> None:
    records = recorded("aws-create")["steps"]
    assert report.build("prod", records, PolicySettings()).digest == of("aws-create")
