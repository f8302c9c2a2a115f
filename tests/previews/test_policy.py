"""Each rule fires on a stack that breaks it and is silent on the examples; policy.yaml says what is allowed."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from automation.errors import Stopped
from automation.policy import openings, rules, settings
from automation.policy.rule import Finding, Resource
from automation.policy.settings import PolicySettings
from automation.preview import steps
from automation.preview.report import build

from .conftest import recorded, reported

ROOT = Path(__file__).parents[2]
MACHINES = ("aws:ec2/instance:Instance", "azure-native:compute:VirtualMachine", "gcp:compute/instance:Instance")
Inputs = dict[str, Any]


def resources(name: str, change: Callable[[str, Inputs], None] = lambda _type, _inputs: None) -> list[Resource]:
    """Return a recorded stack's resources, changed."""
    found = []
    for step in steps.read(recorded(name)["steps"]):
        inputs = copy.deepcopy(dict(step.new or {}))
        change(step.type, inputs)
        found.append(Resource(step.urn, step.type, inputs))
    return found


def only(rule: str, found: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in found if finding.rule == rule]


def _aws_open(type_: str, inputs: Inputs) -> None:
    if "securityGroup" in type_:
        inputs["ingress"][0]["cidrBlocks"] = ["0.0.0.0/0"]


def _azure_open(type_: str, inputs: Inputs) -> None:
    if type_.endswith("NetworkSecurityGroup"):
        inputs["securityRules"][0]["sourceAddressPrefixes"] = ["Internet"]


def _gcp_open(type_: str, inputs: Inputs) -> None:
    if type_.endswith("Firewall"):
        inputs["sourceRanges"] = ["::/0"]


def _aws_ssh(type_: str, inputs: Inputs) -> None:
    if "securityGroup" in type_:
        inputs["ingress"].append({"protocol": "tcp", "fromPort": 20, "toPort": 30, "ipv6CidrBlocks": ["::/0"]})


def _azure_ssh(type_: str, inputs: Inputs) -> None:
    if type_.endswith("NetworkSecurityGroup"):
        rule = {"direction": "Inbound", "access": "Allow", "sourceAddressPrefix": "*", "destinationPortRange": "22"}
        inputs["securityRules"].append(rule)


def _gcp_ssh(type_: str, inputs: Inputs) -> None:
    if type_.endswith("Firewall"):
        del inputs["sourceRanges"]
        inputs["allows"] = [{"protocol": "tcp", "ports": ["22"]}]


def _unencrypted(type_: str, inputs: Inputs) -> None:
    if type_ in MACHINES:
        inputs["rootBlockDevice"]["encrypted"] = False


def _unmanaged(type_: str, inputs: Inputs) -> None:
    if type_ in MACHINES:
        del inputs["storageProfile"]["osDisk"]["managedDisk"]


def _imdsv1(type_: str, inputs: Inputs) -> None:
    if type_ in MACHINES:
        inputs["metadataOptions"]["httpTokens"] = "optional"


def _untagged(type_: str, inputs: Inputs) -> None:
    for key in ("tags", "labels"):
        if isinstance(inputs.get(key), dict):
            inputs[key].pop("liftoff-stack", None)


def _endless(type_: str, inputs: Inputs) -> None:
    for key in ("tags", "labels"):
        if isinstance(inputs.get(key), dict):
            inputs[key].pop("liftoff-expires", None)


def _nothing(type_: str, inputs: Inputs) -> None:
    return None


@pytest.mark.parametrize(
    ("rule", "stack", "breaks", "allowed"),
    [
        ("open-ingress", "aws-create", _aws_open, {}),
        ("open-ingress", "azure-create", _azure_open, {}),
        ("open-ingress", "gcp-create", _gcp_open, {}),
        ("open-ingress", "aws-create", _aws_ssh, {}),
        ("public-ssh", "aws-create", _aws_ssh, {}),
        ("public-ssh", "azure-create", _azure_ssh, {}),
        ("public-ssh", "gcp-create", _gcp_ssh, {}),
        ("disk-encryption", "aws-create", _unencrypted, {}),
        ("disk-encryption", "azure-create", _unmanaged, {}),
        ("imdsv2", "aws-create", _imdsv1, {}),
        ("spot-price-cap", "aws-create", _nothing, {}),
        ("spot-price-cap", "azure-create", _nothing, {}),
        ("required-tags", "aws-create", _untagged, {}),
        ("required-tags", "azure-create", _untagged, {}),
        ("required-tags", "gcp-create", _untagged, {}),
        ("required-tags", "gcp-create", _nothing, {"requiredTags": ["liftoff-owner"]}),
        ("expiry", "aws-create", _endless, {}),
        ("expiry", "azure-create", _endless, {}),
        ("expiry", "gcp-create", _endless, {}),
        ("expiry", "gcp-create", _nothing, {"maxLifetimeHours": 0.5}),
        ("allowed-regions", "aws-create", _nothing, {"allowedRegions": ["eu-*"]}),
        ("allowed-regions", "azure-create", _nothing, {"allowedRegions": ["westeurope"]}),
        ("allowed-regions", "gcp-create", _nothing, {"allowedRegions": ["europe-*"]}),
        ("allowed-types", "aws-create", _nothing, {"allowedTypes": ["g5.*"]}),
        ("allowed-types", "azure-create", _nothing, {"allowedTypes": ["g5.*"]}),
        ("budget", "aws-create", _nothing, {"budgetUsdPerMonth": 100}),
        ("budget", "azure-create", _nothing, {"budgetUsdPerMonth": 100}),
        ("budget", "gcp-create", _nothing, {"budgetUsdPerMonth": 100}),
    ],
)
def test_a_rule_fires_on_a_stack_that_breaks_it(
    rule: str, stack: str, breaks: Callable[[str, Inputs], None], allowed: Inputs
) -> None:
    found = only(rule, rules.check(resources(stack, breaks), PolicySettings.model_validate(allowed)))
    assert found
    for finding in found:
        assert finding.fix
        assert finding.found in finding.message
        assert finding.severity == ("advisory" if rule == "spot-price-cap" else "mandatory")


