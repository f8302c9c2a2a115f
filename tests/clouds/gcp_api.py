"""Google's APIs over HTTP, as far as Liftoff reads them, from the emulated clouds' truth and market.

The forms are those of https://cloud.google.com/compute/docs/reference/rest/v1 (projects.get, regions.get,
instances.aggregatedList, and the get and delete of what an instance needs) and https://cloud.google.com/resource-manager/reference/rest/v1/projects/testIamPermissions.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from tests.clouds.cloud import Request, World
from tests.clouds.gcp import Gcp
from tests.clouds.gcp_rules import ADDRESS, GPU_QUOTAS, INSTANCE, PROJECT, gpu_of, is_spot, last_part
from tests.clouds.http_api import TOKEN, Asked, HttpApi, NotThere

_UNLIMITED: Final = 10_000


@dataclass
class GcpApi(HttpApi):
    """One project.

    Attributes:
        granted: the permissions of the token's owner; None means all that are asked for.
        compute_enabled: whether Compute Engine is switched on in the project.
    """

    world: World = field(default_factory=World)
    granted: set[str] | None = None
    compute_enabled: bool = True

    def environment(self) -> dict[str, str]:
        """Return the variables with which the provider, and gcloud, find this cloud."""
        return {
            "GOOGLE_COMPUTE_CUSTOM_ENDPOINT": f"{self.url}/compute/v1/",
            "GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT": f"{self.url}/v1/",
            "GOOGLE_OAUTH_ACCESS_TOKEN": TOKEN,
            "GOOGLE_PROJECT": PROJECT,
        }

    def unauthorised(self) -> Any:
        """Return Google's answer to a wrong token."""
        return _error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED")

    def not_found(self, path: str) -> Any:
        """Return Google's answer to a path that nothing is at."""
        return _error(404, f"The resource '{path}' was not found", "NOT_FOUND")

    def respond(self, asked: Asked, authorization: str) -> tuple[int, Any]:
        """Return status and body; without Compute Engine each of its paths is refused."""
        status, found = super().respond(asked, authorization)
        if status == 200 and asked.path.startswith("/compute/") and not self.compute_enabled:
            text = f"Compute Engine API has not been used in project {PROJECT} before or it is disabled."
            details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}]
            refused = _error(403, text, "PERMISSION_DENIED")
            refused["error"] |= {"details": details, "errors": [{"reason": "accessNotConfigured"}]}
            return 403, refused
        return status, found

    def answer(self, asked: Asked) -> Any:
        """Return what Google says."""
        if asked.path == f"/v1/projects/{PROJECT}:testIamPermissions" and asked.method == "POST":
            permissions = asked.body["permissions"]
            return {"permissions": [one for one in permissions if self.granted is None or one in self.granted]}
        inside = asked.path.removeprefix(f"/compute/v1/projects/{PROJECT}")
        if inside == asked.path:
            raise NotThere
        if not inside:
            used = sum(count for _, count, _, _ in self._gpus())
            limit = self.world.market.quotas.get(("gcp", "global", "GPUS_ALL_REGIONS"), _UNLIMITED)
            return {"name": PROJECT, "quotas": [{"metric": "GPUS_ALL_REGIONS", "limit": limit, "usage": used}]}
        region = re.fullmatch(r"/regions/([\w-]+)", inside)
        if region:
            return {"name": region[1], "quotas": list(self._quotas(region[1]))}
        if inside == "/aggregated/instances":
            return {"items": self._instances()}
        if inside == "/aggregated/addresses":
            return {"items": self._addresses()}
        record = self.world.truth.get("gcp", f"projects/{PROJECT}{inside}")
        if record is not None:
            if asked.method == "DELETE":
                Gcp(self.world).delete(record.id)
            return {"name": record.inputs.get("name", "")}
        raise NotThere

    def _quotas(self, region: str) -> list[dict[str, Any]]:
        found = []
        for gpu, name in GPU_QUOTAS.items():
            for spot in (True, False):
                metric = f"{'PREEMPTIBLE_' if spot else ''}NVIDIA_{name}_GPUS"
                used = sum(count for of, count, on, place in self._gpus() if (of, on, place) == (gpu, spot, region))
                limit = self.world.market.quotas.get(("gcp", region, metric), _UNLIMITED)
                found.append({"metric": metric, "limit": float(limit), "usage": float(used)})
        return found

    def _gpus(self) -> list[tuple[str, int, bool, str]]:
        records = self.world.truth.find("gcp", INSTANCE)
        asked = [Request(self.world, record.token, record.urn, record.inputs, {}) for record in records]
        return [
            (*gpu_of(request), is_spot(record.inputs), record.region)
            for request, record in zip(asked, records, strict=True)
        ]

    def _instances(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for record in self.world.truth.find("gcp", INSTANCE):
            zone = last_part(str(record.inputs.get("zone", "")))
            if not self.world.is_listed(record):
                continue
            found.setdefault(f"zones/{zone}", {"instances": []})["instances"].append(
                {
                    "id": str(record.outputs.get("instanceId", "")),
                    "name": record.inputs.get("name", ""),
                    "zone": f"{self.url}/compute/v1/projects/{PROJECT}/zones/{zone}",
                    "machineType": record.inputs.get("machineType", ""),
                    "labels": dict(record.tags),
                    "status": {"creating": "STAGING", "stopped": "TERMINATED"}.get(record.state, "RUNNING"),
                    "scheduling": {"provisioningModel": "SPOT" if is_spot(record.inputs) else "STANDARD"},
                }
            )
        return found

    def _addresses(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for record in self.world.truth.find("gcp", ADDRESS):
            users = self.world.truth.users("gcp", {str(record.outputs["address"])}, but=record.id)
            found.setdefault(f"regions/{record.region}", {"addresses": []})["addresses"].append(
                {
                    "name": record.inputs.get("name", ""),
                    "address": record.outputs["address"],
                    "labels": dict(record.tags),
                    "status": "IN_USE" if users else "RESERVED",
                    "users": [user.id for user in users],
                }
            )
        return found


def _error(status: int, message: str, code: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": code, "errors": [{"message": message}]}}
