"""What the emulated clouds refuse, replace and keep, without an engine."""

import base64
import threading
from typing import Any

import pytest

from tests.clouds import aws, aws_rules, azure, azure_rules, errors, gcp, gcp_rules
from tests.clouds.cloud import Cloud, Refused, Request, World
from tests.clouds.faults import Faults
from tests.clouds.properties import UNKNOWN, changes, without_indices
from tests.clouds.sdk_types import problems, resource_type
from tests.clouds.truth import Record

INSTANCE: dict[str, Any] = {
    "ami": "ami-0123456789abcdef0",
    "instanceType": "g6.xlarge",
    "instanceMarketOptions": {"marketType": "spot", "spotOptions": {"maxPrice": "0.5"}},
}
GCE: dict[str, Any] = {
    "name": "node",
    "zone": "us-central1-a",
    "machineType": "g2-standard-8",
    "bootDisk": {"initializeParams": {"image": "debian-cloud/debian-12"}},
    "networkInterfaces": [{"network": "default", "accessConfigs": [{}]}],
    "scheduling": {
        "provisioningModel": "SPOT",
        "preemptible": True,
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
    },
}
GROUP: dict[str, Any] = {"resourceGroupName": "rg", "location": "eastus"}
INTERFACE: dict[str, Any] = {**GROUP, "networkInterfaceName": "nic"}
NIC = f"/subscriptions/{azure_rules.SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces/nic"
MACHINE: dict[str, Any] = {
    **GROUP,
    "vmName": "node",
    "priority": "Spot",
    "evictionPolicy": "Delete",
    "billingProfile": {"maxPrice": -1},
    "hardwareProfile": {"vmSize": "Standard_NV36ads_A10_v5"},
    "networkProfile": {"networkInterfaces": [{"id": NIC}]},
    "osProfile": {
        "adminUsername": "liftoff",
        "linuxConfiguration": {
            "disablePasswordAuthentication": True,
            "ssh": {"publicKeys": [{"keyData": "ssh-ed25519 A"}]},
        },
    },
    "storageProfile": {"osDisk": {"createOption": "FromImage", "deleteOption": "Delete"}},
}


@pytest.fixture
def world() -> World:
    world = World()
    world.market.amis.add(INSTANCE["ami"])
    return world


def request(cloud: Cloud, token: str, inputs: dict[str, Any], called: str = "node", **changed: Any) -> Request:
    values = {key: value for key, value in {**inputs, **changed}.items() if value is not None}
    return Request(cloud.world, token, f"urn:pulumi:dev::p::{token}::{called}", values, {})


def make(cloud: Cloud, token: str, inputs: dict[str, Any], called: str = "node", **changed: Any) -> Record:
    """Make a resource after the SDK's types and all rules let it pass."""
    of = request(cloud, token, inputs, called, **changed)
    assert list(problems(of.inputs, resource_type(token).inputs)) == []
    assert [problem for rule in cloud.kind(token).checks for problem in rule(of)] == []
    return cloud.start(cloud.admit(of, "creating"))


def refused(cloud: Cloud, token: str, inputs: dict[str, Any], **changed: Any) -> str:
    with pytest.raises(Refused) as caught:
        cloud.admit(request(cloud, token, inputs, **changed), "creating")
    return str(caught.value)


def checked(cloud: Cloud, token: str, inputs: dict[str, Any], **changed: Any) -> set[str]:
    of = request(cloud, token, inputs, **changed)
    return {problem.path for rule in cloud.kind(token).checks for problem in rule(of)}


def site(world: World) -> azure.Azure:
    cloud = azure.Azure(world)
    make(cloud, azure_rules.GROUP, GROUP, "rg")
    make(cloud, azure_rules.INTERFACE, INTERFACE, "nic")
    return cloud


