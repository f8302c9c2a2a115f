"""Emulated AWS: what pulumi-aws and EC2 would say.

Replacement is that of the Terraform provider's schemas, for the instance
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/ec2_instance.go.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.clouds import errors
from tests.clouds.cloud import Cloud, Kind, Refused, Request, World
from tests.clouds.market import aws_family
from tests.clouds.properties import UNKNOWN, Path, Values, at, has_unknown, known, without_indices
from tests.clouds.sdk_types import Problem, resource_type
from tests.clouds.truth import Record, digest

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
USER_DATA_BYTES: Final = 16384
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html: 16 KB, raw, before base64."""
DEEP_LEARNING: Final = tuple(
    f"/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-{release}/latest/ami-id"
    for release in ("22.04", "24.04")
)
INSTANCE: Final = "aws:ec2/instance:Instance"
SUBNET: Final = "aws:ec2/subnet:Subnet"
GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"

_TAG: Final = re.compile(r"[\w\s+\-=.:/@]*", re.UNICODE)
_METADATA_TAG: Final = re.compile(r"[\w+\-=.,:@]*", re.ASCII)


def _api(code_and_message: str, status: int = 400) -> str:
    """Return an answer of RunInstances in the envelope of the Go SDK; its wording is unverified where `errors` lacks it."""
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
    data = _user_data(request.inputs)
    if len(data) > USER_DATA_BYTES:
        return _api(f"InvalidParameterValue: User data is limited to {USER_DATA_BYTES} bytes")
    return None


def spot_options(request: Request) -> str | None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SpotMarketOptions.html."""
    options = at(request.inputs, "instanceMarketOptions.spotOptions") or {}
    if options and at(request.inputs, "instanceMarketOptions.marketType") not in {None, "spot"}:
        return _api("InvalidParameterCombination: spotOptions needs marketType spot")
    behavior = options.get("instanceInterruptionBehavior", "terminate")
    if options.get("spotInstanceType", "one-time") == "one-time" and behavior != "terminate":
        return errors.text("aws", "spot_stop_one_time", behavior=behavior)
    price = options.get("maxPrice")
    if price is not None and not re.fullmatch(r"\d+(\.\d+)?", price):
        return _api(
            f"InvalidParameterValue: Invalid value '{price}' for maxPrice: must be a decimal number of USD/hour"
        )
    least = request.world.market.prices.get(("aws", str(request.inputs.get("instanceType"))))
    if _is_spot(request.inputs) and price is not None and least is not None and float(price) < least:
        return errors.text("aws", "spot_price", given=price, least=least)
    return None


def network_belongs_together(request: Request) -> str | None:
    """The subnet and the security groups exist, and are of one VPC."""
    truth = request.world.truth
    subnet_id = request.inputs.get("subnetId")
    subnet = truth.get("aws", subnet_id) if subnet_id else None
    if subnet_id and subnet is None:
        return _api(f"InvalidSubnetID.NotFound: The subnet ID '{subnet_id}' does not exist")
    for group_id in request.inputs.get("vpcSecurityGroupIds") or []:
        group = truth.get("aws", group_id)
        if group is None:
            return _api(f"InvalidGroup.NotFound: The security group '{group_id}' does not exist")
        if subnet is not None and group.inputs.get("vpcId") != subnet.inputs.get("vpcId"):
            return _api(
                f"InvalidParameter: Security group {group_id} and subnet {subnet_id} belong to different networks."
            )
    return None


def type_is_sold(request: Request) -> str | None:
    """The region and the zone sell the instance type (AWS's own DescribeInstanceTypeOfferings)."""
    size, region = str(request.inputs.get("instanceType")), _region(request)
    market = request.world.market
    if market.machine("aws", size) is None:
        return _api(f"InvalidParameterValue: Invalid value '{size}' for InstanceType.")
    zones = market.selling("aws", size, region)
    if not zones:
        return errors.text("aws", "configuration_region")
    zone = _given_zone(request)
    if zone and zone not in zones:
        return errors.text("aws", "configuration", instance_type=size, zone=zone, others=", ".join(sorted(zones)))
    return None


def quota(request: Request) -> str | None:
    """vCPUs by group of instance types, apart for spot: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html."""
    market, size, region = request.world.market, str(request.inputs.get("instanceType")), _region(request)
    spot = _is_spot(request.inputs)
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
            and _is_spot(record.inputs) == spot
        ):
            used += of_other.vcpus
    if used + machine.vcpus <= limit:
        return None
    return errors.text("aws", "quota") if spot else errors.text("aws", "quota_on_demand", limit=limit)


