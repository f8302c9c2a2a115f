"""Inputs are held against the SDK's own types, whatever the resource."""

from typing import Any

import pytest

from tests.clouds.properties import UNKNOWN
from tests.clouds.sdk_types import (
    UnknownToken,
    configuration_problems,
    function_shape,
    problems,
    resource_type,
)

INSTANCE = "aws:ec2/instance:Instance"
MACHINE = "azure-native:compute:VirtualMachine"
GCE = "gcp:compute/instance:Instance"

GOOD: dict[str, dict[str, Any]] = {
    INSTANCE: {
        "ami": "ami-1",
        "instanceType": "g6.xlarge",
        "instanceMarketOptions": {"marketType": "spot", "spotOptions": {"maxPrice": "0.5"}},
        "rootBlockDevice": {"encrypted": True, "volumeSize": 100.0},
        "vpcSecurityGroupIds": ["sg-1"],
        "tags": {"Name": "node"},
    },
    MACHINE: {
        "resourceGroupName": "rg",
        "priority": "Spot",
        "billingProfile": {"maxPrice": -1},
        "hardwareProfile": {"vmSize": "Standard_NV36ads_A10_v5"},
        "networkProfile": {"networkInterfaces": [{"id": "/subscriptions/x", "deleteOption": "Delete"}]},
        "storageProfile": {"osDisk": {"createOption": "FromImage", "caching": "ReadOnly"}},
    },
    GCE: {
        "machineType": "g2-standard-8",
        "bootDisk": {"initializeParams": {"image": "debian-cloud/debian-12", "size": 100}},
        "networkInterfaces": [{"network": "default", "accessConfigs": [{}]}],
        "metadata": {"user-data": "#cloud-config"},
    },
}


def paths(token: str, **changes: Any) -> list[str]:
    given = {**GOOD[token], **changes}
    return [
        problem.path
        for problem in problems(
            {name: value for name, value in given.items() if value is not None}, resource_type(token).inputs
        )
    ]


@pytest.mark.parametrize("token", GOOD)
def test_a_right_resource_passes(token: str) -> None:
    assert paths(token) == []


@pytest.mark.parametrize(
    ("token", "changes", "path"),
    [
        (INSTANCE, {"instance_type": "g6.xlarge"}, "instance_type"),
        (INSTANCE, {"rootBlockDevice": {"size": 1}}, "rootBlockDevice.size"),
        (
            INSTANCE,
            {"instanceMarketOptions": {"spotOptions": {"maxPrice": 0.5}}},
            "instanceMarketOptions.spotOptions.maxPrice",
        ),
        (INSTANCE, {"vpcSecurityGroupIds": "sg-1"}, "vpcSecurityGroupIds"),
        (INSTANCE, {"tags": {"Name": 3}}, "tags.Name"),
        (MACHINE, {"resourceGroupName": None}, "resourceGroupName"),
        (MACHINE, {"storageProfile": {"osDisk": {"caching": "ReadOnly"}}}, "storageProfile.osDisk.createOption"),
        (
            MACHINE,
            {"storageProfile": {"osDisk": {"createOption": "Empty", "caching": "Sometimes"}}},
            "storageProfile.osDisk.caching",
        ),
        (MACHINE, {"networkProfile": {"networkInterfaces": [{"nic": "x"}]}}, "networkProfile.networkInterfaces[0].nic"),
        (MACHINE, {"billingProfile": {"maxPrice": "cheap"}}, "billingProfile.maxPrice"),
        (GCE, {"machineType": None}, "machineType"),
        (GCE, {"bootDisk": {"initializeParams": {"size": 10.5}}}, "bootDisk.initializeParams.size"),
        (GCE, {"metadata": {"user-data": ["x"]}}, 'metadata["user-data"]'),
    ],
)
def test_a_wrong_property_is_named(token: str, changes: dict[str, Any], path: str) -> None:
    assert paths(token, **changes) == [path]


def test_what_is_not_known_yet_passes_and_hides_nothing_beside_it() -> None:
    unknown = {"networkInterfaces": [{"id": UNKNOWN, "wrong": 1}]}

    assert paths(MACHINE, hardwareProfile=UNKNOWN) == []
    assert paths(MACHINE, networkProfile=unknown) == ["networkProfile.networkInterfaces[0].wrong"]


def test_a_problem_names_the_top_level_property_for_the_engine() -> None:
    [problem] = problems({**GOOD[GCE], "bootDisk": {"sizee": 1}}, resource_type(GCE).inputs)

    assert problem.property == "bootDisk"
    assert "initializeParams" in problem.reason  # what is allowed


def test_a_resource_that_the_sdk_lacks_is_refused() -> None:
    with pytest.raises(UnknownToken, match="ec2/instanze"):
        resource_type("aws:ec2/instanze:Instanze")


@pytest.mark.parametrize(
    ("token", "arguments", "wrong"),
    [
        ("aws:ec2/getAmi:getAmi", {"mostRecent": True, "filters": [{"name": "name", "values": ["x"]}]}, None),
        ("aws:ec2/getAmi:getAmi", {"filters": [{"name": "name", "value": "x"}]}, "filters[0].value"),
        ("aws:index/getAvailabilityZones:getAvailabilityZones", {"state": 3}, "state"),
        ("gcp:compute/getImage:getImage", {"family": "f", "projekt": "p"}, "projekt"),
    ],
)
def test_a_functions_arguments_are_held_against_the_sdk(
    token: str, arguments: dict[str, Any], wrong: str | None
) -> None:
    found = {problem.path for problem in problems(arguments, function_shape(token))}

    assert (wrong in found) if wrong else not found


def test_a_providers_configuration_travels_as_json() -> None:
    assert list(configuration_problems("aws", {"region": "us-east-1", "maxRetries": "2", "version": "7.51.1"})) == []
    assert [problem.path for problem in configuration_problems("aws", {"maxRetries": '"two"'})] == ["maxRetries"]
    assert [problem.path for problem in configuration_problems("gcp", {"projekt": "p"})] == ["projekt"]


def test_documentation_tells_what_forces_a_new_resource() -> None:
    assert "hostname" in resource_type(GCE).forces_new
