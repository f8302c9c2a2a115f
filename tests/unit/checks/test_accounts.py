"""What each cloud's API says of credentials, permissions, switches and quotas."""

import json
from collections.abc import Iterable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import settings as moto_settings

from automation.checks import aws as aws_checks
from automation.checks import azure as azure_checks
from automation.checks.aws import AwsAccount
from automation.checks.azure import AzureAccount
from automation.checks.finding import CREDENTIALS, PERMISSIONS, SERVICES, SPOT_ROLE, Finding, State
from automation.checks.gcp import GcpAccount
from automation.checks.machine import Machine
from automation.cloud_api.azure import Azure
from automation.cloud_api.gcp import Gcp
from automation.cloud_api.refused import Refused
from automation.errors import Kind
from components import aws as aws_component
from components import catalog
from tests.clouds import http_api
from tests.clouds.aws_api import AwsApi
from tests.clouds.aws_rules import INSTANCE
from tests.clouds.azure_api import CONTRIBUTOR, ROLE_ADMINISTRATOR, AzureApi
from tests.clouds.azure_rules import MACHINE, SUBSCRIPTION
from tests.clouds.cloud import World
from tests.clouds.gcp_api import GcpApi
from tests.clouds.http_api import Refusal
from tests.clouds.truth import Record


def machine(provider: str, name: str, region: str, *, spot: bool = True, **more: str) -> Machine:
    return Machine(region, catalog.instance_type(provider, name), spot, **more)


L4 = machine("aws", "g6.2xlarge", "us-east-1")
A10 = machine("azure", "Standard_NV36ads_A10_v5", "eastus")
G2 = machine("gcp", "g2-standard-24", "us-central1")


def of(findings: Iterable[Finding], subject: str) -> list[Finding]:
    return [finding for finding in findings if finding.subject == subject]


def record(provider: str, token: str, region: str, inputs: dict[str, Any], number: int = 1) -> Record:
    return Record(provider, token, "urn", f"i-{number:017x}", inputs, {}, region, {"liftoff-stack": "s"}, 0.0, "ready")


# AWS


def test_aws_says_who_asks(aws_account: AwsAccount) -> None:
    found = aws_account.who()
    assert (found.subject, found.state) == (CREDENTIALS, State.OK)
    assert "in account 123456789012" in found.message


def test_aws_dry_runs_are_all_allowed_and_make_nothing(aws_account: AwsAccount, aws: AwsApi) -> None:
    (found,) = of(aws_account.rights(L4), PERMISSIONS)
    assert (found.state, found.kind) == (State.OK, None)
    ec2 = boto3.client("ec2", region_name="us-east-1")
    assert ec2.describe_instances()["Reservations"] == []
    assert [vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]] == [True]


def test_a_call_that_aws_policies_do_not_allow_is_named(
    aws: AwsApi, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    iam = boto3.client("iam", region_name="us-east-1")
    iam.create_user(UserName="launcher")
    allowed = {"Effect": "Allow", "Action": ["ec2:*", "iam:*", "ssm:*"], "Resource": "*"}
    denied = {"Effect": "Deny", "Action": ["ec2:RunInstances", "ec2:CreateVpc", "ssm:GetParameter"], "Resource": "*"}
    iam.put_user_policy(
        UserName="launcher",
        PolicyName="most",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed, denied]}),
    )
    keys = iam.create_access_key(UserName="launcher")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    found = of(AwsAccount("us-east-1").rights(L4), PERMISSIONS)
    missing = [one for one in found if one.state is State.MISSING]
    assert {one.kind for one in missing} == {Kind.CREDENTIALS}
    told = " ".join(one.message for one in missing)
    assert "ec2:CreateVpc" in told
    assert "ssm:GetParameter" in told
    assert "ec2:AllocateAddress" not in told
    # Nobody can say whether it may be run without an image to run.
    assert "ec2:RunInstances" not in told


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("DryRunOperation", "DryRunOperation"),
        ("UnauthorizedOperation", "UnauthorizedOperation"),
        ("InvalidVpcID.NotFound", "InvalidVpcID.NotFound"),
    ],
)
def test_a_dry_run_that_fails_for_another_reason_tells_nothing_of_permissions(code: str, answer: str) -> None:
    def probe() -> None:
        raise ClientError({"Error": {"Code": code}}, "CreateVpc")

    assert aws_checks._dry_run(probe) == answer