# AWS


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"userDataBase64": base64.b64encode(b"x" * 16385).decode()}, "limited to 16384 bytes"),
        ({"ami": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"ami": "ubuntu"}, "InvalidAMIID.Malformed"),
        ({"instanceType": "g6.tiny"}, "InvalidParameterValue"),
        ({"availabilityZone": "us-east-1e"}, "not supported in your requested Availability Zone (us-east-1e)"),
        ({"region": "af-south-1"}, "The requested configuration is currently not supported"),
        ({"subnetId": "subnet-1"}, "InvalidSubnetID.NotFound"),
        (
            {"instanceMarketOptions": {"marketType": "spot", "spotOptions": {"instanceInterruptionBehavior": "stop"}}},
            "one-time",
        ),
        ({"instanceMarketOptions": {"marketType": "spot", "spotOptions": {"maxPrice": "cheap"}}}, "maxPrice"),
    ],
)
def test_ec2_refuses(world: World, changed: dict[str, Any], text: str) -> None:
    assert text in refused(aws.Aws(world), aws_rules.INSTANCE, INSTANCE, **changed)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"userData": "x" * 16385}, "userData"),
        ({"userDataBase64": "not base64"}, "userDataBase64"),
        ({"ami": None}, "ami"),
        ({"tags": {"aws:x": "1"}}, 'tags["aws:x"]'),
        ({"tags": {"price": "1$"}}, 'tags["price"]'),
        ({"tags": {"a/b": "1"}, "metadataOptions": {"instanceMetadataTags": "enabled"}}, 'tags["a/b"]'),
    ],
)
def test_the_aws_plugin_refuses_before_it_asks(world: World, changed: dict[str, Any], path: str) -> None:
    assert checked(aws.Aws(world), aws_rules.INSTANCE, INSTANCE, **changed) == {path}


def test_sixteen_kilobytes_of_user_data_pass(world: World) -> None:
    data = base64.b64encode(b"x" * 16384).decode()
    seen: list[bytes] = []
    world.on_vm = lambda provider, inputs, given, outputs: seen.append(given)

    make(aws.Aws(world), aws_rules.INSTANCE, INSTANCE, userDataBase64=data)

    assert seen == [b"x" * 16384]


def test_subnets_of_one_network_may_not_overlap_at_gcp(world: World) -> None:
    cloud = gcp.Gcp(world)
    network = make(cloud, gcp_rules.NETWORK, {"name": "one"})
    given = {"network": network.id, "region": "us-central1", "ipCidrRange": "10.0.0.0/24"}
    make(cloud, gcp_rules.SUBNET, {"name": "first", **given})
    text = refused(cloud, gcp_rules.SUBNET, {"name": "second", **given})
    assert "10.0.0.0/24 conflicts with existing subnetwork 'first' in region 'us-central1'" in text