def _capped(type_: str, inputs: Inputs) -> None:
    """The examples name the most to pay, which the recordings do not."""
    if type_ == MACHINES[0]:
        inputs["instanceMarketOptions"]["spotOptions"]["maxPrice"] = "0.98"
    elif type_ == MACHINES[1]:
        inputs["billingProfile"]["maxPrice"] = 3.2


@pytest.mark.parametrize("stack", ["aws", "azure", "gcp", "dev"])
def test_no_rule_has_anything_against_the_examples(stack: str) -> None:
    example = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    assert ("liftoff:maxPricePerHour" in example) == (stack in {"aws", "azure"})
    assert rules.check(resources(f"{stack}-create", _capped), PolicySettings()) == ()


def test_a_port_that_is_said_to_be_open_is_allowed_but_never_ssh() -> None:
    allowed = PolicySettings.model_validate({"allowOpenPorts": [443, 22]})
    assert rules.check(resources("gcp-create", _gcp_open), allowed) == ()
    assert only("public-ssh", rules.check(resources("gcp-create", _gcp_ssh), allowed))


def test_a_budget_over_unknown_prices_says_so_and_stops_nothing() -> None:
    (finding,) = rules.check(resources("azure-create", _capped), PolicySettings(budget_usd_per_month=10_000))
    assert (finding.rule, finding.severity) == ("budget", "advisory")
    assert "no price is known of" in finding.message


def test_severities_can_be_changed_and_rules_turned_off() -> None:
    changed = PolicySettings.model_validate({"severities": {"spot-price-cap": "mandatory", "imdsv2": "off"}})
    found = rules.check(resources("aws-create", _imdsv1), changed)
    assert [(one.rule, one.severity) for one in found] == [("spot-price-cap", "mandatory")]


def test_what_is_destroyed_is_held_to_no_rule() -> None:
    allowed = PolicySettings(allowed_regions=("eu-*",))
    assert build("prod", recorded("aws-destroy")["steps"], allowed, destroys=True).findings == ()
    assert reported("aws-destroy").exit_code == 0


def test_every_part_of_half_the_internet_counts_as_anywhere() -> None:
    halves = {"protocol": "-1", "cidrBlocks": ["0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8"]}
    of = Resource("urn", "aws:ec2/securityGroup:SecurityGroup", {"ingress": [halves]})
    assert [(one.ports, one.from_anywhere) for one in openings.openings([of])] == [
        ("every port", True),
        ("every port", True),
        ("every port", False),
    ]


def test_a_stack_has_its_own_keys_over_the_files_over_the_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path, "prod") == PolicySettings()
    (tmp_path / "policy.yaml").write_text(
        "budgetUsdPerMonth: 500\nallowedRegions: [us-*]\n"
        "stacks:\n  demo: {allowOpenPorts: [443], budgetUsdPerMonth: 50}\n"
    )
    prod, demo = settings.load(tmp_path, "prod"), settings.load(tmp_path, "team/demo")
    assert (prod.budget_usd_per_month, prod.allow_open_ports) == (500, ())
    assert (demo.budget_usd_per_month, demo.allow_open_ports, demo.allowed_regions) == (50, (443,), ("us-*",))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("budgetUsdPerMonth: -1", "budgetUsdPerMonth"),
        ("budget: 5", "budget"),
        ("allowOpenPorts: [70000]", "allowOpenPorts.0"),
        ("severities: {imdsv3: off}", "severities.imdsv3"),
        ("severities: {imdsv2: loud}", "severities.imdsv2"),
        ("stacks: {prod: {allowedRegions: us}}", "allowedRegions"),
        ("- a", "given a list"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_policy_yaml_says_wrong_is_refused_by_field(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(Stopped, match=field) as refused:
        settings.load(tmp_path, "prod")
    assert refused.value.kind.exit_code == 13


def test_the_example_in_the_docs_is_one_that_is_taken(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "previews.md").read_text()
    example = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "policy.yaml").write_text(example)
    settings.load(tmp_path, "demo")
    keys = {field.alias for field in PolicySettings.model_fields.values()}
    assert keys - {key for key in keys if f"`{key}`" in text} == set()
    assert [rule.id for rule in rules.rules(PolicySettings()) if f"`{rule.id}`" not in text] == []