@pytest.mark.parametrize("code", ["AuthFailure", "RequestLimitExceeded"])
def test_a_dry_run_that_nobody_judged_is_no_answer(code: str) -> None:
    def probe() -> None:
        raise ClientError({"Error": {"Code": code}}, "CreateVpc")

    with pytest.raises(Refused) as caught:
        aws_checks._dry_run(probe)
    assert caught.value.code == code


def test_run_instances_is_tried_with_the_image_that_the_program_boots() -> None:
    assert aws_checks._IMAGE == aws_component._IMAGE


def test_the_role_for_spot_machines_is_missed_only_where_one_is_asked_for(aws_account: AwsAccount, aws: AwsApi) -> None:
    (missing,) = of(aws_account.rights(L4), SPOT_ROLE)
    assert (missing.state, missing.kind) == (State.MISSING, Kind.CREDENTIALS)
    assert missing.hint == "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
    assert of(aws_account.rights(machine("aws", "g6.2xlarge", "us-east-1", spot=False)), SPOT_ROLE) == []
    boto3.client("iam", region_name="us-east-1").create_role(
        RoleName="AWSServiceRoleForEC2Spot", AssumeRolePolicyDocument="{}"
    )
    (there,) = of(aws_account.rights(L4), SPOT_ROLE)
    assert there.state is State.OK


def test_aws_counts_the_family_and_the_market_of_a_machine(aws_account: AwsAccount, world: World) -> None:
    world.market.quotas["aws", "us-east-1", "g-spot"] = 24
    spot = {"instanceMarketOptions": {"marketType": "spot"}}
    world.truth.add(record("aws", INSTANCE, "us-east-1", {"instanceType": "g5.xlarge", **spot}, 1))
    world.truth.add(record("aws", INSTANCE, "us-east-1", {"instanceType": "g6.2xlarge"}, 2))
    world.truth.add(record("aws", INSTANCE, "us-east-1", {"instanceType": "p4d.24xlarge", **spot}, 3))
    world.truth.add(record("aws", INSTANCE, "us-east-2", {"instanceType": "g6.2xlarge", **spot}, 4))
    (found,) = aws_account.quotas(L4)
    assert (found.limit, found.used, found.needed, found.unit) == (24, 4, 8, "vCPUs")
    assert "--quota-code L-3819A6DF --region us-east-1 --desired-value 12" in found.raised_by


def test_aws_tells_nothing_of_a_family_whose_quota_is_not_known(aws_account: AwsAccount) -> None:
    assert aws_account.quotas(machine("aws", "p6-b200.48xlarge", "us-east-1")) == ()


def test_aws_without_credentials_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused) as caught:
        AwsAccount("us-east-1").who()
    assert caught.value.code == "no_credentials"


def test_a_profile_of_aws_that_is_not_there_is_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Refused, match="nobody") as caught:
        AwsAccount("us-east-1").who()
    assert caught.value.code == "no_credentials"


# Azure


def test_azure_says_which_subscription_and_that_it_is_enabled(azure_account: AzureAccount, azure: AzureApi) -> None:
    assert azure_account.who().state is State.OK
    azure.state = "Disabled"
    found = azure_account.who()
    assert (found.state, found.kind) == (State.MISSING, Kind.CREDENTIALS)
    assert "Disabled" in found.message