def test_subnets_of_one_network_may_not_overlap(world: World) -> None:
    cloud = aws.Aws(world)
    vpc = make(cloud, "aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})
    make(cloud, aws_rules.SUBNET, {"vpcId": vpc.id, "cidrBlock": "10.0.0.0/24"})
    text = refused(cloud, aws_rules.SUBNET, {"vpcId": vpc.id, "cidrBlock": "10.0.0.0/25"})
    assert "InvalidSubnet.Conflict" in text


def test_subnet_and_security_group_of_different_networks_are_refused(world: World) -> None:
    cloud = aws.Aws(world)
    one, other = (make(cloud, "aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, name) for name in ("one", "other"))
    subnet = make(cloud, aws_rules.SUBNET, {"vpcId": one.id, "cidrBlock": "10.0.0.0/24"})
    group = make(cloud, aws_rules.GROUP, {"vpcId": other.id, "name": "g"})

    text = refused(cloud, aws_rules.INSTANCE, INSTANCE, subnetId=subnet.id, vpcSecurityGroupIds=[group.id])

    assert f"Security group {group.id} and subnet {subnet.id} belong to different networks" in text


def test_ec2_counts_vcpus_of_spot_and_on_demand_apart(world: World) -> None:
    cloud = aws.Aws(world)
    world.market.quotas |= {("aws", "us-east-1", "g-spot"): 4, ("aws", "us-east-1", "g-on-demand"): 0}
    make(cloud, aws_rules.INSTANCE, INSTANCE)

    assert "MaxSpotInstanceCountExceeded" in refused(cloud, aws_rules.INSTANCE, INSTANCE)
    assert "VcpuLimitExceeded" in refused(cloud, aws_rules.INSTANCE, INSTANCE, instanceMarketOptions=None)


def test_a_spot_price_below_the_market_is_refused(world: World) -> None:
    world.market.prices["aws", "g6.xlarge"] = 0.6

    assert "SpotMaxPriceTooLow: Your Spot request price of 0.5" in refused(aws.Aws(world), aws_rules.INSTANCE, INSTANCE)


def test_a_network_in_use_is_not_deleted(world: World) -> None:
    cloud = aws.Aws(world)
    vpc = make(cloud, "aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})
    subnet = make(cloud, aws_rules.SUBNET, {"vpcId": vpc.id, "cidrBlock": "10.0.0.0/24"})

    with pytest.raises(Refused, match="DependencyViolation"):
        cloud.delete(vpc.id)
    cloud.delete(subnet.id)
    cloud.delete(vpc.id)

    assert len(world.truth) == 0


def test_a_one_time_spot_instance_is_not_stopped_for_a_change(world: World) -> None:
    cloud = aws.Aws(world)
    record = make(cloud, aws_rules.INSTANCE, INSTANCE)
    wanted = request(cloud, aws_rules.INSTANCE, INSTANCE, instanceType="g6.2xlarge")

    with pytest.raises(Refused, match="You can't stop the Spot Instance"):
        cloud.update(wanted, record.id, (("instanceType",),))


def test_user_data_makes_a_new_instance_only_where_the_program_says_so(world: World) -> None:
    cloud = aws.Aws(world)
    path = ("userDataBase64",)

    assert cloud.replacing(aws_rules.INSTANCE, INSTANCE, [path]) == []
    assert cloud.replacing(aws_rules.INSTANCE, {**INSTANCE, "userDataReplaceOnChange": True}, [path]) == [path]


def test_the_deep_learning_image_of_each_region_is_known(world: World) -> None:
    cloud = aws.Aws(world)
    name = aws_rules.DEEP_LEARNING[1]
    token = "aws:ssm/getParameter:getParameter"
    east, west = (cloud.invoke(token, {"name": name}, {"region": region}) for region in ("us-east-1", "us-west-2"))

    assert east["value"] != west["value"]
    make(cloud, aws_rules.INSTANCE, INSTANCE, ami=east["value"])
    with pytest.raises(Refused, match="ParameterNotFound"):
        cloud.invoke(token, {"name": "/aws/service/deeplearning/ami/none"}, {})


# Azure


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"resourceGroupName": "none"}, "ResourceGroupNotFound"),
        ({"priority": "Regular"}, "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines"),
        ({"priority": "Regular", "evictionPolicy": None}, "MaxPriceIsSupportedOnlyForAzureSpotVirtualMachines"),
        ({"billingProfile": {"maxPrice": 0}}, "MaxPriceValueInvalid"),
        ({"billingProfile": {"maxPrice": 0.123456}}, "MaxPriceValueInvalid"),
        ({"location": "westeurope"}, "InvalidResourceReference"),
        ({"location": "eastus", "hardwareProfile": {"vmSize": "Standard_XX"}}, "SkuNotAvailable"),
        ({"zones": ["7"]}, "SkuNotAvailable"),
        ({"hardwareProfile": {"vmSize": "Standard_B1s"}}, "AzureSpotIsNotSupportedForThisVMSize"),
        ({"osProfile": {"adminUsername": "x"}}, "must be enabled in Linux profile"),
        ({"osProfile": {**MACHINE["osProfile"], "customData": "no base64!"}}, "maximum length of 87380"),
        (
            {"osProfile": {**MACHINE["osProfile"], "customData": base64.b64encode(b"x" * 65536).decode()}},
            "maximum length of 87380",
        ),
    ],
)
def test_the_resource_manager_refuses_a_machine(world: World, changed: dict[str, Any], text: str) -> None:
    assert text in refused(site(world), azure_rules.MACHINE, MACHINE, **changed)


@pytest.mark.parametrize("price", [-1, 0.12345, 3])
def test_azure_takes_a_price_of_up_to_five_decimals(world: World, price: float) -> None:
    make(site(world), azure_rules.MACHINE, MACHINE, billingProfile={"maxPrice": price})


