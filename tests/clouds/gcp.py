"""Emulated GCP: what pulumi-gcp and Compute Engine would say.

Replacement of an instance is that of the Terraform provider's schema:
https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/compute/resource_compute_instance.go.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.clouds import errors
from tests.clouds.cloud import Cloud, Kind, Refused, Request, World
from tests.clouds.properties import UNKNOWN, Path, Values, at, known, without_indices
from tests.clouds.sdk_types import Problem, resource_type
from tests.clouds.truth import Record, digest

PROJECT: Final = "emulated-project"
INSTANCE: Final = "gcp:compute/instance:Instance"
DISK: Final = "gcp:compute/disk:Disk"
API: Final = "https://www.googleapis.com/compute/v1/"
METADATA_BYTES: Final = 256 * 1024
"""https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations: one value."""

_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_STOPS: Final = (
    "machineType",
    "minCpuPlatform",
    "serviceAccount",
    "enableDisplay",
    "shieldedInstanceConfig",
    "scheduling.nodeAffinities",
    "networkInterfaces.network",
    "networkInterfaces.subnetwork",
    "advancedMachineFeatures",
)


def _googleapi(status: int, text: str, reason: str) -> str:
    """Return an answer in the client's form; its wording is unverified where `errors` lacks it."""
    return f"Error creating instance: googleapi: Error {status}: {text}, {reason}"


def resource_name(request: Request) -> Iterator[Problem]:
    """RFC 1035: https://cloud.google.com/compute/docs/naming-resources#resource-name-format."""
    name = known(request.inputs, "name")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        yield Problem("name", f'"name" ("{name}") doesn\'t match regexp "^(?:{_NAME.pattern})$"')


def label_characters(request: Request) -> Iterator[Problem]:
    """https://cloud.google.com/compute/docs/labeling-resources#requirements."""
    labels = request.inputs.get("labels")
    if not isinstance(labels, dict):
        return
    for key, value in labels.items():
        path = f'labels["{key}"]'
        if not (1 <= len(key) <= 63 and key[0].isalpha() and _label(key)):
            yield Problem(
                path, "a label's key has 1 to 63 lower-case letters, digits, _ and -, and begins with a letter"
            )
        if isinstance(value, str) and value != UNKNOWN and not (len(value) <= 63 and _label(value)):
            yield Problem(path, f"a label's value has at most 63 lower-case letters, digits, _ and -; given: {value!r}")
    if len(labels) > 64:
        yield Problem("labels", "a resource has at most 64 labels")


def metadata_size(request: Request) -> str | None:
    """256 KB a value, 512 KB in all."""
    metadata = request.inputs.get("metadata") or {}
    for index, value in enumerate(metadata.values()):
        size = len(str(value).encode())
        if size > METADATA_BYTES:
            return _googleapi(
                400,
                f"Value for field 'resource.metadata.items[{index}].value' is too large: maximum size {METADATA_BYTES} "
                f"character(s); actual size {size}.",
                "invalid",
            )
    if sum(len(str(value).encode()) for value in metadata.values()) > 2 * METADATA_BYTES:
        return _googleapi(400, "The total size of resource.metadata is over 524288 characters.", "invalid")
    return None


def image_is_known(request: Request) -> str | None:
    """The image, or the family, exists in the project that is named."""
    image = at(request.inputs, "bootDisk.initializeParams.image")
    if image is None or find_image(request.world, image) is not None:
        return None
    return f"Error resolving image name '{image}': Could not find image or family {image}"


def machine_type_is_sold(request: Request) -> str | None:
    """The zone exists, and has the machine type and the GPU."""
    size, zone = _last(request.inputs["machineType"]), _zone(request)
    market = request.world.market
    if zone not in market.zones("gcp", _region(zone)):
        return f"Error loading zone '{zone}': googleapi: Error 404: The resource 'projects/{_project(request)}/zones/{zone}' was not found, notFound"
    if zone not in market.selling("gcp", size, _region(zone)):
        link = f"{API}projects/{_project(request)}/zones/{zone}/machineTypes/{size}"
        return _googleapi(
            400,
            f"Invalid value for field 'resource.machineType': '{link}'. Machine type with name '{size}' does not exist in zone "
            f"'{zone}'.",
            "invalid",
        )
    for accelerator in request.inputs.get("guestAccelerators") or []:
        gpu = _last(accelerator["type"])
        if zone not in market.gpu_zones(gpu):
            return errors.text("gcp", "no_such_accelerator", project=_project(request), zone=zone, gpu=gpu)
    return None