def test_a_contributor_of_azure_may_not_let_the_node_delete_itself(
    azure_account: AzureAccount, azure: AzureApi
) -> None:
    azure.permissions = [CONTRIBUTOR]
    (found,) = of(azure_account.rights(A10), PERMISSIONS)
    assert (found.state, found.kind) == (State.MISSING, Kind.CREDENTIALS)
    assert "Microsoft.Authorization/roleAssignments/write" in found.message
    assert "Microsoft.Compute" not in found.message
    assert "Role Based Access Control Administrator" in found.hint


def test_two_roles_of_azure_count_together(azure_account: AzureAccount, azure: AzureApi) -> None:
    roles = {"actions": ["Microsoft.Authorization/roleDefinitions/*"], "notActions": []}
    azure.permissions = [CONTRIBUTOR, ROLE_ADMINISTRATOR, roles]
    (found,) = of(azure_account.rights(A10), PERMISSIONS)
    assert found.state is State.OK


def test_an_existing_group_and_subnet_of_azure_need_less_and_are_asked_for_themselves(
    azure_account: AzureAccount, azure: AzureApi
) -> None:
    inside = machine("azure", "Standard_NV36ads_A10_v5", "eastus", group="mine", subnet="/subnet")
    needed = azure_checks.needed(inside)
    assert not [action for action in needed if "resourceGroups/" in action or action.endswith("virtualNetworks/write")]
    azure_account.rights(inside)
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/mine/providers/Microsoft.Authorization/permissions"
    assert scope in [asked.path for asked in azure.asked]


def test_a_provider_of_azure_that_is_not_registered_is_a_matter_of_one_command(
    azure_account: AzureAccount, azure: AzureApi
) -> None:
    azure.registered.remove("Microsoft.Network")
    compute, network = of(azure_account.rights(A10), SERVICES)
    assert (compute.state, network.state, network.kind) == (State.OK, State.MISSING, Kind.CONFIGURATION)
    assert network.hint == "az provider register --namespace Microsoft.Network"


def test_azure_counts_all_spot_machines_of_a_region_together(azure_account: AzureAccount, world: World) -> None:
    world.market.quotas["azure-native", "eastus", "LowPriorityCores"] = 40
    inputs = {"hardwareProfile": {"vmSize": "Standard_NC8as_T4_v3"}, "priority": "Spot"}
    world.truth.add(record("azure-native", MACHINE, "eastus", inputs))
    (found,) = azure_account.quotas(A10)
    assert (found.limit, found.used, found.needed, found.is_short) == (40, 8, 36, True)


def test_azure_counts_an_on_demand_machine_by_family_and_by_region(azure_account: AzureAccount, world: World) -> None:
    world.market.quotas["azure-native", "eastus", "Standard NVADSA10v5 Family Cores"] = 0
    found = azure_account.quotas(machine("azure", "Standard_NV36ads_A10_v5", "eastus", spot=False))
    assert [(one.name, one.is_short) for one in found] == [
        ("Standard NVADSA10v5 Family Cores (StandardNVADSA10v5Family)", True),
        ("Total Regional Cores (cores)", False),
    ]


def test_azure_that_lets_nobody_read_permissions_is_not_known(azure_account: AzureAccount, azure: AzureApi) -> None:
    told = {"error": {"code": "AuthorizationFailed", "message": "does not have authorization"}}
    azure.refusals.append(Refusal("Microsoft.Authorization/permissions", 403, told))
    (found,) = of(azure_account.rights(A10), PERMISSIONS)
    assert (found.state, found.kind) == (State.UNKNOWN, None)


def test_azure_is_found_and_logged_in_to_by_its_metadata_host(azure_login: AzureApi) -> None:
    account = AzureAccount(Azure.connect())
    assert account.who().state is State.OK
    assert "/metadata/endpoints" in [asked.path for asked in azure_login.asked]