def no_stop_of_one_time_spot(request: Request, record: Record, changed: tuple[Path, ...]) -> str | None:
    """Changes that need a stop fail on one-time spot instances.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/stop-spot-instances.html; the code's wording is unverified.
    """
    needs_stop = {"instanceType", "userData", "userDataBase64"} & {without_indices(path) for path in changed}
    if needs_stop and _is_spot(record.inputs):
        return (
            f"updating EC2 Instance ({record.id}): stopping EC2 Instance ({record.id}): operation error EC2: StopInstances, https "
            f"response error StatusCode: 400, RequestID: {errors.REQUEST_ID}, api error UnsupportedOperation: You can't stop the "
            f"Spot Instance '{record.id}' because it is associated with a one-time Spot Instance request. You can only stop Spot "
            "Instances associated with persistent Spot Instance requests."
        )
    return None


class Aws(Cloud):
    """AWS."""

    provider = "aws"
    settles_on_cancel = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._issued: set[str] = set()
        tagged = (tag_characters,)
        everywhere = ("region",)
        ec2 = _ec2_kind
        self.kinds = {
            INSTANCE: Kind(
                identify=lambda request: f"i-{request.hexadecimal()}",
                outputs=self._instance,
                replaces=(
                    *everywhere,
                    *[
                        "ami",
                        "associatePublicIpAddress",
                        "availabilityZone",
                        "cpuOptions",
                        "ebsBlockDevices",
                        "ebsOptimized",
                    ],
                    *["enclaveOptions", "ephemeralBlockDevices", "hibernation", "hostId", "instanceMarketOptions"],
                    *[
                        "ipv6AddressCount",
                        "ipv6Addresses",
                        "keyName",
                        "launchTemplate",
                        "networkInterfaces",
                        "placementGroup",
                    ],
                    *[
                        "placementPartitionNumber",
                        "privateDnsNameOptions",
                        "privateIp",
                        "securityGroups",
                        "subnetId",
                        "tenancy",
                    ],
                    "rootBlockDevice.encrypted",
                    "rootBlockDevice.kmsKeyId",
                ),
                checks=(user_data_form, image_and_type_given, tag_characters),
                rules=(
                    user_data_size,
                    spot_options,
                    self._image_is_known,
                    network_belongs_together,
                    type_is_sold,
                    quota,
                ),
                updates=(no_stop_of_one_time_spot,),
                machine=True,
            ),
            "aws:ec2/vpc:Vpc": ec2("vpc", self._vpc, (*everywhere, "cidrBlock", "ipv4IpamPoolId"), checks=tagged),
            SUBNET: ec2(
                "subnet",
                self._subnet,
                (*everywhere, "vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId", "outpostArn"),
                checks=tagged,
                rules=(_needs("vpcId", "InvalidVpcID.NotFound: The vpc ID '{id}' does not exist"),),
            ),
            GROUP: ec2(
                "sg",
                self._group,
                (*everywhere, "description", "vpcId", "namePrefix"),
                segment="security-group",
                name="name",
                naming="dash",
                checks=tagged,
                rules=(_needs("vpcId", "InvalidVpcID.NotFound: The vpc ID '{id}' does not exist"),),
            ),
            "aws:ec2/internetGateway:InternetGateway": ec2(
                "igw", _nothing, everywhere, "internet-gateway", checks=tagged
            ),
            "aws:ec2/routeTable:RouteTable": ec2("rtb", _nothing, (*everywhere, "vpcId"), "route-table", checks=tagged),
            "aws:ec2/route:Route": ec2(
                "r-rtb", _nothing, (*everywhere, "routeTableId", "destinationCidrBlock"), "route"
            ),
            "aws:ec2/routeTableAssociation:RouteTableAssociation": ec2(
                "rtbassoc", _nothing, (*everywhere, "subnetId", "gatewayId"), "route-table-association"
            ),
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ec2(
                "sgr", _rule, (*everywhere, "securityGroupId"), "security-group-rule", checks=tagged
            ),
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ec2(
                "sgr", _rule, (*everywhere, "securityGroupId"), "security-group-rule", checks=tagged
            ),
            "aws:ec2/eip:Eip": ec2("eipalloc", self._eip, (*everywhere, "domain"), "elastic-ip", checks=tagged),
            "aws:ec2/eipAssociation:EipAssociation": ec2(
                "eipassoc",
                _nothing,
                (*everywhere, "allocationId", "instanceId", "networkInterfaceId"),
                "eip-association",
            ),
            "aws:iam/role:Role": _iam_kind("role", "AROA", ("path", "namePrefix")),
            "aws:iam/instanceProfile:InstanceProfile": _iam_kind("instance-profile", "AIPA", ("path", "namePrefix")),
        }

    def generic(self, token: str) -> Kind:
        """Return how any other type behaves: replaced where its documentation says so."""
        folder, name = token.split(":")[1].split("/")
        return Kind(
            identify=lambda request: f"{name.lower()}-{request.hexadecimal()}",
            outputs=lambda request, resource_id: _common(request, resource_id, folder, name),
            replaces=("region", *resource_type(token).forces_new),
            checks=(tag_characters,),
        )

    def defaults(self, request: Request) -> Values:
        """Return the region, which every resource has since version 7, and a security group's description."""
        inputs: Values = {}
        if "region" in resource_type(request.token).inputs.types:
            inputs["region"] = request.config.get("region") or REGION
        if request.token == GROUP:
            inputs["description"] = "Managed by Pulumi"
        return inputs

    def region(self, request: Request) -> str:
        """Return the region."""
        return _region(request)

    def replaces(self, token: str, inputs: Values) -> tuple[str, ...]:
        """Return what makes a new resource; user data only where the program says so."""
        of_user_data = ("userData", "userDataBase64") if inputs.get("userDataReplaceOnChange") is True else ()
        return (*super().replaces(token, inputs), *of_user_data)

    def taken(self, request: Request, resource_id: str) -> str:
        """Return the API's answer; only names of IAM can clash."""
        return f"creating {request.token.split(':')[-1]} ({resource_id}): EntityAlreadyExists: {resource_id} already exists."

    def in_use(self, record: Record, user: Record) -> str:
        """Return the API's answer (its wording is unverified)."""
        kind = record.id.split("-", maxsplit=1)[0]
        return (
            f"deleting {record.token.split(':')[-1]} ({record.id}): DependencyViolation: The {kind} '{record.id}' has "
            f"dependencies and cannot be deleted."
        )

    def references(self, record: Record) -> set[str]:
        """Return the id, and for IAM the ARN."""
        arn = record.outputs.get("arn")
        return {record.id, arn} if isinstance(arn, str) else {record.id}

    def user_data(self, inputs: Values) -> bytes:
        """Return the user data, decoded."""
        return _user_data(inputs)

    def with_addresses(self, record: Record, addresses: Mapping[str, str]) -> Values:
        """Return the outputs with other addresses."""
        outputs = dict(record.outputs)
        if "publicIp" in addresses:
            outputs |= {"publicIp": addresses["publicIp"], "publicDns": _dns(addresses["publicIp"], record.region)}
        if "privateIp" in addresses:
            outputs["privateIp"] = addresses["privateIp"]
        return outputs

    def left_behind(self, request: Request, record: Record) -> list[Record]:
        """Return the root volume."""
        volume = at(record.outputs, "rootBlockDevice.volumeId")
        return [
            Record(
                "aws",
                "aws:ebs/volume:Volume",
                "",
                volume,
                {},
                {"id": volume},
                record.region,
                dict(record.tags),
                record.created_at,
            )
        ]

    def gone_with(self, record: Record) -> list[Record]:
        """Return the root volume, unless it was to stay."""
        if record.token != INSTANCE or at(record.inputs, "rootBlockDevice.deleteOnTermination") is False:
            return []
        volume = self.world.truth.get("aws", at(record.outputs, "rootBlockDevice.volumeId"))
        return [volume] if volume else []

    def invoke(self, token: str, arguments: Values, config: Values) -> Values:
        """Answer what a program of ours asks."""
        region = arguments.get("region") or config.get("region") or REGION
        if token == "aws:ssm/getParameter:getParameter":
            return self._parameter(arguments, region)
        if token == "aws:ec2/getAmi:getAmi":
            return self._ami(arguments, region)
        if token == "aws:index/getAvailabilityZones:getAvailabilityZones":
            zones = [
                zone for zone in self.world.market.zones("aws", region) if zone not in arguments.get("excludeNames", [])
            ]
            ids = [f"{digest(region, digits=4)}-az{number}" for number, _ in enumerate(zones, start=1)]
            return {**arguments, "id": region, "region": region, "names": zones, "zoneIds": ids, "groupNames": [region]}
        if token == "aws:index/getCallerIdentity:getCallerIdentity":
            user = f"arn:aws:iam::{ACCOUNT}:user/emulated"
            return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": user, "userId": "AIDAEMULATED"}
        if token == "aws:index/getRegion:getRegion":
            return {
                "id": region,
                "name": region,
                "region": region,
                "description": region,
                "endpoint": f"ec2.{region}.amazonaws.com",
            }
        raise Refused(f"the emulated AWS does not have the function {token}")

    def _parameter(self, arguments: Values, region: str) -> Values:
        name = arguments.get("name", "")
        if name not in DEEP_LEARNING:
            raise Refused(
                "reading SSM Parameter ("
                + name
                + "): operation error SSM: GetParameter, https response error StatusCode: 400, "
                f"RequestID: {errors.REQUEST_ID}, ParameterNotFound: "
            )
        ami = self._issue(region, name)
        arn = f"arn:aws:ssm:{region}::parameter{name}"
        return {
            **arguments,
            "id": name,
            "arn": arn,
            "name": name,
            "region": region,
            "type": "String",
            "dataType": "aws:ec2:image",
            "value": ami,
            "insecureValue": ami,
            "version": 1,
            "withDecryption": arguments.get("withDecryption", True),
        }

    def _ami(self, arguments: Values, region: str) -> Values:
        wanted = sorted((item["name"], tuple(item["values"])) for item in arguments.get("filters", []))
        if not arguments.get("owners") and not wanted:
            raise Refused("Your query returned no results. Please change your search criteria and try again.")
        ami = self._issue(region, (tuple(arguments.get("owners", [])), tuple(wanted)))
        return {
            **arguments,
            "id": ami,
            "imageId": ami,
            "region": region,
            "arn": f"arn:aws:ec2:{region}::image/{ami}",
            "architecture": "x86_64",
            "name": dict(wanted).get("name", ("emulated",))[0],
            "ownerId": (arguments.get("owners") or [ACCOUNT])[0],
            "rootDeviceName": "/dev/sda1",
            "rootDeviceType": "ebs",
            "state": "available",
            "virtualizationType": "hvm",
            "creationDate": "2026-01-01T00:00:00.000Z",
        }

    def _issue(self, region: str, of: object) -> str:
        ami = f"ami-{digest(region, of)}"
        self._issued.add(ami)
        return ami

    def _image_is_known(self, request: Request) -> str | None:
        """The AMI exists in this region: a parameter or a search has given it, or the test has named it."""
        ami = request.inputs.get("ami")
        region = _region(request)
        public = {f"ami-{digest(region, name)}" for name in DEEP_LEARNING}
        if ami is None or ami in self._issued | public | self.world.market.amis:
            return None
        if not re.fullmatch(r"ami-[0-9a-f]{8,17}", ami):
            return _api(f'InvalidAMIID.Malformed: Invalid id: "{ami}"')
        return _api(f"InvalidAMIID.NotFound: The image id '[{ami}]' does not exist")

    def _instance(self, request: Request, resource_id: str) -> Values:
        inputs, region = request.inputs, _region(request)
        subnet = self.world.truth.get("aws", inputs.get("subnetId", ""))
        sold = sorted(self.world.market.selling("aws", str(inputs.get("instanceType")), region)) or [f"{region}a"]
        wants_address = inputs.get("associatePublicIpAddress")
        if wants_address is None:
            wants_address = subnet.inputs.get("mapPublicIpOnLaunch", False) if subnet else True
        public = self.world.address("aws", inputs) if wants_address else ""
        private = (
            f"10.0.{int(digest(resource_id, digits=2), 16)}.{int(digest('host', resource_id, digits=2), 16) % 250 + 4}"
        )
        spot = _is_spot(inputs)
        root = {
            "deviceName": "/dev/sda1",
            "volumeId": f"vol-{request.hexadecimal('volume')}",
            "deleteOnTermination": True,
        }
        return {
            **_common(request, resource_id, "ec2", "instance"),
            "instanceState": "running",
            "availabilityZone": _given_zone(request) or sold[0],
            "privateIp": inputs.get("privateIp") or private,
            "privateDns": f"ip-{private.replace('.', '-')}.ec2.internal",
            "publicIp": public,
            "publicDns": _dns(public, region),
            "primaryNetworkInterfaceId": f"eni-{request.hexadecimal('eni')}",
            "instanceLifecycle": "spot" if spot else "",
            "spotInstanceRequestId": f"sir-{request.hexadecimal('sir', digits=8)}" if spot else "",
            "rootBlockDevice": {**root, **(inputs.get("rootBlockDevice") or {})},
        }

    def _vpc(self, request: Request, resource_id: str) -> Values:
        return {
            "mainRouteTableId": f"rtb-{request.hexadecimal('main')}",
            "defaultSecurityGroupId": f"sg-{request.hexadecimal('default')}",
            "enableDnsSupport": request.inputs.get("enableDnsSupport", True),
        }

    def _subnet(self, request: Request, resource_id: str) -> Values:
        zones = self.world.market.zones("aws", _region(request)) or (f"{_region(request)}a",)
        return {"availabilityZone": request.inputs.get("availabilityZone") or zones[0]}

    def _group(self, request: Request, resource_id: str) -> Values:
        return {
            "name": request.inputs.get("name")
            or f"{request.inputs.get('namePrefix', '')}{request.hexadecimal(digits=8)}"
        }

    def _eip(self, request: Request, resource_id: str) -> Values:
        address = self.world.address("aws", request.inputs)
        return {
            "allocationId": resource_id,
            "publicIp": address,
            "publicDns": _dns(address, _region(request)),
            "domain": request.inputs.get("domain", "vpc"),
        }


