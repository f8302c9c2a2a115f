"""What a cloud has made and no state knows: found by the tags that it has, or by its name, and deleted.

A host that dies in the middle of an update leaves the engine's request answered by nobody: the cloud has the machine,
the address or the part of a network, and the state has no id of it. Networks cost nothing: they are looked for only
where a state says that the create of one was cut off.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from automation.cloud_api.refused import Refused
from automation.worker import Pending

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, TagTypeDef

    from automation.cloud_api.azure import Azure
    from automation.cloud_api.gcp import Gcp

_GONE_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 2.0
_COMPUTE: Final = "2024-07-01"
_NETWORK: Final = "2024-05-01"
_NOT_FOUND: Final = 404
# Each can go once those before it have gone.
_AWS_PARTS: Final = {
    "aws:ec2/routeTable:RouteTable": "route-table",
    "aws:ec2/internetGateway:InternetGateway": "internet-gateway",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/securityGroup:SecurityGroup": "security-group",
    "aws:ec2/vpc:Vpc": "vpc",
}
"""Their types in EC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TagSpecification.html"""
_AZURE_PARTS: Final = {
    "azure-native:network:NetworkInterface": "networkInterfaces/{networkInterfaceName}",
    "azure-native:network:Subnet": "virtualNetworks/{virtualNetworkName}/subnets/{subnetName}",
    "azure-native:network:VirtualNetwork": "virtualNetworks/{virtualNetworkName}",
    "azure-native:network:NetworkSecurityGroup": "networkSecurityGroups/{networkSecurityGroupName}",
}
_GCP_PARTS: Final = {
    "gcp:compute/firewall:Firewall": "global/firewalls/{name}",
    "gcp:compute/subnetwork:Subnetwork": "regions/{region}/subnetworks/{name}",
    "gcp:compute/network:Network": "global/networks/{name}",
}


@dataclass(frozen=True)
class Listed:
    """Something as its cloud lists it; `id` is what the engine's state has as its id, too."""

    id: str
    place: str
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


class Machine(Listed):
    """A machine."""


class Address(Listed):
    """A public address that nothing uses; each cloud wants about 4 USD a month for one."""


class Part(Listed):
    """A part of a network. It costs nothing, and keeps the network from being deleted, or from being made again."""


_Found = TypeVar("_Found", bound=Listed)


class Cloud(Protocol):
    """One account. Every method raises `Refused` when the cloud can't be asked."""

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        """Return the machines with these tags that exist, or are about to."""

    def delete(self, machine: Machine) -> None:
        """Delete a machine with its disks, and return once it has gone."""

    def idle_addresses(self, marks: Mapping[str, str]) -> list[Address]:
        """Return the public addresses with these tags that nothing uses."""

    def release(self, address: Address) -> None:
        """Give an address back."""

    def parts(self, marks: Mapping[str, str], pending: Sequence[Pending]) -> list[Part]:
        """Return what these creates of parts of a network have made, in the order in which it can go."""

    def discard(self, part: Part) -> None:
        """Delete a part of a network."""


def connect(provider: str, region: str, environment: Mapping[str, str]) -> Cloud:
    """Return a cloud's account, with the credentials that the provider uses.

    Raises:
        Refused: there are no credentials.
    """
    # Each SDK takes a quarter of a second to import.
    if provider == "aws":
        from automation.cloud_api import aws

        with aws.answers():
            return Aws(aws.session().client("ec2", region_name=region, config=aws.QUICK))
    if provider == "azure":
        from automation.cloud_api.azure import Azure

        return AzureCloud(Azure.connect(environment))
    from automation.cloud_api.gcp import Gcp

    return GcpCloud(Gcp.connect(environment=environment))


def without(found: Iterable[_Found], known: Collection[str]) -> list[_Found]:
    """Return what has none of these ids."""
    # Azure writes one id now in capitals and now not.
    ids = {one.casefold() for one in known}
    return [one for one in found if one.id.casefold() not in ids]


