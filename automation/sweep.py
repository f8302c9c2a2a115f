"""What a cloud has made, is paid for and no state knows: found by the tags that it has, and deleted.

A host that dies in the middle of an update leaves the engine's request answered by nobody: the cloud has the machine,
or the address, and the state has no id of it. A network that is left costs nothing, and is not looked for.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from automation.cloud_api.refused import Refused

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
        self._azure.delete(machine.id, _COMPUTE)
        _wait_until_gone(machine, lambda: self._azure.get(machine.id, _COMPUTE))

    def idle_addresses(self, marks: Mapping[str, str]) -> list[Address]:
        """Return the public addresses with these tags that no interface has."""
        return [
            Address(str(item["id"]), str(item.get("location", "")), item.get("tags") or {})
            for item in self._azure.items("providers/Microsoft.Network/publicIPAddresses", _NETWORK)
            if _has(item.get("tags"), marks) and not item["properties"].get("ipConfiguration")
        ]

    def release(self, address: Address) -> None:
        """Delete a public address."""
        self._azure.delete(address.id, _NETWORK)
        _wait_until_gone(address, lambda: self._azure.get(address.id, _NETWORK))


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
        path = machine.id.split("/", 2)[2]
        self._gcp.delete(path)
        _wait_until_gone(machine, lambda: self._gcp.get(path))

    def idle_addresses(self, marks: Mapping[str, str]) -> list[Address]:
        """Return the static addresses with these labels that are reserved and not in use."""
        return [
            Address(f"projects/{self._gcp.project}/{region}/addresses/{item['name']}", region, item.get("labels") or {})
            for region, item in self._aggregated("addresses")
            if _has(item.get("labels"), marks) and item.get("status") == "RESERVED"
        ]

    def release(self, address: Address) -> None:
        """Delete a static address."""
        path = address.id.split("/", 2)[2]
        self._gcp.delete(path)
        _wait_until_gone(address, lambda: self._gcp.get(path))

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


class _Get(Protocol):
    def __call__(self) -> object: ...


def _wait_until_gone(one: Listed, get: _Get) -> None:
    limit = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < limit:
        try:
            get()
        except Refused as error:
            if error.status == _NOT_FOUND:
                return
            raise
        time.sleep(_LOOK_SECONDS)
    raise Refused("time_limit", f"{one.id} is there {_GONE_SECONDS:.0f} s after it was deleted")