def _nothing(request: Request, resource_id: str) -> Values:
    return {}


def _rule(request: Request, resource_id: str) -> Values:
    return {"securityGroupRuleId": resource_id}


def _common(request: Request, resource_id: str, service: str, segment: str) -> Values:
    """Return the outputs of every resource that the type has at all."""
    region = _region(request)
    everything = {
        "arn": f"arn:aws:{service}:{region}:{ACCOUNT}:{segment}/{resource_id}",
        "ownerId": ACCOUNT,
        "tagsAll": dict(request.inputs.get("tags") or {}),
        "region": region,
    }
    has = resource_type(request.token).outputs
    return {name: value for name, value in everything.items() if name in has}


def _ec2_kind(prefix: str, outputs: Any, replaces: tuple[str, ...], segment: str = "", **more: Any) -> Kind:
    return Kind(
        identify=lambda request: f"{prefix}-{request.hexadecimal()}",
        outputs=lambda request, resource_id: {
            **_common(request, resource_id, "ec2", segment or prefix),
            **outputs(request, resource_id),
        },
        replaces=replaces,
        **more,
    )


def _iam_kind(segment: str, prefix: str, replaces: tuple[str, ...]) -> Kind:
    def outputs(request: Request, resource_id: str) -> Values:
        return {
            "arn": f"arn:aws:iam::{ACCOUNT}:{segment}/{resource_id}",
            "uniqueId": f"{prefix}{request.hexadecimal().upper()}",
            "tagsAll": dict(request.inputs.get("tags") or {}),
            "createDate": "2026-01-01T00:00:00Z",
        }

    return Kind(
        identify=lambda request: str(
            request.inputs.get("name") or f"{request.inputs.get('namePrefix', '')}{request.hexadecimal()}"
        ),
        outputs=outputs,
        name="name",
        naming="dash",
        replaces=replaces,
        checks=(tag_characters,),
    )


