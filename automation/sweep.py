"""Machines that a cloud has made and no state knows: found by the tags that every resource of a node has, and deleted.

A host that dies in the middle of an update leaves the engine's request answered by nobody: the cloud has the machine,
and the state has no id of it.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from automation.cloud_api.refused import Refused

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from automation.cloud_api.azure import Azure
    from automation.cloud_api.gcp import Gcp

_GONE_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 2.0
_COMPUTE: Final = "2024-07-01"
_NOT_FOUND: Final = 404


@dataclass(frozen=True)
class Machine:
    """A machine as its cloud lists it; `id` is what the engine's state has as its id, too."""

    id: str
    place: str
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


class Cloud(Protocol):
    """One account. Every method raises `Refused` when the cloud can't be asked."""

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        """Return the machines with these tags that exist, or are about to."""

    def delete(self, machine: Machine) -> None:
        """Delete a machine with its disks, and return once it has gone."""


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


def without(machines: Iterable[Machine], known: Collection[str]) -> list[Machine]:
    """Return the machines that have none of these ids."""
    # Azure writes one id now in capitals and now not.
    ids = {one.casefold() for one in known}
    return [one for one in machines if one.id.casefold() not in ids]


class Aws:
    """One region of one account."""

    def __init__(self, client: "EC2Client") -> None:
        self._client = client

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        """Return the instances with these tags."""
        from automation.cloud_api.aws import answers

        wanted = {"instance-state-name": ["pending", "running", "stopping", "stopped"]}
        wanted |= {f"tag:{key}": [value] for key, value in marks.items()}
        with answers():
            pages = self._client.get_paginator("describe_instances").paginate(
                Filters=[{"Name": name, "Values": values} for name, values in wanted.items()]
            )
            return [
                Machine(
                    instance["InstanceId"],
                    instance["Placement"]["AvailabilityZone"],
                    {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())},
                )
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


class GcpCloud:
    """One project."""

    def __init__(self, gcp: "Gcp") -> None:
        self._gcp = gcp

    def machines(self, marks: Mapping[str, str]) -> list[Machine]:
        """Return the instances with these labels."""
        return [
            Machine(
                f"projects/{self._gcp.project}/zones/{zone}/instances/{item['name']}", zone, item.get("labels") or {}
            )
            for zone, item in self._instances()
            if _has(item.get("labels"), marks)
        ]

    def delete(self, machine: Machine) -> None:
        """Delete an instance."""
        path = machine.id.split("/", 2)[2]
        self._gcp.delete(path)
        _wait_until_gone(machine, lambda: self._gcp.get(path))

    def _instances(self) -> Iterator[tuple[str, dict[str, Any]]]:
        token = ""
        while True:
            page = self._gcp.get("aggregated/instances", **({"pageToken": token} if token else {}))
            for zone, found in page.get("items", {}).items():
                for item in found.get("instances", ()):
                    yield zone.rpartition("/")[2], item
            token = page.get("nextPageToken", "")
            if not token:
                return


def _has(found: Mapping[str, str] | None, marks: Mapping[str, str]) -> bool:
    return all((found or {}).get(key) == value for key, value in marks.items())


class _Get(Protocol):
    def __call__(self) -> object: ...


def _wait_until_gone(machine: Machine, get: _Get) -> None:
    limit = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < limit:
        try:
            get()
        except Refused as error:
            if error.status == _NOT_FOUND:
                return
            raise
        time.sleep(_LOOK_SECONDS)
    raise Refused("time_limit", f"{machine.id} is there {_GONE_SECONDS:.0f} s after it was deleted")