def accelerators_are_for_n1(request: Request) -> str | None:
    """https://cloud.google.com/compute/docs/gpus: only N1 takes GPUs; the other types carry theirs (the wording is our own)."""
    size = _last(request.inputs["machineType"])
    if request.inputs.get("guestAccelerators") and not size.startswith("n1-"):
        wanted = _gpu(request)[0]
        carried = request.world.market.machine("gcp", size)
        if carried and carried.gpu == wanted:
            return None  # naming what the type carries anyway is allowed
        return _googleapi(400, f"[{size}, {wanted}] features are not compatible for creating instance.", "badRequest")
    return None


def gpus_end_on_maintenance(request: Request) -> str | None:
    """A GPU can't migrate: https://cloud.google.com/compute/docs/instances/setting-vm-host-options."""
    if _gpu(request)[0] and at(request.inputs, "scheduling.onHostMaintenance") != "TERMINATE":
        return errors.text("gcp", "configuration")
    return None


def spot_settings(request: Request) -> str | None:
    """Spot machines do not restart; the plugin's default for automaticRestart is true.

    https://cloud.google.com/compute/docs/instances/create-use-spot; defaults: the schema of resource_compute_instance.go.
    """
    scheduling = request.inputs.get("scheduling") or {}
    if _is_spot(request.inputs) and scheduling.get("automaticRestart", True) is not False:
        return errors.text("gcp", "automatic_restart")
    if scheduling.get("provisioningModel") == "SPOT" and scheduling.get("preemptible") is not True:
        # The plugin's documentation of provisioningModel asks for both; the API's wording is unverified.
        return _googleapi(400, "Scheduling must have preemptible be true when provisioning model is SPOT.", "invalid")
    if (
        "instanceTerminationAction" in scheduling
        and not _is_spot(request.inputs)
        and "maxRunDuration" not in scheduling
    ):
        return _googleapi(
            400, "instanceTerminationAction needs a SPOT provisioning model or a maximum run duration.", "invalid"
        )
    return None


def network_exists(request: Request) -> str | None:
    """Each interface's network and subnetwork exist; a project has the network `default`."""
    for index, interface in enumerate(request.inputs.get("networkInterfaces") or []):
        for name in ("network", "subnetwork"):
            wanted = interface.get(name)
            if wanted and _last(wanted) != "default" and _find(request, name, wanted) is None:
                return _googleapi(
                    400,
                    f"Invalid value for field 'resource.networkInterfaces[{index}].{name}': '{wanted}'. The referenced {name} "
                    "resource cannot be found.",
                    "invalid",
                )
    return None


def quota(request: Request) -> str | None:
    """GPUs by type and region, apart for spot, and in all regions: https://cloud.google.com/compute/resource-usage#gpu_quota."""
    market, region = request.world.market, _region(_zone(request))
    gpu, count = _gpu(request)
    if not gpu:
        return None
    spot = _is_spot(request.inputs)
    name = f"{'PREEMPTIBLE_' if spot else ''}{gpu.removeprefix('nvidia-tesla-').removeprefix('nvidia-').upper().replace('-', '_')}"
    name = name.replace("PREEMPTIBLE_", "PREEMPTIBLE_NVIDIA_") if spot else f"NVIDIA_{name}"
    used = everywhere = 0
    for record in request.world.truth.find("gcp", INSTANCE):
        other = Request(request.world, record.token, record.urn, record.inputs, request.config)
        of_other, has = _gpu(other)
        everywhere += has
        if of_other == gpu and _is_spot(record.inputs) == spot and record.region == region:
            used += has
    limit = market.quotas.get(("gcp", region, f"{name}_GPUS"))
    if limit is not None and used + count > limit:
        return errors.text("gcp", "quota", quota=f"{name}_GPUS", limit=float(limit), region=region)
    limit = market.quotas.get(("gcp", "global", "GPUS_ALL_REGIONS"))
    if limit is not None and everywhere + count > limit:
        return errors.text("gcp", "quota_global", limit=float(limit))
    return None