def _needs(name: str, text: str) -> Any:
    """Return a rule: what this property names exists."""

    def rule(request: Request) -> str | None:
        wanted = request.inputs.get(name)
        if wanted is None or request.world.truth.get("aws", wanted) is not None:
            return None
        what = request.token.split(":")[-1]
        return f"creating EC2 {what}: operation error EC2: Create{what}, api error {text.format(id=wanted)}"

    return rule


def _region(request: Request) -> str:
    return str(request.inputs.get("region") or request.config.get("region") or REGION)


def _given_zone(request: Request) -> str | None:
    subnet = request.world.truth.get("aws", request.inputs.get("subnetId", ""))
    zone = request.inputs.get("availabilityZone") or (subnet.outputs.get("availabilityZone") if subnet else None)
    return str(zone) if zone else None


def _is_spot(inputs: Values) -> bool:
    return bool(at(inputs, "instanceMarketOptions.marketType") == "spot")


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _user_data(inputs: Values) -> bytes:
    if has_unknown(inputs.get("userData")) or has_unknown(inputs.get("userDataBase64")):
        return b""
    if "userDataBase64" in inputs:
        return _decoded(str(inputs["userDataBase64"])) or b""
    return str(inputs.get("userData", "")).encode()


def _dns(address: str, region: str) -> str:
    return f"ec2-{address.replace('.', '-')}.{region}.compute.amazonaws.com" if address else ""