@pytest.mark.parametrize(
    ("token", "inputs", "changed", "path"),
    [
        (azure_rules.MACHINE, MACHINE, {"vmName": "node_1"}, "vmName"),
        (azure_rules.MACHINE, MACHINE, {"vmName": "n" * 65}, "vmName"),
        (azure_rules.GROUP, GROUP, {"resourceGroupName": "rg."}, "resourceGroupName"),
    ],
)
def test_azure_names_are_checked(
    world: World, token: str, inputs: dict[str, Any], changed: dict[str, Any], path: str
) -> None:
    assert checked(azure.Azure(world), token, inputs, **changed) == {path}


def test_a_standard_address_is_static(world: World) -> None:
    text = refused(
        site(world), azure_rules.ADDRESS, {**GROUP, "publicIpAddressName": "ip", "sku": {"name": "Standard"}}
    )

    assert "must have AllocationMethod set to Static" in text


def test_azure_does_not_create_over_what_exists(world: World) -> None:
    cloud = site(world)

    assert refused(cloud, azure_rules.INTERFACE, INTERFACE) == f"cannot create already existing resource '{NIC}'"


def test_one_interface_serves_one_machine(world: World) -> None:
    cloud = site(world)
    make(cloud, azure_rules.MACHINE, MACHINE)

    assert "NicInUse" in refused(cloud, azure_rules.MACHINE, MACHINE, vmName="second")
    with pytest.raises(Refused, match="NicInUse"):
        cloud.delete(NIC)


def test_a_disk_without_delete_option_outlives_its_machine_but_not_its_group(world: World) -> None:
    cloud = site(world)
    disk = {"osDisk": {"createOption": "FromImage"}}
    cloud.delete(make(cloud, azure_rules.MACHINE, MACHINE, storageProfile=disk).id)
    assert [record.token for record in world.truth.find(token=":Disk")] == [azure_rules.DISK]

    cloud.delete(NIC.split("/providers/", maxsplit=1)[0])

    assert world.truth.find() == []


def test_custom_data_of_a_machine_stays_as_it_was_made(world: World) -> None:
    cloud = site(world)
    record = make(cloud, azure_rules.MACHINE, MACHINE)
    path = ("osProfile", "customData")

    assert cloud.replacing(azure_rules.MACHINE, MACHINE, [path]) == []
    with pytest.raises(Refused, match=r"Changing property 'osProfile\.customData' is not allowed"):
        cloud.update(request(cloud, azure_rules.MACHINE, MACHINE), record.id, (path,))


def test_azure_counts_all_spot_machines_of_a_region_together(world: World) -> None:
    cloud = site(world)
    world.market.quotas["azure-native", "eastus", "LowPriorityCores"] = 40
    make(cloud, azure_rules.MACHINE, MACHINE)
    make(cloud, azure_rules.INTERFACE, INTERFACE, "other", networkInterfaceName="other")
    other = {"networkInterfaces": [{"id": NIC.replace("/nic", "/other")}]}

    text = refused(cloud, azure_rules.MACHINE, MACHINE, vmName="second", networkProfile=other)

    assert "exceeding approved LowPriorityCores quota" in text
    assert "Current Limit: 40, Current Usage: 36, Additional Required: 36, (Minimum) New Limit Required: 72" in text


def test_every_field_of_an_azure_id_is_an_input() -> None:
    for token, path in azure_rules.PATHS.items():
        fields = set(path.replace("{group}", "{resourceGroupName}").split("{")[1:])
        names = {field.split("}")[0] for field in fields}
        assert names <= resource_type(token).inputs.types.keys(), token