def stop_is_allowed(request: Request, record: Record, changed: tuple[Path, ...]) -> str | None:
    """Some changes stop the instance, which the program has to allow (resource_compute_instance.go)."""
    stops = any(
        path == name or path.startswith(f"{name}.") for path in map(without_indices, changed) for name in _STOPS
    )
    if stops and request.inputs.get("allowStoppingForUpdate") is not True:
        return (
            "Changing the machine_type, min_cpu_platform, service_account, enable_display, shielded_instance_config, "
            "scheduling.node_affinities or network_interface.[#d].(network/subnetwork/subnetwork_project) or "
            "advanced_machine_features on a started instance requires stopping it. To acknowledge this, please set "
            "allow_stopping_for_update = true in your config."
        )
    return None


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
            "gcp:compute/network:Network": _kind("networks", "", ("description", "autoCreateSubnetworks")),
            "gcp:compute/subnetwork:Subnetwork": _kind("subnetworks", "region", ("network", "description", "purpose")),
            "gcp:compute/firewall:Firewall": _kind("firewalls", "", ("network", "direction")),
            "gcp:compute/address:Address": _kind(
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
                identify=lambda request: f"projects/{_project(request)}/serviceAccounts/{_email(request)}",
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
        return _region(_last(zone)) if zone else _last(str(request.inputs.get("region", "")))

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
            f"Error waiting for Deleting {record.token.split(':')[-1]}: The {kind} resource '{record.id}' is already being used by "
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
            "zone": _zone(request),
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


def _kind(plural: str, place: str, replaces: tuple[str, ...], more: Any = None, named: str = "name") -> Kind:
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
    )


def _identify(request: Request, plural: str, place: str) -> str:
    where = f"{place}s/{_last(str(request.inputs.get(place) or request.config.get(place)))}" if place else "global"
    return f"projects/{_project(request)}/{where}/{plural}/{request.inputs.get('name') or request.name}"


def _common(request: Request, resource_id: str) -> Values:
    labels = dict(request.inputs.get("labels") or {})
    everything: Values = {
        "name": resource_id.rsplit("/", maxsplit=1)[-1],
        "selfLink": f"{API}{resource_id}",
        "creationTimestamp": "2026-01-01T00:00:00.000-00:00",
        "project": _project(request),
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


def find_image(world: World, image: str) -> str | None:
    """Return the project's image or family that a text names, in any of the forms that the plugin takes."""
    parts = image.removeprefix(API).split("/")
    named = parts[-1]
    project = parts[1] if parts[0] == "projects" else parts[0]
    images = world.market.gcp_images.get(project, set())
    base = re.sub(r"-v\d{8}$", "", named)
    return base if len(parts) > 1 and base in images else None


def _find(request: Request, kind: str, wanted: str) -> Record | None:
    token = {"network": "gcp:compute/network:Network", "subnetwork": "gcp:compute/subnetwork:Subnetwork"}[kind]
    for record in request.world.truth.find("gcp", token):
        if wanted.removeprefix(API) in {record.id, record.outputs.get("name")}:
            return record
    return None


def _label(text: str) -> bool:
    return all(letter in "_-" or letter.isdigit() or (letter.isalpha() and not letter.isupper()) for letter in text)


def _gpu(request: Request) -> tuple[str, int]:
    """Return the GPU that an instance would have, and how many."""
    for accelerator in request.inputs.get("guestAccelerators") or []:
        return _last(str(accelerator["type"])), int(accelerator["count"])
    machine = request.world.market.machine("gcp", _last(str(request.inputs["machineType"])))
    return (machine.gpu, machine.gpus) if machine else ("", 0)


def _is_spot(inputs: Values) -> bool:
    scheduling = inputs.get("scheduling") or {}
    return scheduling.get("provisioningModel") == "SPOT" or scheduling.get("preemptible") is True


def _project(request: Request) -> str:
    return str(request.inputs.get("project") or request.config.get("project") or PROJECT)


def _zone(request: Request) -> str:
    return _last(str(request.inputs.get("zone") or request.config.get("zone") or ""))


def _region(zone: str) -> str:
    return zone.rpartition("-")[0]


def _email(request: Request) -> str:
    return f"{request.inputs['accountId']}@{_project(request)}.iam.gserviceaccount.com"


def _last(link: str) -> str:
    return link.rsplit("/", maxsplit=1)[-1]
