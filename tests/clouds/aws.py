"""Emulated AWS: what pulumi-aws and EC2 would say.

Replacement is that of the Terraform provider's schemas, for the instance
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/ec2_instance.go.
"""

import re
from collections.abc import Mapping
from typing import Any

from tests.clouds import errors
from tests.clouds.aws_rules import (
    ACCOUNT,
    ADDRESS,
    DEEP_LEARNING,
    GROUP,
    INSTANCE,
    REGION,
    SUBNET,
    api_answer,
    given_zone,
    image_and_type_given,
    is_spot,
    network_belongs_together,
    no_stop_of_one_time_spot,
    quota,
    region_of,
    spot_options,
    subnets_are_apart,
    tag_characters,
    type_is_sold,
    user_data_form,
    user_data_of,
    user_data_size,
)
from tests.clouds.cloud import Cloud, Kind, Refused, Request, World
from tests.clouds.properties import Values, at
from tests.clouds.sdk_types import resource_type
from tests.clouds.truth import Record, digest


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
                rules=(_needs("vpcId", "InvalidVpcID.NotFound: The vpc ID '{id}' does not exist"), subnets_are_apart),
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
            ADDRESS: ec2("eipalloc", self._eip, (*everywhere, "domain"), "elastic-ip", checks=tagged),
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
        return region_of(request)

    def replaces(self, token: str, inputs: Values) -> tuple[str, ...]:
        """Return what makes a new resource; user data only where the program says so."""
        of_user_data = ("userData", "userDataBase64") if inputs.get("userDataReplaceOnChange") is True else ()
        return (*super().replaces(token, inputs), *of_user_data)

    def taken(self, request: Request, resource_id: str) -> str:
        """Return the API's answer; only names of IAM can clash."""
        what = request.token.split(":")[-1]
        return f"creating {what} ({resource_id}): EntityAlreadyExists: {resource_id} already exists."

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
        return user_data_of(inputs)

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
        """Return what an instance takes along: its address's association, and a root volume unless it was to stay."""
        if record.token != INSTANCE:
            return []
        associations = [
            one for one in self.world.truth.find("aws", ":EipAssociation") if one.inputs.get("instanceId") == record.id
        ]
        if at(record.inputs, "rootBlockDevice.deleteOnTermination") is False:
            return associations
        volume = self.world.truth.get("aws", at(record.outputs, "rootBlockDevice.volumeId"))
        return [*associations, volume] if volume else associations

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
        region = region_of(request)
        public = {f"ami-{digest(region, name)}" for name in DEEP_LEARNING}
        if ami is None or ami in self._issued | public | self.world.market.amis:
            return None
        if not re.fullmatch(r"ami-[0-9a-f]{8,17}", ami):
            return api_answer(f'InvalidAMIID.Malformed: Invalid id: "{ami}"')
        return api_answer(f"InvalidAMIID.NotFound: The image id '[{ami}]' does not exist")

    def _instance(self, request: Request, resource_id: str) -> Values:
        inputs, region = request.inputs, region_of(request)
        subnet = self.world.truth.get("aws", inputs.get("subnetId", ""))
        sold = sorted(self.world.market.selling("aws", str(inputs.get("instanceType")), region)) or [f"{region}a"]
        wants_address = inputs.get("associatePublicIpAddress")
        if wants_address is None:
            wants_address = subnet.inputs.get("mapPublicIpOnLaunch", False) if subnet else True
        public = self.world.address("aws", inputs) if wants_address else ""
        private = (
            f"10.0.{int(digest(resource_id, digits=2), 16)}.{int(digest('host', resource_id, digits=2), 16) % 250 + 4}"
        )
        spot = is_spot(inputs)
        root = {
            "deviceName": "/dev/sda1",
            "volumeId": f"vol-{request.hexadecimal('volume')}",
            "deleteOnTermination": True,
        }
        return {
            **_common(request, resource_id, "ec2", "instance"),
            "instanceState": "running",
            "availabilityZone": given_zone(request) or sold[0],
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
        zones = self.world.market.zones("aws", region_of(request)) or (f"{region_of(request)}a",)
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
            "publicDns": _dns(address, region_of(request)),
            "domain": request.inputs.get("domain", "vpc"),
        }


def _nothing(request: Request, resource_id: str) -> Values:
    return {}


def _rule(request: Request, resource_id: str) -> Values:
    return {"securityGroupRuleId": resource_id}


def _common(request: Request, resource_id: str, service: str, segment: str) -> Values:
    """Return the outputs of every resource that the type has at all."""
    region = region_of(request)
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


def _dns(address: str, region: str) -> str:
    return f"ec2-{address.replace('.', '-')}.{region}.compute.amazonaws.com" if address else ""
