"""GCP: the project, which permissions a launch lacks, whether Compute Engine is on, and the quotas of GPUs."""

import threading
from typing import Any, Final

from automation.checks.finding import CREDENTIALS, PERMISSIONS, SERVICES, Finding, State, is_throttled, of_refusal
from automation.checks.finding import rejects_credentials as rejects
from automation.checks.machine import Machine
from automation.checks.quota import Quota
from automation.cloud_api.gcp import SERVICE_DISABLED, Gcp
from automation.cloud_api.refused import Refused
from automation.errors import Kind

_EVERYWHERE: Final = "GPUS_ALL_REGIONS"
_METRICS: Final = {
    # https://cloud.google.com/compute/resource-usage#gpu_quota; H200 and B200 as regions/{region} lists them.
    "T4": "NVIDIA_T4_GPUS",
    "L4": "NVIDIA_L4_GPUS",
    "A100-40": "NVIDIA_A100_GPUS",
    "A100-80": "NVIDIA_A100_80GB_GPUS",
    "H100": "NVIDIA_H100_GPUS",
    "H200": "NVIDIA_H200_GPUS",
    "B200": "NVIDIA_B200_GPUS",
}
"""The name of a GPU's quota; spot machines have one of their own with PREEMPTIBLE_ before it."""

_NETWORK: Final = (
    "compute.networks.create",
    "compute.networks.delete",
    "compute.subnetworks.create",
    "compute.subnetworks.delete",
)
_NODE: Final = (
    "compute.networks.updatePolicy",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
    "compute.firewalls.create",
    "compute.firewalls.delete",
    "compute.addresses.create",
    "compute.addresses.list",
    "compute.addresses.setLabels",
    "compute.addresses.use",
    "compute.addresses.delete",
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.instances.create",
    "compute.instances.get",
    "compute.instances.list",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setTags",
    "compute.instances.delete",
    "compute.zoneOperations.get",
    "compute.regionOperations.get",
    "compute.globalOperations.get",
)


def needed(machine: Machine) -> tuple[str, ...]:
    """Return the permissions that components/gcp.py needs for a machine: https://cloud.google.com/compute/docs/reference/rest/v1."""
    return (*(() if machine.subnet else _NETWORK), *_NODE)


def metric(gpu: str, *, spot: bool) -> str:
    """Return the name of a GPU's quota; empty where it is not known."""
    known = _METRICS.get(gpu, "")
    return f"PREEMPTIBLE_{known}" if known and spot else known


class GcpAccount:
    """One project."""

    def __init__(self, gcp: Gcp) -> None:
        self._gcp = gcp
        self._answers: dict[str, dict[str, Any] | Refused] = {}
        self._lock = threading.Lock()

    def who(self) -> Finding:
        """Return whose credentials they are, and for which project."""
        who = self._gcp.account or "these credentials"
        try:
            self._ask("")
        except Refused as error:
            if error.status == 404:
                return Finding(
                    "gcp",
                    CREDENTIALS,
                    State.MISSING,
                    f"{who}: there is no project {self._gcp.project}",
                    "correct it: pulumi config set gcp:project PROJECT",
                    Kind.CONFIGURATION,
                )
            if error.code == SERVICE_DISABLED or (error.status == 403 and not is_throttled(error)):
                # Google knows who asks, and does not let them see more: what they may do is told apart.
                return Finding("gcp", CREDENTIALS, State.OK, f"{who}, for project {self._gcp.project}")
            raise
        return Finding("gcp", CREDENTIALS, State.OK, f"{who}, for project {self._gcp.project}")

    def rights(self, machine: Machine) -> tuple[Finding, ...]:
        """Return the permissions that are missing, and whether Compute Engine is on."""
        return (self._permissions(machine), self._service())

    def quotas(self, machine: Machine) -> tuple[Quota, ...]:
        """Return the region's quota of the GPU and the project's of all GPUs, as far as they are listed."""
        own = metric(machine.kind.gpu, spot=machine.spot)
        if not own:
            return ()
        region = self._ask(f"regions/{machine.region}").get("quotas", ())
        everywhere = self._ask("").get("quotas", ())
        found = [_quota(item, machine, machine.region) for item in region if item.get("metric") == own]
        # Without the region's own number the project's says too little.
        whole = [_quota(item, machine, "all regions") for item in everywhere if item.get("metric") == _EVERYWHERE]
        return (*found, *whole) if found else ()

    def _permissions(self, machine: Machine) -> Finding:
        permissions = needed(machine)
        try:
            granted = set(self._gcp.granted(permissions))
        except Refused as error:
            if rejects(error) or is_throttled(error):
                raise
            return of_refusal("gcp", PERMISSIONS, error)
        lacking = [name for name in permissions if name not in granted]
        if not lacking:
            return Finding("gcp", PERMISSIONS, State.OK, f"{len(permissions)} permissions are granted")
        hint = f"grant roles/compute.admin on project {self._gcp.project} to these credentials"
        return Finding("gcp", PERMISSIONS, State.MISSING, f"not granted: {', '.join(lacking)}", hint, Kind.CREDENTIALS)

    def _service(self) -> Finding:
        try:
            self._ask("")
        except Refused as error:
            if error.code == SERVICE_DISABLED:
                return Finding(
                    "gcp",
                    SERVICES,
                    State.MISSING,
                    "the Compute Engine API is not enabled",
                    f"gcloud services enable compute.googleapis.com --project {self._gcp.project}",
                    Kind.CONFIGURATION,
                )
            return of_refusal("gcp", SERVICES, error)
        return Finding("gcp", SERVICES, State.OK, "the Compute Engine API is enabled")

    def _ask(self, path: str) -> dict[str, Any]:
        """Return an answer of Compute Engine's; each is asked for once."""
        with self._lock:
            if path not in self._answers:
                try:
                    self._answers[path] = self._gcp.get(path)
                except Refused as error:
                    self._answers[path] = error
            found = self._answers[path]
        if isinstance(found, Refused):
            raise found
        return found


def _quota(item: dict[str, Any], machine: Machine, place: str) -> Quota:
    """Return a quota of https://cloud.google.com/compute/docs/reference/rest/v1/regions/get."""
    raised_by = (
        f"ask for more of {item['metric']} in {place}: https://cloud.google.com/docs/quotas/view-manage; "
        "or take another GPU or region"
    )
    return Quota(
        str(item["metric"]),
        place,
        float(item["limit"]),
        float(item["usage"]),
        machine.kind.gpu_count,
        "GPUs",
        raised_by,
    )
