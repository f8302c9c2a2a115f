"""What pulumi-aws and EC2 refuse: one function for each rule, with its source."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from tests.clouds import errors
from tests.clouds.cloud import Request
from tests.clouds.market import aws_family
from tests.clouds.properties import UNKNOWN, Path, Values, at, has_unknown, known, without_indices
from tests.clouds.sdk_types import Problem
from tests.clouds.truth import Record

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
USER_DATA_BYTES: Final = 16384
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html: 16 KB, raw, before base64."""
DEEP_LEARNING: Final = tuple(
    f"/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-{release}/latest/ami-id"
    for release in ("22.04", "24.04")
)
INSTANCE: Final = "aws:ec2/instance:Instance"
ADDRESS: Final = "aws:ec2/eip:Eip"
SUBNET: Final = "aws:ec2/subnet:Subnet"
GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
_TAG: Final = re.compile(r"[\w\s+\-=.:/@]*", re.UNICODE)
_METADATA_TAG: Final = re.compile(r"[\w+\-=.,:@]*", re.ASCII)


def api_answer(code_and_message: str, status: int = 400) -> str:
    """Return an answer of RunInstances in the Go SDK's envelope; its wording is unverified where `errors` lacks it."""
    return (
        f"creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: {status}, "
        f"RequestID: {errors.REQUEST_ID}, api error {code_and_message}"
    )


def user_data_form(request: Request) -> Iterator[Problem]:
    """At most 16,384 characters, one of the two properties, real base64.

    Source: the schema in ec2_instance.go (`StringLenBetween(0, 16384)`, `ConflictsWith`, `must be base64-encoded`).
    """
    text, encoded = known(request.inputs, "userData"), known(request.inputs, "userDataBase64")
    if isinstance(text, str) and len(text) > USER_DATA_BYTES:
        yield Problem(
            "userData", f"expected length of user_data to be in the range (0 - {USER_DATA_BYTES}), got {len(text)}"
        )
    if text is not None and encoded is not None:
        yield Problem("userData", '"user_data": conflicts with user_data_base64')
    if isinstance(encoded, str) and _decoded(encoded) is None:
        yield Problem("userDataBase64", "user_data_base64: must be base64-encoded")


def image_and_type_given(request: Request) -> Iterator[Problem]:
    """`AtLeastOneOf` in the schema of ec2_instance.go."""
    for name, wire in (("ami", "ami"), ("instance_type", "instanceType")):
        if wire not in request.inputs and "launchTemplate" not in request.inputs:
            yield Problem(wire, f'"{name}": one of `{name},launch_template` must be specified')


def tag_characters(request: Request) -> Iterator[Problem]:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions."""
    tags = request.inputs.get("tags")
    if not isinstance(tags, dict):
        return
    in_metadata = known(request.inputs, "metadataOptions.instanceMetadataTags") == "enabled"
    for key, value in tags.items():
        path = f'tags["{key}"]'
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:") or not _TAG.fullmatch(key):
            yield Problem(
                path, "a tag's key has 1 to 128 letters, digits, spaces and + - = . _ : / @, and no prefix aws:"
            )
        elif in_metadata and not _METADATA_TAG.fullmatch(key):
            yield Problem(path, "with instance metadata tags a key has only letters, digits and + - = . , _ : @")
        if isinstance(value, str) and value != UNKNOWN and (len(value) > 256 or not _TAG.fullmatch(value)):
            yield Problem(path, "a tag's value has at most 256 letters, digits, spaces and + - = . _ : / @")
    if len(tags) > 50:
        yield Problem("tags", "a resource has at most 50 tags")


def user_data_size(request: Request) -> str | None:
    """EC2 counts what is behind the base64."""
    data = user_data_of(request.inputs)
    if len(data) > USER_DATA_BYTES:
        return api_answer(f"InvalidParameterValue: User data is limited to {USER_DATA_BYTES} bytes")
    return None


def spot_options(request: Request) -> str | None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SpotMarketOptions.html."""
    options = at(request.inputs, "instanceMarketOptions.spotOptions") or {}
    if options and at(request.inputs, "instanceMarketOptions.marketType") not in {None, "spot"}:
        return api_answer("InvalidParameterCombination: spotOptions needs marketType spot")
    behavior = options.get("instanceInterruptionBehavior", "terminate")
    if options.get("spotInstanceType", "one-time") == "one-time" and behavior != "terminate":
        return errors.text("aws", "spot_stop_one_time", behavior=behavior)
    price = options.get("maxPrice")
    if price is not None and not re.fullmatch(r"\d+(\.\d+)?", price):
        return api_answer(
            f"InvalidParameterValue: Invalid value '{price}' for maxPrice: must be a decimal number of USD/hour"
        )
    least = request.world.market.prices.get(("aws", str(request.inputs.get("instanceType"))))
    if is_spot(request.inputs) and price is not None and least is not None and float(price) < least:
        return errors.text("aws", "spot_price", given=price, least=least)
    return None


