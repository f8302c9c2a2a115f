"""docs/clouds.md lists what the check looks up."""

from pathlib import Path

import boto3
import pytest

from automation.checks import aws, aws_quotas, azure, gcp
from automation.checks.machine import Machine
from components import catalog

DOCS = (Path(__file__).parents[3] / "docs" / "clouds.md").read_text()


def machine(provider: str, name: str) -> Machine:
    return Machine("r1", catalog.instance_type(provider, name), spot=True)


def test_every_call_of_aws_that_is_tried_is_documented() -> None:
    client = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    probes = aws._probes(client, machine("aws", "g6.2xlarge"), "ami-1")
    names = [action.removeprefix("ec2:") for action in probes]
    assert [name for name in names if f"`{name}`" not in DOCS and f"`ec2:{name}`" not in DOCS] == []


@pytest.mark.parametrize(
    "name",
    [
        *(code for _, code, _ in (*aws_quotas.SPOT, *aws_quotas.ON_DEMAND)),
        *(action.split("/")[0] for action in azure.needed(machine("azure", "Standard_NV36ads_A10_v5"))),
        *(action.split("/")[-2] for action in azure.needed(machine("azure", "Standard_NV36ads_A10_v5"))),
        *(permission.split(".")[1] for permission in gcp.needed(machine("gcp", "g2-standard-8"))),
        *(permission.split(".")[2] for permission in gcp.needed(machine("gcp", "g2-standard-8"))),
    ],
)
def test_every_quota_and_every_resource_that_a_permission_is_for_is_documented(name: str) -> None:
    assert name in DOCS