class Aws:
    """One region of one account."""

    def __init__(self, client: "EC2Client") -> None:
        self._client = client

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        """Return the instances with these tags."""
        from automation.cloud_api.aws import answers

        exists: FilterTypeDef = {
            "Name": "instance-state-name",
            "Values": ["pending", "running", "stopping", "stopped"],
        }
        with answers():
            pages = self._client.get_paginator("describe_instances").paginate(Filters=[exists, *_filters(marks)])
            return [
                Machine(instance["InstanceId"], instance["Placement"]["AvailabilityZone"], _tags(instance.get("Tags")))
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            ]

    def delete(self, machine: Machine) -> None:
        """Terminate an instance."""
        from automation.cloud_api.aws import answers

        with answers():
            self._client.terminate_instances(InstanceIds=[machine.id])
            delay = round(_LOOK_SECONDS)
            self._client.get_waiter("instance_terminated").wait(
                InstanceIds=[machine.id], WaiterConfig={"Delay": delay, "MaxAttempts": round(_GONE_SECONDS / delay)}
            )

    def idle_addresses(self, marks: Mapping[str, str]) -> list[Address]:
        """Return the Elastic IP addresses with these tags that are associated with nothing."""
        from automation.cloud_api.aws import answers

        with answers():
            found = self._client.describe_addresses(Filters=_filters(marks))["Addresses"]
        region = self._client.meta.region_name
        return [
            Address(one["AllocationId"], region, _tags(one.get("Tags"))) for one in found if "AssociationId" not in one
        ]

    def release(self, address: Address) -> None:
        """Release an Elastic IP address."""
        from automation.cloud_api.aws import answers

        with answers():
            self._client.release_address(AllocationId=address.id)

    def parts(self, marks: Mapping[str, str], pending: Sequence[Pending]) -> list[Part]:
        """Return the resources of those types with these tags."""
        from automation.cloud_api.aws import answers

        types = {one.type for one in pending}
        kinds = [kind for type_, kind in _AWS_PARTS.items() if type_ in types]
        if not kinds:
            return []
        asked: dict[str, Sequence[str]] = {"resource-type": kinds, "key": [*marks], "value": [*marks.values()]}
        filters: list[FilterTypeDef] = [{"Name": name, "Values": values} for name, values in asked.items()]
        tags: dict[tuple[str, str], dict[str, str]] = {}
        with answers():
            for page in self._client.get_paginator("describe_tags").paginate(Filters=filters):
                for tag in page["Tags"]:
                    tags.setdefault((tag["ResourceType"], tag["ResourceId"]), {})[tag["Key"]] = tag["Value"]
        found = sorted((one for one in tags if _has(tags[one], marks)), key=lambda one: kinds.index(one[0]))
        return [Part(id_, self._client.meta.region_name, tags[kind, id_]) for kind, id_ in found]

    def discard(self, part: Part) -> None:
        """Delete a part of a VPC, or the VPC; its id says which."""
        from automation.cloud_api.aws import answers

        client = self._client
        with answers():
            match part.id.partition("-")[0]:
                case "rtb":
                    client.delete_route_table(RouteTableId=part.id)
                case "igw":
                    (gateway,) = client.describe_internet_gateways(InternetGatewayIds=[part.id])["InternetGateways"]
                    for attached in gateway["Attachments"]:
                        client.detach_internet_gateway(InternetGatewayId=part.id, VpcId=attached["VpcId"])
                    client.delete_internet_gateway(InternetGatewayId=part.id)
                case "subnet":
                    client.delete_subnet(SubnetId=part.id)
                case "sg":
                    client.delete_security_group(GroupId=part.id)
                case _:
                    client.delete_vpc(VpcId=part.id)


