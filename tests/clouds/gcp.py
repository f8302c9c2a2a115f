"""Emulated GCP: what pulumi-gcp and Compute Engine would say.

Replacement of an instance is that of the Terraform provider's schema:
https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/compute/resource_compute_instance.go.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from tests.clouds.cloud import ApiRule, Cloud, Kind, Refused, Request, World
from tests.clouds.gcp_rules import (
    ADDRESS,
    API,
    DISK,
    INSTANCE,
    NETWORK,
    PROJECT,
    SUBNET,
    accelerators_are_for_n1,
    gpus_end_on_maintenance,
    image_is_known,
    label_characters,
    last_part,
    machine_type_is_sold,
    metadata_size,
    network_exists,
    project_of,
    quota,
    region_of,
    resource_name,
    spot_settings,
    stop_is_allowed,
    subnets_are_apart,
    zone_of,
)
from tests.clouds.properties import Values, at
from tests.clouds.sdk_types import resource_type
from tests.clouds.truth import Record, digest


class Gcp(Cloud):
    """GCP."""

    provider = "gcp"
    settles_on_cancel = False
    """The plugin drops the id where waiting for the operation fails: a cancelled create may leave a machine."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.kinds = {
            INSTANCE: Kind(
                identify=lambda request: _identify(request, "instances", "zone"),
                outputs=self._instance,
                name="name",
                naming="dash",
                replaces=(
                    *[
                        "project",
                        "zone",
                        "description",
                        "hostname",
                        "guestAccelerators",
                        "metadataStartupScript",
                        "scratchDisks",
                    ],
                    *["confidentialInstanceConfig", "networkPerformanceConfig", "params", "reservationAffinity"],
                    *["scheduling.preemptible", "scheduling.provisioningModel", "scheduling.localSsdRecoveryTimeouts"],
                    *[
                        "bootDisk.autoDelete",
                        "bootDisk.deviceName",
                        "bootDisk.initializeParams",
                        "bootDisk.mode",
                        "bootDisk.source",
                    ],
                    *["networkInterfaces.nicType", "networkInterfaces.queueCount", "networkInterfaces.networkIp"],
                ),
                checks=(resource_name, label_characters),
                rules=(
                    image_is_known,
                    machine_type_is_sold,
                    accelerators_are_for_n1,
                    gpus_end_on_maintenance,
                    spot_settings,
                    metadata_size,
                    network_exists,
                    quota,
                ),
                updates=(stop_is_allowed,),
                machine=True,
            ),
            NETWORK: _kind("networks", "", ("description", "autoCreateSubnetworks")),
            SUBNET: _kind("subnetworks", "region", ("network", "description", "purpose"), rules=(subnets_are_apart,)),
            "gcp:compute/firewall:Firewall": _kind("firewalls", "", ("network", "direction")),
            ADDRESS: _kind(
                "addresses",
                "region",
                ("address", "addressType", "description", "networkTier", "purpose", "subnetwork"),
                self._address,
            ),
            "gcp:compute/globalAddress:GlobalAddress": _kind(
                "addresses", "", ("address", "description"), self._address
            ),
            DISK: _kind("disks", "zone", ("image", "snapshot", "type", "description")),
            "gcp:serviceaccount/account:Account": Kind(
                identify=lambda request: f"projects/{project_of(request)}/serviceAccounts/{_email(request)}",
                outputs=self._account,
                replaces=("accountId", "project"),
            ),
        }

    def generic(self, token: str) -> Kind:
        """Return how any other type behaves: replaced where its documentation says so."""
        name = token.rsplit(":", maxsplit=1)[-1]
        inputs = resource_type(token).inputs.types
        place = next((place for place in ("zone", "region") if place in inputs), "")
        return _kind(
            f"{name[0].lower()}{name[1:]}s",
            place,
            resource_type(token).forces_new,
            named="name" if "name" in inputs else "",
        )

    def defaults(self, request: Request) -> Values:
        """Return project, region and zone of the configuration."""
        inputs = resource_type(request.token).inputs.types
        values: Values = {}
        if "project" in inputs:
            values["project"] = request.config.get("project") or PROJECT
        for place in ("region", "zone"):
            if place in inputs and request.config.get(place):
                values[place] = request.config[place]
        return values

    def region(self, request: Request) -> str:
        """Return the region, of the zone where there is one."""
        zone = request.inputs.get("zone")
        return region_of(last_part(zone)) if zone else last_part(str(request.inputs.get("region", "")))

    def tags(self, inputs: Values) -> dict[str, str]:
        """Return the labels."""
        return dict(inputs.get("labels") or {})

    def taken(self, request: Request, resource_id: str) -> str:
        """Return the API's answer."""
        kind = request.token.split(":")[-1]
        what = "instance" if request.token == INSTANCE else kind
        return (
            f"Error creating {what}: googleapi: Error 409: The resource '{resource_id}' already exists, alreadyExists"
        )

    def in_use(self, record: Record, user: Record) -> str:
        """Return the API's answer."""
        kind = record.token.split(":")[-1].lower()
        return (
            f"Error waiting for Deleting {record.token.split(':')[-1]}: The {kind} resource '{record.id}' is "
            f"already being used by "
            f"'{user.id}'"
        )

    def references(self, record: Record) -> set[str]:
        """Return the id and the link."""
        return {record.id, str(record.outputs.get("selfLink", record.id))}

    def user_data(self, inputs: Values) -> bytes:
        """Return the metadata value that cloud-init reads, decoded where it says that it is base64."""
        metadata = inputs.get("metadata") or {}
        text = str(metadata.get("user-data", ""))
        if metadata.get("user-data-encoding") == "base64":
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                return b""
        return text.encode()

    def with_addresses(self, record: Record, addresses: Mapping[str, str]) -> Values:
        """Return the outputs with other addresses in the first interface."""
        outputs = dict(record.outputs)
        interfaces = [dict(item) for item in outputs["networkInterfaces"]]
        if interfaces and "privateIp" in addresses:
            interfaces[0]["networkIp"] = addresses["privateIp"]
        if interfaces and "publicIp" in addresses and interfaces[0].get("accessConfigs"):
            first, *rest = interfaces[0]["accessConfigs"]
            interfaces[0]["accessConfigs"] = [{**first, "natIp": addresses["publicIp"]}, *rest]
        return {**outputs, "networkInterfaces": interfaces}

    def left_behind(self, request: Request, record: Record) -> list[Record]:
        """Return the boot disk."""
        disk = record.id.replace("/instances/", "/disks/")
        outputs = {"id": disk, "selfLink": f"{API}{disk}"}
        return [Record("gcp", DISK, "", disk, {}, outputs, record.region, {}, record.created_at)]

    def gone_with(self, record: Record) -> list[Record]:
        """Return the boot disk, unless it was to stay."""
        if record.token != INSTANCE or at(record.inputs, "bootDisk.autoDelete") is False:
            return []
        disk = self.world.truth.get("gcp", record.id.replace("/instances/", "/disks/"))
        return [disk] if disk else []

    def evicted(self, record: Record) -> Values | None:
        """Return an instance that was only stopped, or None for the action DELETE."""
        if at(record.inputs, "scheduling.instanceTerminationAction") == "DELETE":
            return None
        return {**record.outputs, "currentStatus": "TERMINATED"}

    def invoke(self, token: str, arguments: Values, config: Values) -> Values:
        """Answer what a program of ours asks."""
        project = arguments.get("project") or config.get("project") or PROJECT
        if token == "gcp:compute/getImage:getImage":
            wanted = arguments.get("family") or arguments.get("name") or ""
            if wanted not in self.world.market.gcp_images.get(project, set()):
                raise Refused(
                    f"error retrieving image information: googleapi: Error 404: The resource "
                    f"'projects/{project}/global/images/family/{wanted}' was not found, notFound"
                )
            link = f"{API}projects/{project}/global/images/{wanted}-v20260101"
            return {
                **arguments,
                "id": link.removeprefix(API),
                "selfLink": link,
                "family": wanted,
                "name": f"{wanted}-v20260101",
                "project": project,
                "imageId": str(int(digest(link, digits=12), 16)),
                "status": "READY",
                "diskSizeGb": 50,
            }
        if token == "gcp:compute/getZones:getZones":
            region = arguments.get("region") or config.get("region") or ""
            return {
                **arguments,
                "id": f"projects/{project}/regions/{region}",
                "project": project,
                "names": list(self.world.market.zones("gcp", region)),
            }
        if token == "gcp:organizations/getProject:getProject":
            return {"id": f"projects/{project}", "projectId": project, "number": "123456789012", "name": project}
        if token == "gcp:organizations/getClientConfig:getClientConfig":
            place = {name: config.get(name, "") for name in ("region", "zone")}
            return {
                "id": f"projects/{project}",
                "project": project,
                "accessToken": "emulated",
                "defaultLabels": {},
                **place,
            }
        raise Refused(f"the emulated GCP does not have the function {token}")

    def _instance(self, request: Request, resource_id: str) -> Values:
        inputs = request.inputs
        interfaces = []
        for index, item in enumerate(inputs.get("networkInterfaces") or []):
            private = f"10.128.{index}.{int(digest(resource_id, digits=2), 16) % 250 + 2}"
            configurations = [
                {"natIp": access.get("natIp") or self.world.address("gcp", inputs), "networkTier": "PREMIUM", **access}
                for access in item.get("accessConfigs") or []
            ]
            interfaces.append({"name": f"nic{index}", "networkIp": private, **item, "accessConfigs": configurations})
        disk = resource_id.replace("/instances/", "/disks/")
        boot = {"deviceName": "persistent-disk-0", "source": f"{API}{disk}", "autoDelete": True, "mode": "READ_WRITE"}
        return {
            **_common(request, resource_id),
            "instanceId": str(int(digest(resource_id, request.hexadecimal(), digits=15), 16)),
            "currentStatus": "RUNNING",
            "cpuPlatform": "Intel Cascade Lake",
            "zone": zone_of(request),
            "networkInterfaces": interfaces,
            "bootDisk": {**boot, **(inputs.get("bootDisk") or {})},
        }

    def _address(self, request: Request, resource_id: str) -> Values:
        address = request.inputs.get("address") or self.world.address("gcp", request.inputs)
        return {"address": address, "addressId": int(digest(resource_id, digits=12), 16), "users": []}

    def _account(self, request: Request, resource_id: str) -> Values:
        email = _email(request)
        unique = str(int(digest(resource_id, digits=15), 16))
        return {"email": email, "member": f"serviceAccount:{email}", "name": resource_id, "uniqueId": unique}


