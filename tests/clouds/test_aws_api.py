"""AWS's API tells of exactly those instances that the emulated plugin has made."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.clouds import aws_api
from tests.clouds.aws_rules import INSTANCE
from tests.clouds.cloud import World
from tests.clouds.truth import Record

ID = "i-0123456789abcdef0"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ec2(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with aws_api.served(world) as api:
        for name, value in api.environment.items():
            monkeypatch.setenv(name, value)
        yield boto3.client("ec2", region_name="us-west-2")


def made(world: World, **inputs: Any) -> Record:
    record = Record(
        "aws",
        INSTANCE,
        "urn",
        ID,
        {"instanceType": "g6.2xlarge", **inputs},
        {"availabilityZone": "us-west-2b"},
        "us-west-2",
        {"liftoff-stack": "dev"},
        0.0,
        "creating",
    )
    world.truth.add(record)
    return record


def seen(ec2: Any, **filters: str) -> list[Any]:
    wanted = [{"Name": name.replace("_", ":", 1), "Values": [value]} for name, value in filters.items()]
    return [item for one in ec2.describe_instances(Filters=wanted)["Reservations"] for item in one["Instances"]]


def test_an_instance_of_the_plugin_is_found_by_its_tag_with_its_own_id_and_zone(world: World, ec2: Any) -> None:
    made(world, instanceMarketOptions={"marketType": "spot"})
    (found,) = seen(ec2, **{"tag_liftoff-stack": "dev"})
    assert (found["InstanceId"], found["State"]["Name"]) == (ID, "pending")
    assert (found["Placement"]["AvailabilityZone"], found["InstanceLifecycle"]) == ("us-west-2b", "spot")
    assert seen(ec2, **{"tag_liftoff-stack": "other"}) == []


def test_its_state_and_tags_follow(world: World, ec2: Any) -> None:
    made(world)
    world.truth.change("aws", ID, state="ready", tags={"liftoff-owner": "ml"})
    (found,) = seen(ec2)
    assert (found["State"]["Name"], found["Tags"]) == ("running", [{"Key": "liftoff-owner", "Value": "ml"}])
    assert "InstanceLifecycle" not in found
    world.truth.change("aws", ID, state="stopped")
    assert [one["State"]["Name"] for one in seen(ec2)] == ["stopped"]


@pytest.mark.parametrize("method", ["Delete", "Evict"])
def test_it_is_terminated_when_it_goes(world: World, ec2: Any, method: str) -> None:
    made(world)
    world.truth.remove("aws", ID, method)
    assert [one["State"]["Name"] for one in seen(ec2)] == ["terminated"]


def test_an_instance_from_before_the_server_is_there_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made(world)
    with aws_api.served(world) as api:
        for name, value in api.environment.items():
            monkeypatch.setenv(name, value)
        assert [one["InstanceId"] for one in seen(boto3.client("ec2", region_name="us-west-2"))] == [ID]


def test_no_dry_run_makes_anything(ec2: Any) -> None:
    before = len(ec2.describe_vpcs()["Vpcs"])
    with pytest.raises(ec2.exceptions.ClientError) as caught:
        ec2.create_vpc(CidrBlock="10.20.0.0/16", DryRun=True)
    assert caught.value.response["Error"]["Code"] == "DryRunOperation"
    assert len(ec2.describe_vpcs()["Vpcs"]) == before
