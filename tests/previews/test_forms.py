"""The other forms of a preview: JSON, text, SARIF; and what they cost and fit."""

import io
import json
from pathlib import Path

import pytest
import typer
from rich.console import Console

from automation import preview_command
from automation.errors import Kind
from automation.policy.settings import PolicySettings
from automation.preview import cost, report, sarif, steps, text
from automation.preview_command import exit_code

from .conftest import recorded, reported

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
FILE = "config:\n  liftoff:provider: aws\n  liftoff:maxModelLen: 5\n  liftoff:maxPricePerHour: 0\n"


def test_sarif_points_at_the_line_that_decides() -> None:
    of = reported("aws-create", PolicySettings(allowed_types=("g5.*",)))
    document = json.loads(sarif.render([of, reported("aws-failed")], lambda _: FILE, "0.1.0"))
    (run,) = document["runs"]
    lines = {one["ruleId"]: one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in run["results"]}
    assert lines == {"allowed-types": 1, "spot-price-cap": 4}
    levels = {one["ruleId"]: one["level"] for one in run["results"]}
    assert levels == {"allowed-types": "error", "spot-price-cap": "warning"}
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "Pulumi.prod.yaml"
    assert run["invocations"][0]["executionSuccessful"] is False
    names = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(names[one["ruleIndex"]] == one["ruleId"] for one in run["results"])


def test_json_and_text_tell_what_the_comment_tells() -> None:
    of = reported("aws-instance-type")
    document = json.loads(json.dumps(text.document(of)))
    assert [step["action"] for step in document["steps"]] == ["replace"] * 4
    assert document["fit"]["after"]["instance_type"] == "g6e.2xlarge"
    assert document["cost"]["after"]["monthly"] > document["cost"]["before"]["monthly"]
    written = io.StringIO()
    text.show([of, reported("aws-failed")], Console(file=written, width=120))
    for told in ("Downtime: prod-machine is replaced", '"g6.2xlarge" → "g6e.2xlarge"', "the preview failed"):
        assert told in written.getvalue()


def test_the_cost_is_that_of_machine_disk_and_address_by_the_catalog() -> None:
    of = cost.after(steps.read(recorded("aws-create")["steps"]))
    assert of.unknown == ()
    # 150 GiB, 375 MiB/s and 1,000 IOPS above what is included; one address.
    beside = 150 * 0.08 + 375 * 0.04 + 1000 * 0.005 + 0.005 * 730
    assert of.monthly == pytest.approx(0.4416 * 730 + beside)
    assert cost.before(steps.read(recorded("aws-create")["steps"])) == cost.NOTHING
    assert cost.after(steps.read(recorded("aws-destroy")["steps"])) == cost.NOTHING
    assert cost.after(steps.read(recorded("dev-create")["steps"])) == cost.NOTHING


def test_a_model_that_does_not_fit_any_more_is_told() -> None:
    records = json.loads(json.dumps(recorded("aws-create")["steps"]).replace("g6.2xlarge", "g4dn.xlarge"))
    found = report.build("prod", records, PolicySettings())
    assert found.fit_after is not None
    assert found.fit_after.fits is False


def test_a_failure_counts_before_a_rule_and_a_rule_before_nothing() -> None:
    forbidden = reported("aws-create", PolicySettings(allowed_types=("g5.*",)))
    failed, fine = reported("aws-failed"), reported("aws-same")
    assert failed.failure is not None
    assert exit_code([forbidden, failed]) == failed.failure.kind.exit_code
    assert exit_code([fine, forbidden]) == Kind.POLICY.exit_code
    assert exit_code([fine]) == 0


def test_every_option_of_the_command_is_documented() -> None:
    app = typer.Typer(add_completion=False)
    app.command()(preview_command.preview)
    section = DOCS.split("## `liftoff preview`", 1)[1].split("\n## ", 1)[0]
    options = [option for parameter in typer.main.get_command(app).params for option in parameter.opts]
    assert [option for option in options if option.startswith("--") and f"`{option}`" not in section] == []