# GCP


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"scheduling": {"automaticRestart": False}}, "do not support live migration"),
        ({"scheduling": {**GCE["scheduling"], "automaticRestart": True}}, "AutomaticRestart is true"),
        (
            {"scheduling": {"provisioningModel": "SPOT", "preemptible": True, "onHostMaintenance": "TERMINATE"}},
            "AutomaticRestart is true",
        ),
        ({"zone": "us-central1-f"}, "does not exist in zone 'us-central1-f'"),
        ({"zone": "us-central1-x"}, "Error loading zone 'us-central1-x'"),
        ({"machineType": "g2-standard-5"}, "Machine type with name 'g2-standard-5'"),
        ({"bootDisk": {"initializeParams": {"image": "debian-cloud/debian-99"}}}, "Could not find image or family"),
        ({"guestAccelerators": [{"type": "nvidia-tesla-t4", "count": 1}]}, "not compatible"),
        ({"metadata": {"user-data": "x" * (256 * 1024 + 1)}}, "maximum size 262144"),
        ({"networkInterfaces": [{"network": "other"}]}, "referenced network resource cannot be found"),
    ],
)
def test_compute_engine_refuses(world: World, changed: dict[str, Any], text: str) -> None:
    assert text in refused(gcp.Gcp(world), gcp_rules.INSTANCE, GCE, **changed)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"name": "Node"}, "name"),
        ({"labels": {"Purpose": "x"}}, 'labels["Purpose"]'),
        ({"labels": {"purpose": "x.y"}}, 'labels["purpose"]'),
        ({"labels": {"purpose": "x" * 64}}, 'labels["purpose"]'),
    ],
)
def test_the_gcp_plugin_refuses_before_it_asks(world: World, changed: dict[str, Any], path: str) -> None:
    assert checked(gcp.Gcp(world), gcp_rules.INSTANCE, GCE, **changed) == {path}


def test_a_gpu_is_added_only_to_n1_and_only_where_the_zone_has_it(world: World) -> None:
    cloud = gcp.Gcp(world)
    n1: dict[str, Any] = {
        "machineType": "n1-standard-8",
        "guestAccelerators": [{"type": "nvidia-tesla-t4", "count": 1}],
    }

    make(cloud, gcp_rules.INSTANCE, GCE, **n1)
    text = refused(cloud, gcp_rules.INSTANCE, GCE, name="other", **{**n1, "zone": "us-east1-b"})

    assert "acceleratorTypes/nvidia-tesla-t4' was not found" in text


def test_gcp_counts_gpus_by_region_and_everywhere(world: World) -> None:
    cloud = gcp.Gcp(world)
    world.market.quotas |= {
        ("gcp", "us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS"): 1,
        ("gcp", "global", "GPUS_ALL_REGIONS"): 1,
    }
    make(cloud, gcp_rules.INSTANCE, GCE)

    assert "PREEMPTIBLE_NVIDIA_L4_GPUS" in refused(cloud, gcp_rules.INSTANCE, GCE, name="second")
    assert "GPUS_ALL_REGIONS" in refused(cloud, gcp_rules.INSTANCE, GCE, name="second", zone="us-east1-b")


def test_gcp_does_not_stop_a_machine_unless_it_may(world: World) -> None:
    cloud = gcp.Gcp(world)
    record = make(cloud, gcp_rules.INSTANCE, GCE)
    bigger = request(cloud, gcp_rules.INSTANCE, GCE, machineType="g2-standard-16")

    with pytest.raises(Refused, match="allow_stopping_for_update"):
        cloud.update(bigger, record.id, (("machineType",),))
    allowed = request(cloud, gcp_rules.INSTANCE, GCE, machineType="g2-standard-16", allowStoppingForUpdate=True)
    assert cloud.update(allowed, record.id, (("machineType",),)).outputs["machineType"] == "g2-standard-16"


def test_gzipped_user_data_reaches_the_machine_as_bytes(world: World) -> None:
    metadata = {"user-data": base64.b64encode(b"\x1f\x8b").decode(), "user-data-encoding": "base64"}

    assert gcp.Gcp(world).user_data({"metadata": metadata}) == b"\x1f\x8b"


@pytest.mark.parametrize(("action", "left"), [("DELETE", []), ("STOP", ["stopped"])])
def test_an_eviction_follows_the_termination_action(world: World, action: str, left: list[str]) -> None:
    cloud = gcp.Gcp(world)
    record = make(cloud, gcp_rules.INSTANCE, GCE, scheduling={**GCE["scheduling"], "instanceTerminationAction": action})

    cloud.evict(record.id)

    assert [record.state for record in world.truth.find("gcp", gcp_rules.INSTANCE)] == left