def network_belongs_together(request: Request) -> str | None:
    """The subnet and the security groups exist, and are of one VPC."""
    truth = request.world.truth
    subnet_id = request.inputs.get("subnetId")
    subnet = truth.get("aws", subnet_id) if subnet_id else None
    if subnet_id and subnet is None:
        return api_answer(f"InvalidSubnetID.NotFound: The subnet ID '{subnet_id}' does not exist")
    for group_id in request.inputs.get("vpcSecurityGroupIds") or []:
        group = truth.get("aws", group_id)
        if group is None:
            return api_answer(f"InvalidGroup.NotFound: The security group '{group_id}' does not exist")
        if subnet is not None and group.inputs.get("vpcId") != subnet.inputs.get("vpcId"):
            return api_answer(
                f"InvalidParameter: Security group {group_id} and subnet {subnet_id} belong to different networks."
            )
    return None


def subnets_are_apart(request: Request) -> str | None:
    """Two subnets of a VPC do not overlap: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""
    given = str(request.inputs["cidrBlock"])
    for other in request.world.truth.find("aws", SUBNET):
        same_vpc = other.inputs.get("vpcId") == request.inputs.get("vpcId")
        if same_vpc and ipaddress.ip_network(given).overlaps(ipaddress.ip_network(str(other.inputs["cidrBlock"]))):
            return api_answer(f"InvalidSubnet.Conflict: The CIDR '{given}' conflicts with another subnet")
    return None


def type_is_sold(request: Request) -> str | None:
    """The region and the zone sell the instance type (AWS's own DescribeInstanceTypeOfferings)."""
    size, region = str(request.inputs.get("instanceType")), region_of(request)
    market = request.world.market
    if market.machine("aws", size) is None:
        return api_answer(f"InvalidParameterValue: Invalid value '{size}' for InstanceType.")
    zones = market.selling("aws", size, region)
    if not zones:
        return errors.text("aws", "configuration_region")
    zone = given_zone(request)
    if zone and zone not in zones:
        return errors.text("aws", "configuration", instance_type=size, zone=zone, others=", ".join(sorted(zones)))
    return None


def quota(request: Request) -> str | None:
    """vCPUs by group of instance types, apart for spot: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html."""
    market, size, region = request.world.market, str(request.inputs.get("instanceType")), region_of(request)
    spot = is_spot(request.inputs)
    family = f"{aws_family(size)}-{'spot' if spot else 'on-demand'}"
    limit = market.quotas.get(("aws", region, family))
    machine = market.machine("aws", size)
    if limit is None or machine is None:
        return None
    used = 0
    for record in request.world.truth.find("aws", INSTANCE):
        other = str(record.inputs.get("instanceType"))
        of_other = market.machine("aws", other)
        if (
            record.region == region
            and of_other
            and aws_family(other) == aws_family(size)
            and is_spot(record.inputs) == spot
        ):
            used += of_other.vcpus
    if used + machine.vcpus <= limit:
        return None
    return errors.text("aws", "quota") if spot else errors.text("aws", "quota_on_demand", limit=limit)


def no_stop_of_one_time_spot(request: Request, record: Record, changed: tuple[Path, ...]) -> str | None:
    """Changes that need a stop fail on one-time spot instances.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/stop-spot-instances.html; the code is unverified.
    """
    needs_stop = {"instanceType", "userData", "userDataBase64"} & {without_indices(path) for path in changed}
    if needs_stop and is_spot(record.inputs):
        return (
            f"updating EC2 Instance ({record.id}): stopping EC2 Instance ({record.id}): operation error EC2: "
            f"StopInstances, https "
            f"response error StatusCode: 400, RequestID: {errors.REQUEST_ID}, api error UnsupportedOperation: You "
            f"can't stop the "
            f"Spot Instance '{record.id}' because it is associated with a one-time Spot Instance request. You can "
            f"only stop Spot "
            "Instances associated with persistent Spot Instance requests."
        )
    return None


def region_of(request: Request) -> str:
    return str(request.inputs.get("region") or request.config.get("region") or REGION)


def given_zone(request: Request) -> str | None:
    subnet = request.world.truth.get("aws", request.inputs.get("subnetId", ""))
    zone = request.inputs.get("availabilityZone") or (subnet.outputs.get("availabilityZone") if subnet else None)
    return str(zone) if zone else None


def is_spot(inputs: Values) -> bool:
    return bool(at(inputs, "instanceMarketOptions.marketType") == "spot")


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def user_data_of(inputs: Values) -> bytes:
    if has_unknown(inputs.get("userData")) or has_unknown(inputs.get("userDataBase64")):
        return b""
    if "userDataBase64" in inputs:
        return _decoded(str(inputs["userDataBase64"])) or b""
    return str(inputs.get("userData", "")).encode()