def test_a_client_secret_that_azure_refuses_is_told_as_refused(
    azure_login: AzureApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARM_CLIENT_SECRET", "a-wrong-secret")
    with pytest.raises(Refused) as caught:
        AzureAccount(Azure.connect()).who()
    assert (caught.value.code, caught.value.status) == ("invalid_client", 401)


def test_a_way_to_log_in_that_only_the_provider_has_is_not_called_missing() -> None:
    with pytest.raises(Refused) as caught:
        Azure.connect({"ARM_USE_OIDC": "true", "ARM_SUBSCRIPTION_ID": SUBSCRIPTION})
    assert caught.value.code == "login_not_known"


def test_an_environment_of_azure_that_is_not_known_names_those_that_are() -> None:
    with pytest.raises(Refused, match="given 'moon'; allowed: public, usgovernment, china"):
        Azure.connect({"ARM_ENVIRONMENT": "moon"})


# GCP


def test_gcp_says_for_which_project(gcp_account: GcpAccount) -> None:
    found = gcp_account.who()
    assert (found.state, "emulated-project" in found.message) == (State.OK, True)


def test_gcp_names_each_permission_that_is_not_granted(gcp_account: GcpAccount, gcp: GcpApi) -> None:
    (before,) = of(gcp_account.rights(G2), PERMISSIONS)
    assert before.state is State.OK
    gcp.granted = {"compute.instances.get", "compute.networks.create"}
    (found,) = of(gcp_account.rights(G2), PERMISSIONS)
    assert (found.state, found.kind) == (State.MISSING, Kind.CREDENTIALS)
    assert "compute.instances.create" in found.message
    assert "compute.networks.create" not in found.message
    assert "roles/compute.admin" in found.hint


def test_a_project_of_gcp_without_compute_engine_says_how_it_is_switched_on(
    gcp_account: GcpAccount, gcp: GcpApi
) -> None:
    gcp.compute_enabled = False
    assert gcp_account.who().state is State.OK
    (found,) = of(gcp_account.rights(G2), SERVICES)
    assert (found.state, found.kind) == (State.MISSING, Kind.CONFIGURATION)
    assert found.hint == "gcloud services enable compute.googleapis.com --project emulated-project"


def test_gcp_counts_gpus_in_the_region_and_in_all_regions(gcp_account: GcpAccount, world: World) -> None:
    world.market.quotas["gcp", "us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS"] = 1
    world.market.quotas["gcp", "global", "GPUS_ALL_REGIONS"] = 2
    region, everywhere = gcp_account.quotas(G2)
    assert (region.name, region.limit, region.needed, region.is_short) == ("PREEMPTIBLE_NVIDIA_L4_GPUS", 1, 2, True)
    assert (everywhere.place, everywhere.is_short) == ("all regions", False)


def test_a_project_that_is_not_there_is_a_setting_to_correct(gcp: GcpApi) -> None:
    environment = {**gcp.environment(), "GOOGLE_PROJECT": "another"}
    found = GcpAccount(Gcp.connect(environment=environment)).who()
    assert (found.state, found.kind) == (State.MISSING, Kind.CONFIGURATION)


def test_a_key_of_google_that_is_none_is_not_repeated() -> None:
    with pytest.raises(Refused) as caught:
        Gcp.connect(environment={"GOOGLE_CREDENTIALS": "not-a-key-but-secret"})
    assert caught.value.code == "no_credentials"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["azure", "gcp"])
def test_a_token_that_has_expired_is_told_as_refused_credentials(azure: AzureApi, gcp: GcpApi, kind: str) -> None:
    environment = {**gcp.environment(), "GOOGLE_OAUTH_ACCESS_TOKEN": "expired"}
    account = (
        AzureAccount(Azure(SUBSCRIPTION, lambda: "expired", azure.url))
        if kind == "azure"
        else GcpAccount(Gcp.connect(environment=environment))
    )
    with pytest.raises(Refused) as caught:
        account.who()
    assert caught.value.status == 401 or caught.value.code == "invalid_grant"
    assert http_api.TOKEN not in str(caught.value)
