"""What pulumi-gcp and Compute Engine refuse: one function for each rule, with its source."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from tests.clouds import errors
from tests.clouds.cloud import Request, World
from tests.clouds.properties import UNKNOWN, Path, Values, at, known, without_indices
from tests.clouds.sdk_types import Problem
from tests.clouds.truth import Record

PROJECT: Final = "emulated-project"
INSTANCE: Final = "gcp:compute/instance:Instance"
ADDRESS: Final = "gcp:compute/address:Address"
DISK: Final = "gcp:compute/disk:Disk"
NETWORK: Final = "gcp:compute/network:Network"
SUBNET: Final = "gcp:compute/subnetwork:Subnetwork"
API: Final = "https://www.googleapis.com/compute/v1/"
METADATA_BYTES: Final = 256 * 1024
"""https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations: one value."""
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
GPU_QUOTAS: Final = {
    "nvidia-l4": "L4",
    "nvidia-tesla-t4": "T4",
    "nvidia-tesla-a100": "A100",
    "nvidia-a100-80gb": "A100_80GB",
    "nvidia-h100-80gb": "H100",
    "nvidia-b200": "B200",
}
"""What stands for a GPU in the names of its quotas: https://cloud.google.com/compute/resource-usage#gpu_quota."""
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
    size, zone = last_part(request.inputs["machineType"]), zone_of(request)
    market = request.world.market
    if zone not in market.zones("gcp", region_of(zone)):
        link = f"projects/{project_of(request)}/zones/{zone}"
        return f"Error loading zone '{zone}': googleapi: Error 404: The resource '{link}' was not found, notFound"
    if zone not in market.selling("gcp", size, region_of(zone)):
        link = f"{API}projects/{project_of(request)}/zones/{zone}/machineTypes/{size}"
        return _googleapi(
            400,
            f"Invalid value for field 'resource.machineType': '{link}'. Machine type with name '{size}' does not "
            f"exist in zone "
            f"'{zone}'.",
            "invalid",
        )
    for accelerator in request.inputs.get("guestAccelerators") or []:
        gpu = last_part(accelerator["type"])
        if zone not in market.gpu_zones(gpu):
            return errors.text("gcp", "no_such_accelerator", project=project_of(request), zone=zone, gpu=gpu)
    return None


def accelerators_are_for_n1(request: Request) -> str | None:
    """Only N1 takes GPUs, the others carry theirs: https://cloud.google.com/compute/docs/gpus (wording unverified)."""
    size = last_part(request.inputs["machineType"])
    if request.inputs.get("guestAccelerators") and not size.startswith("n1-"):
        wanted = gpu_of(request)[0]
        carried = request.world.market.machine("gcp", size)
        if carried and carried.gpu == wanted:
            return None  # naming what the type carries anyway is allowed
        return _googleapi(400, f"[{size}, {wanted}] features are not compatible for creating instance.", "badRequest")
    return None


def gpus_end_on_maintenance(request: Request) -> str | None:
    """A GPU can't migrate: https://cloud.google.com/compute/docs/instances/setting-vm-host-options."""
    if gpu_of(request)[0] and at(request.inputs, "scheduling.onHostMaintenance") != "TERMINATE":
        return errors.text("gcp", "configuration")
    return None


def spot_settings(request: Request) -> str | None:
    """Spot machines do not restart; the plugin's default for automaticRestart is true.

    https://cloud.google.com/compute/docs/instances/create-use-spot; the default: resource_compute_instance.go.
    """
    scheduling = request.inputs.get("scheduling") or {}
    if is_spot(request.inputs) and scheduling.get("automaticRestart", True) is not False:
        return errors.text("gcp", "automatic_restart")
    if scheduling.get("provisioningModel") == "SPOT" and scheduling.get("preemptible") is not True:
        # The plugin's documentation of provisioningModel asks for both; the API's wording is unverified.
        return _googleapi(400, "Scheduling must have preemptible be true when provisioning model is SPOT.", "invalid")
    if "instanceTerminationAction" in scheduling and not is_spot(request.inputs) and "maxRunDuration" not in scheduling:
        return _googleapi(
            400, "instanceTerminationAction needs a SPOT provisioning model or a maximum run duration.", "invalid"
        )
    return None