def _kind(
    plural: str,
    place: str,
    replaces: tuple[str, ...],
    more: Any = None,
    named: str = "name",
    rules: tuple[ApiRule, ...] = (),
) -> Kind:
    return Kind(
        identify=lambda request: _identify(request, plural, place),
        outputs=lambda request, resource_id: {
            **_common(request, resource_id),
            **(more(request, resource_id) if more else {}),
        },
        name=named,
        naming="dash" if named else "none",
        replaces=("project", *((place,) if place else ()), *replaces),
        checks=(resource_name, label_characters),
        rules=rules,
    )


def _identify(request: Request, plural: str, place: str) -> str:
    where = f"{place}s/{last_part(str(request.inputs.get(place) or request.config.get(place)))}" if place else "global"
    return f"projects/{project_of(request)}/{where}/{plural}/{request.inputs.get('name') or request.name}"


def _common(request: Request, resource_id: str) -> Values:
    labels = dict(request.inputs.get("labels") or {})
    everything: Values = {
        "name": resource_id.rsplit("/", maxsplit=1)[-1],
        "selfLink": f"{API}{resource_id}",
        "creationTimestamp": "2026-01-01T00:00:00.000-00:00",
        "project": project_of(request),
        "effectiveLabels": labels,
        "pulumiLabels": labels,
        "labelFingerprint": digest("labels", labels, digits=11),
        "metadataFingerprint": digest("metadata", resource_id, digits=11),
        "tagsFingerprint": digest("tags", resource_id, digits=11),
        "networkId": str(int(digest(resource_id, digits=12), 16)),
        "numericId": str(int(digest(resource_id, digits=12), 16)),
    }
    has = resource_type(request.token).outputs
    return {name: value for name, value in everything.items() if name in has}


def _email(request: Request) -> str:
    return f"{request.inputs['accountId']}@{project_of(request)}.iam.gserviceaccount.com"