class AzureCloud:
    """One subscription."""

    def __init__(self, azure: "Azure") -> None:
        self._azure = azure

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        """Return the virtual machines with these tags."""
        return [
            Machine(str(item["id"]), str(item.get("location", "")), item.get("tags") or {})
            for item in self._azure.items("providers/Microsoft.Compute/virtualMachines", _COMPUTE)
            if _has(item.get("tags"), marks)
        ]

    def delete(self, machine: Machine) -> None:
        """Delete a virtual machine."""
        self._remove(machine, _COMPUTE)

    def idle_addresses(self, marks: Mapping[str, str]) -> list[Address]:
        """Return the public addresses with these tags that no interface has."""
        return [
            Address(str(item["id"]), str(item.get("location", "")), item.get("tags") or {})
            for item in self._azure.items("providers/Microsoft.Network/publicIPAddresses", _NETWORK)
            if _has(item.get("tags"), marks) and not item["properties"].get("ipConfiguration")
        ]

    def release(self, address: Address) -> None:
        """Delete a public address."""
        self._remove(address, _NETWORK)

    def parts(self, marks: Mapping[str, str], pending: Sequence[Pending]) -> list[Part]:
        """Return what has the name that the engine gave it; a group that is left costs nothing."""
        root = f"/subscriptions/{self._azure.subscription}/resourceGroups/{{resourceGroupName}}/providers"
        paths = {type_: f"{root}/Microsoft.Network/{path}" for type_, path in _AZURE_PARTS.items()}
        named = _named(pending, paths)
        return [Part(path, "") for path in named if _exists(partial(self._azure.get, path, _NETWORK))]

    def discard(self, part: Part) -> None:
        """Delete an interface, a network or its rules."""
        self._remove(part, _NETWORK)

    def _remove(self, one: Listed, api_version: str) -> None:
        self._azure.delete(one.id, api_version)
        _wait_until_gone(one, partial(self._azure.get, one.id, api_version))


class GcpCloud:
    """One project."""

    def __init__(self, gcp: "Gcp") -> None:
        self._gcp = gcp

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        """Return the instances with these labels."""
        return [
            Machine(f"projects/{self._gcp.project}/{zone}/instances/{item['name']}", zone, item.get("labels") or {})
            for zone, item in self._aggregated("instances")
            if _has(item.get("labels"), marks)
        ]

    def delete(self, machine: Machine) -> None:
        """Delete an instance."""
        self._remove(machine)

    def idle_addresses(self, marks: Mapping[str, str]) -> list[Address]:
        """Return the static addresses with these labels that are reserved and not in use."""
        return [
            Address(f"projects/{self._gcp.project}/{region}/addresses/{item['name']}", region, item.get("labels") or {})
            for region, item in self._aggregated("addresses")
            if _has(item.get("labels"), marks) and item.get("status") == "RESERVED"
        ]

    def release(self, address: Address) -> None:
        """Delete a static address."""
        self._remove(address)

    def parts(self, marks: Mapping[str, str], pending: Sequence[Pending]) -> list[Part]:
        """Return what has the name that the engine gave it: what a network is made of can't be labelled."""
        named = [path for path in _named(pending, _GCP_PARTS) if _exists(partial(self._gcp.get, path))]
        return [Part(f"projects/{self._gcp.project}/{path}", "") for path in named]

    def discard(self, part: Part) -> None:
        """Delete a network, or a part of one."""
        self._remove(part)

    def _remove(self, one: Listed) -> None:
        path = one.id.split("/", 2)[2]
        self._gcp.delete(path)
        _wait_until_gone(one, partial(self._gcp.get, path))

    def _aggregated(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each resource of a kind with its place, such as `zones/us-central1-a`."""
        token = ""
        while True:
            page = self._gcp.get(f"aggregated/{kind}", **({"pageToken": token} if token else {}))
            for place, found in page.get("items", {}).items():
                for item in found.get(kind, ()):
                    yield place, item
            token = page.get("nextPageToken", "")
            if not token:
                return


def _filters(marks: Mapping[str, str]) -> "list[FilterTypeDef]":
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in marks.items()]


def _tags(found: "Sequence[TagTypeDef] | None") -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found or ()}


def _has(found: Mapping[str, str] | None, marks: Mapping[str, str]) -> bool:
    return all((found or {}).get(key) == value for key, value in marks.items())


def _named(pending: Sequence[Pending], paths: Mapping[str, str]) -> list[str]:
    """Return the paths of what was being made, in the order of these types."""
    return [path.format_map(one.names) for type_, path in paths.items() for one in pending if one.type == type_]


def _exists(get: Callable[[], object]) -> bool:
    try:
        get()
    except Refused as error:
        if error.status == _NOT_FOUND:
            return False
        raise
    return True


def _wait_until_gone(one: Listed, get: Callable[[], object]) -> None:
    limit = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < limit:
        if not _exists(get):
            return
        time.sleep(_LOOK_SECONDS)
    raise Refused("time_limit", f"{one.id} is there {_GONE_SECONDS:.0f} s after it was deleted")