def network_exists(request: Request) -> str | None:
    """Each interface's network and subnetwork exist; a project has the network `default`."""
    for index, interface in enumerate(request.inputs.get("networkInterfaces") or []):
        for name in ("network", "subnetwork"):
            wanted = interface.get(name)
            if wanted and last_part(wanted) != "default" and _find(request, name, wanted) is None:
                return _googleapi(
                    400,
                    f"Invalid value for field 'resource.networkInterfaces[{index}].{name}': '{wanted}'. The "
                    f"referenced {name} "
                    "resource cannot be found.",
                    "invalid",
                )
    return None


def subnets_are_apart(request: Request) -> str | None:
    """Two subnets of a network do not overlap: https://cloud.google.com/vpc/docs/subnets#valid-ranges"""
    given = str(request.inputs["ipCidrRange"])
    for other in request.world.truth.find("gcp", SUBNET):
        same = last_part(str(other.inputs["network"])) == last_part(str(request.inputs["network"]))
        if same and ipaddress.ip_network(given).overlaps(ipaddress.ip_network(str(other.inputs["ipCidrRange"]))):
            name, region = last_part(other.id), other.region
            text = f"Invalid IPCidrRange: {given} conflicts with existing subnetwork '{name}' in region '{region}'."
            return _googleapi(400, text, "invalid")
    return None


def quota(request: Request) -> str | None:
    """GPUs by type and region, apart for spot, and in all regions: https://cloud.google.com/compute/resource-usage#gpu_quota."""
    market, region = request.world.market, region_of(zone_of(request))
    gpu, count = gpu_of(request)
    if not gpu:
        return None
    spot = is_spot(request.inputs)
    name = f"{'PREEMPTIBLE_' if spot else ''}NVIDIA_{GPU_QUOTAS.get(gpu, gpu.removeprefix('nvidia-').upper())}_GPUS"
    used = everywhere = 0
    for record in request.world.truth.find("gcp", INSTANCE):
        other = Request(request.world, record.token, record.urn, record.inputs, request.config)
        of_other, has = gpu_of(other)
        everywhere += has
        if of_other == gpu and is_spot(record.inputs) == spot and record.region == region:
            used += has
    limit = market.quotas.get(("gcp", region, name))
    if limit is not None and used + count > limit:
        return errors.text("gcp", "quota", quota=name, limit=float(limit), region=region)
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


def find_image(world: World, image: str) -> str | None:
    """Return the project's image or family that a text names, in any of the forms that the plugin takes."""
    parts = image.removeprefix(API).split("/")
    named = parts[-1]
    project = parts[1] if parts[0] == "projects" else parts[0]
    images = world.market.gcp_images.get(project, set())
    base = re.sub(r"-v\d{8}$", "", named)
    return base if len(parts) > 1 and base in images else None


def _find(request: Request, kind: str, wanted: str) -> Record | None:
    token = {"network": NETWORK, "subnetwork": SUBNET}[kind]
    for record in request.world.truth.find("gcp", token):
        if wanted.removeprefix(API) in {record.id, record.outputs.get("name")}:
            return record
    return None


def _label(text: str) -> bool:
    return all(letter in "_-" or letter.isdigit() or (letter.isalpha() and not letter.isupper()) for letter in text)


def gpu_of(request: Request) -> tuple[str, int]:
    """Return the GPU that an instance would have, and how many."""
    for accelerator in request.inputs.get("guestAccelerators") or []:
        return last_part(str(accelerator["type"])), int(accelerator["count"])
    machine = request.world.market.machine("gcp", last_part(str(request.inputs["machineType"])))
    return (machine.gpu, machine.gpus) if machine else ("", 0)


def is_spot(inputs: Values) -> bool:
    scheduling = inputs.get("scheduling") or {}
    return scheduling.get("provisioningModel") == "SPOT" or scheduling.get("preemptible") is True


def project_of(request: Request) -> str:
    return str(request.inputs.get("project") or request.config.get("project") or PROJECT)


def zone_of(request: Request) -> str:
    return last_part(str(request.inputs.get("zone") or request.config.get("zone") or ""))


def region_of(zone: str) -> str:
    return zone.rpartition("-")[0]


def last_part(link: str) -> str:
    return link.rsplit("/", maxsplit=1)[-1]
