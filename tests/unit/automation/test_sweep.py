"""Machines and addresses that no state knows, found by their tags and deleted through each cloud's own API."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from automation import sweep
from automation.cloud_api.azure import Azure
from automation.cloud_api.gcp import Gcp
from automation.cloud_api.refused import Refused
from automation.worker import Pending
from tests.clouds import aws_api, aws_rules, gcp_rules, http_api
from tests.clouds.aws_rules import ADDRESS as AWS_ADDRESS
from tests.clouds.aws_rules import INSTANCE as AWS_INSTANCE
from tests.clouds.azure_api import AzureApi
from tests.clouds.azure_rules import ADDRESS as AZURE_ADDRESS
from tests.clouds.azure_rules import MACHINE, SUBSCRIPTION
from tests.clouds.cloud import World
from tests.clouds.gcp_api import GcpApi
from tests.clouds.gcp_rules import ADDRESS as GCP_ADDRESS
from tests.clouds.gcp_rules import INSTANCE as GCP_INSTANCE
from tests.clouds.gcp_rules import PROJECT
from tests.clouds.http_api import TOKEN
from tests.clouds.truth import Record

AZURE_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.Compute/virtualMachines/{{}}"
IDS = {"aws": "i-{:0>17}", "azure": AZURE_ID, "gcp": f"projects/{PROJECT}/zones/us-central1-a/instances/{{}}"}
TOKENS = {"aws": ("aws", AWS_INSTANCE), "azure": ("azure-native", MACHINE), "gcp": ("gcp", GCP_INSTANCE)}
ADDRESS_IDS = {
    "aws": "eipalloc-{:0>17}",
    "azure": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.Network/publicIPAddresses/{{}}",
    "gcp": f"projects/{PROJECT}/regions/us-central1/addresses/{{}}",
}
ADDRESSES = {"aws": ("aws", AWS_ADDRESS), "azure": ("azure-native", AZURE_ADDRESS), "gcp": ("gcp", GCP_ADDRESS)}
MARKS = {"liftoff-project": "liftoff", "liftoff-stack": "launch-1"}
REGIONS = {"aws": "us-east-1", "azure": "eastus", "gcp": "us-central1"}
INPUTS: dict[str, dict[str, Any]] = {
    "aws": {"instanceType": "g6.2xlarge", "ami": "ami-12345678"},
    "azure": {"hardwareProfile": {"vmSize": "Standard_NV36ads_A10_v5"}},
    "gcp": {"machineType": "g2-standard-8", "zone": "us-central1-a"},
}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=["aws", "azure", "gcp"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cloud(provider: str, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[sweep.Cloud]:
    with ExitStack() as served:
        if provider == "aws":
            for name, value in served.enter_context(aws_api.served(world)).environment.items():
                monkeypatch.setenv(name, value)
            yield sweep.connect("aws", REGIONS["aws"], {})
        elif provider == "azure":
            azure = AzureApi(world=world)
            served.enter_context(http_api.served(azure))
            yield sweep.AzureCloud(Azure(SUBSCRIPTION, lambda: TOKEN, azure.url))
        else:
            gcp = GcpApi(world=world)
            served.enter_context(http_api.served(gcp))
            yield sweep.GcpCloud(Gcp.connect(environment=gcp.environment()))


def made(world: World, provider: str, name: str, stack: str, project: str = "liftoff") -> str:
    """Let a machine exist, and return its id."""
    found = IDS[provider].format(name)
    inputs = {**INPUTS[provider], "name": name}
    tags = {"liftoff-project": project, "liftoff-stack": stack}
    outputs = {"availabilityZone": "us-east-1a"}
    world.truth.add(
        Record(*TOKENS[provider], f"urn:{name}", found, inputs, outputs, REGIONS[provider], tags, 0.0, "ready")
    )
    return found


def test_only_the_stacks_own_machines_that_its_state_does_not_have_are_found(
    provider: str, world: World, cloud: sweep.Cloud
) -> None:
    lost = made(world, provider, "1", "launch-1")
    known = made(world, provider, "2", "launch-1")
    made(world, provider, "3", "launch-2")
    made(world, provider, "4", "launch-1", project="other")
    assert [one.id for one in sweep.without(cloud.machines(MARKS), {known.upper()})] == [lost]


def test_a_machine_that_was_deleted_has_gone(provider: str, world: World, cloud: sweep.Cloud) -> None:
    made(world, provider, "1", "launch-1")
    other = made(world, provider, "2", "launch-2")
    (lost,) = cloud.machines(MARKS)
    assert dict(lost.tags) == MARKS
    cloud.delete(lost)
    assert [record.id for record in world.truth.find()] == [other]
    assert cloud.machines(MARKS) == []


def reserved(world: World, provider: str, name: str, stack: str) -> str:
    """Let an address exist, and return its id."""
    found = ADDRESS_IDS[provider].format(name)
    ip = f"203.0.113.{name}"
    inputs = {"name": name, "publicIPAllocationMethod": "Static"}
    outputs = {"publicIp": ip, "ipAddress": ip, "address": ip}
    tags = {"liftoff-project": "liftoff", "liftoff-stack": stack}
    world.truth.add(Record(*ADDRESSES[provider], f"urn:{found}", found, inputs, outputs, REGIONS[provider], tags, 0.0))
    return found


def used(world: World, provider: str, address: str) -> None:
    """Let something use an address."""
    ip = world.truth.get(TOKENS[provider][0], address)
    assert ip is not None
    inputs: dict[str, Any]
    if provider == "aws":
        token, inputs = "aws:ec2/eipAssociation:EipAssociation", {"allocationId": address}
    elif provider == "azure":
        token, inputs = "azure-native:network:NetworkInterface", {"ipConfigurations": [{"publicIPAddress": address}]}
    else:
        token, inputs = GCP_INSTANCE, {"zone": "us-central1-a", "natIp": ip.outputs["address"]}
    record = Record(TOKENS[provider][0], token, "urn:user", "user", inputs, {}, REGIONS[provider], {}, 0.0)
    world.truth.add(record)


def test_only_addresses_that_nothing_uses_are_idle(provider: str, world: World, cloud: sweep.Cloud) -> None:
    idle = reserved(world, provider, "1", "launch-1")
    reserved(world, provider, "2", "launch-2")
    used(world, provider, reserved(world, provider, "3", "launch-1"))
    assert [one.id for one in cloud.idle_addresses(MARKS)] == [idle]


def test_an_address_that_was_released_has_gone(provider: str, world: World, cloud: sweep.Cloud) -> None:
    other = reserved(world, provider, "2", "launch-2")
    reserved(world, provider, "1", "launch-1")
    (lost,) = cloud.idle_addresses(MARKS)
    assert dict(lost.tags) == MARKS
    cloud.release(lost)
    assert [record.id for record in world.truth.find()] == [other]
    assert cloud.idle_addresses(MARKS) == []


GROUP = "group"
NETWORK = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Network"
PARTS = {
    # Types, ids, and what their creates were asked for with, the last to go first.
    "aws": [
        ("aws:ec2/vpc:Vpc", "vpc-1", {}),
        (aws_rules.GROUP, "sg-1", {"vpcId": "vpc-1"}),
        (aws_rules.SUBNET, "subnet-1", {"vpcId": "vpc-1"}),
        ("aws:ec2/internetGateway:InternetGateway", "igw-1", {"vpcId": "vpc-1"}),
        ("aws:ec2/routeTable:RouteTable", "rtb-1", {"vpcId": "vpc-1", "gateway": "igw-1"}),
    ],
    "azure": [
        (
            "azure-native:network:NetworkSecurityGroup",
            f"{NETWORK}/networkSecurityGroups/r-1",
            {"resourceGroupName": GROUP, "networkSecurityGroupName": "r-1"},
        ),
        (
            "azure-native:network:VirtualNetwork",
            f"{NETWORK}/virtualNetworks/v-1",
            {"resourceGroupName": GROUP, "virtualNetworkName": "v-1"},
        ),
        (
            "azure-native:network:Subnet",
            f"{NETWORK}/virtualNetworks/v-1/subnets/s-1",
            {"resourceGroupName": GROUP, "virtualNetworkName": "v-1", "subnetName": "s-1"},
        ),
        (
            "azure-native:network:NetworkInterface",
            f"{NETWORK}/networkInterfaces/i-1",
            {"resourceGroupName": GROUP, "networkInterfaceName": "i-1", "subnet": f"{NETWORK}/virtualNetworks/v-1"},
        ),
    ],
    "gcp": [
        (gcp_rules.NETWORK, f"projects/{PROJECT}/global/networks/n-1", {"name": "n-1"}),
        (
            gcp_rules.SUBNET,
            f"projects/{PROJECT}/regions/us-central1/subnetworks/s-1",
            {"name": "s-1", "region": "us-central1", "network": f"projects/{PROJECT}/global/networks/n-1"},
        ),
        (
            "gcp:compute/firewall:Firewall",
            f"projects/{PROJECT}/global/firewalls/f-1",
            {"name": "f-1", "network": f"projects/{PROJECT}/global/networks/n-1"},
        ),
    ],
}


def cut_off(world: World, provider: str) -> list[Pending]:
    """Let the parts of a network exist of which the state only says that they were asked for."""
    pending = []
    for type_, id_, inputs in PARTS[provider]:
        world.truth.add(
            Record(TOKENS[provider][0], type_, f"urn:{id_}", id_, inputs, {}, REGIONS[provider], MARKS, 0.0)
        )
        pending.append(Pending(urn=f"urn:{id_}", type=type_, names=inputs))
    return pending


def test_parts_of_a_network_whose_creates_were_cut_off_are_found_and_go_in_order(
    provider: str, world: World, cloud: sweep.Cloud
) -> None:
    pending = cut_off(world, provider)
    found = cloud.parts(MARKS, pending)
    assert {one.id for one in found} == {id_ for _, id_, _ in PARTS[provider]}
    for part in found:
        cloud.discard(part)
    assert world.truth.find() == []
    assert cloud.parts(MARKS, pending) == []


def test_parts_of_networks_that_nobody_was_making_are_left_alone(
    provider: str, world: World, cloud: sweep.Cloud
) -> None:
    *others, last = cut_off(world, provider)
    assert [one.id for one in cloud.parts(MARKS, [last])] == [PARTS[provider][-1][1]]
    assert cloud.parts(MARKS, []) == []
    assert len(world.truth.find()) == len(others) + 1


def test_a_cloud_that_refuses_is_no_empty_cloud() -> None:
    azure = AzureApi()
    with http_api.served(azure), pytest.raises(Refused):
        sweep.AzureCloud(Azure(SUBSCRIPTION, lambda: "wrong", azure.url)).machines(MARKS)