# All of them


def test_addresses_of_the_hook_become_the_machines(world: World) -> None:
    world.on_vm = lambda provider, inputs, data, outputs: {"publicIp": "10.9.8.7"}
    cloud = site(world)
    address = make(
        cloud, azure_rules.ADDRESS, {**GROUP, "publicIpAddressName": "ip", "publicIPAllocationMethod": "Static"}, "ip"
    )
    configurations = [{"name": "first", "publicIPAddress": {"id": address.id}}]
    world.truth.change("azure-native", NIC, inputs={**INTERFACE, "ipConfigurations": configurations})
    make(cloud, azure_rules.MACHINE, MACHINE)
    addresses = world.truth.one("azure-native", ":PublicIPAddress").outputs["ipAddress"]
    instance = make(aws.Aws(world), aws_rules.INSTANCE, INSTANCE).outputs["publicIp"]
    interface = make(gcp.Gcp(world), gcp_rules.INSTANCE, GCE).outputs["networkInterfaces"][0]

    assert [addresses, instance, interface["accessConfigs"][0]["natIp"]] == ["10.9.8.7"] * 3


def test_ids_repeat_from_run_to_run_and_differ_from_machine_to_machine() -> None:
    def ids() -> list[str]:
        world = World()
        world.market.amis.add(INSTANCE["ami"])
        return [make(aws.Aws(world), aws_rules.INSTANCE, INSTANCE).id for _ in range(2)]

    first, second = ids()
    assert first != second
    assert ids() == [first, second]


def test_two_creates_of_one_name_at_once_make_one_machine(world: World) -> None:
    cloud = gcp.Gcp(world)
    outcomes: list[str] = []

    def create() -> None:
        try:
            cloud.admit(request(cloud, gcp_rules.INSTANCE, GCE), "creating")
            outcomes.append("made")
        except Refused as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("made") == 1
    assert sum("alreadyExists" in outcome for outcome in outcomes) == 7


def test_paths_of_replacement_are_properties_of_the_sdk(world: World) -> None:
    for cloud in (aws.Aws(world), azure.Azure(world), gcp.Gcp(world)):
        for token, kind in cloud.kinds.items():
            names = {path.split(".")[0] for path in kind.replaces} | ({kind.name} if kind.name else set())
            assert names - {"location", "region"} <= resource_type(token).inputs.types.keys(), token


def test_differences_are_leaves_and_unknowns_count() -> None:
    old = {"a": {"b": 1, "c": [{"d": 1}]}, "tags": {"x": "1"}}
    new = {"a": {"b": 1, "c": [{"d": UNKNOWN}]}, "tags": {"x": "1", "y": "2"}}

    assert [*map(without_indices, changes(old, new))] == ["a.c.d", "tags.y"]


def test_every_error_text_names_its_source_and_can_be_told() -> None:
    kinds = {
        provider: {error.kind for error in errors.TABLE if error.provider == provider}
        for provider in ("aws", "azure-native", "gcp")
    }
    for error in errors.TABLE:
        assert error.source.startswith("https://")
        assert "{" not in errors.text(error.provider, error.kind)
    for of in kinds.values():
        assert {"capacity", "quota", "spot_price", "credentials", "configuration", "throttled"} - of <= {"spot_price"}
    with pytest.raises(KeyError, match="no error text for gcp 'spot_price'"):
        errors.text("gcp", "spot_price")


def test_a_fault_meets_only_the_calls_that_it_is_for() -> None:
    now = [0.0]
    faults = Faults(clock=lambda: now[0])
    fault = faults.add("aws", "aws:ec2/", error="no", times=2, when=lambda inputs: inputs["x"] == 1, after_seconds=5)

    def met(provider: str = "aws", token: str = aws_rules.INSTANCE, method: str = "Create", x: int = 1) -> bool:
        return faults.take(provider, token, method, {"x": x}) is fault

    assert not met()
    now[0] = 5.0
    assert [met("gcp"), met(token="aws:iam/role:Role"), met(method="Delete"), met(x=2)] == [False] * 4
    assert [met(), met(), met()] == [True, True, False]
