"""Azure Resource Manager over HTTP, as far as Liftoff reads it, from the emulated clouds' truth and market.

The forms are those of https://learn.microsoft.com/rest/api/: subscriptions, permissions, providers, usages, SKUs and
virtual machines; and of https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from tests.clouds.azure import Azure
from tests.clouds.azure_rules import ADDRESS, MACHINE, SUBSCRIPTION
from tests.clouds.cloud import World
from tests.clouds.http_api import TOKEN, Asked, HttpApi, NotThere
from tests.clouds.properties import at
from tests.clouds.truth import Record

TENANT: Final = "11111111-1111-1111-1111-111111111111"
CONTRIBUTOR: Final = {
    "actions": ["*"],
    "notActions": ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"],
}
"""The built-in role, in part: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles#contributor."""
ROLE_ADMINISTRATOR: Final = {
    "actions": [
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
        "*/read",
    ],
    "notActions": [],
}
OWNER: Final = {"actions": ["*"], "notActions": []}
_UNLIMITED: Final = 100_000
_TOTALS: Final = {"lowPriorityCores": "LowPriorityCores", "cores": "Total Regional Cores"}


@dataclass
class AzureApi(HttpApi):
    """One subscription.

    Attributes:
        permissions: what the roles of the token's owner grant.
        registered: which resource providers are registered.
        state: the subscription's.
        secret: what a service principal logs in with.
    """

    world: World = field(default_factory=World)
    permissions: list[dict[str, list[str]]] = field(default_factory=lambda: [OWNER])
    registered: set[str] = field(default_factory=lambda: {"Microsoft.Compute", "Microsoft.Network"})
    state: str = "Enabled"
    secret: str = "emulated-client-secret"

    def environment(self, authority: str) -> dict[str, str]:
        """Return the variables of a service principal; `authority` is the certificate's file."""
        return {
            "ARM_METADATA_HOSTNAME": self.url.removeprefix("https://"),
            "ARM_TENANT_ID": TENANT,
            "ARM_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
            "ARM_CLIENT_SECRET": self.secret,
            "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
            "SSL_CERT_FILE": authority,
            "REQUESTS_CA_BUNDLE": authority,
        }

    def open_paths(self) -> tuple[str, ...]:
        """Return where tokens come from."""
        return ("/metadata/endpoints", "/openid-configuration", "/oauth2/v2.0/token")

    def unauthorised(self) -> Any:
        """Return Azure's answer to a wrong token."""
        return _error("InvalidAuthenticationToken", "The access token is invalid.")

    def not_found(self, path: str) -> Any:
        """Return Azure's answer to a path that nothing is at."""
        return _error("ResourceNotFound", f"The Resource '{path}' was not found.")

    def respond(self, asked: Asked, authorization: str) -> tuple[int, Any]:
        """Return status and body; a wrong client secret is refused."""
        if asked.path.endswith("/oauth2/v2.0/token") and asked.body.get("client_secret") != self.secret:
            self.asked.append(asked)
            told = f"AADSTS7000215: Invalid client secret provided: {asked.body.get('client_secret')}."
            return 401, {"error": "invalid_client", "error_description": told}
        return super().respond(asked, authorization)

    def answer(self, asked: Asked) -> Any:
        """Return what Azure says."""
        if not asked.path.startswith("/subscriptions"):
            return self._login(asked)
        if asked.path == "/subscriptions":
            return {"value": [self._subscription()]}
        inside = asked.path.removeprefix(f"/subscriptions/{SUBSCRIPTION}")
        if inside == asked.path:
            raise NotThere
        if not inside:
            return self._subscription()
        if inside.endswith("/providers/Microsoft.Authorization/permissions"):
            return {"value": [{**one, "dataActions": [], "notDataActions": []} for one in self.permissions]}
        usages = re.fullmatch(r"/providers/Microsoft\.Compute/locations/(\w+)/usages", inside)
        if usages:
            return {"value": self._usages(usages[1])}
        if inside == "/providers/Microsoft.Compute/skus":
            location = re.fullmatch(r"location eq '(\w+)'", asked.query.get("$filter", ""))
            return {"value": self._skus(location[1] if location else "")}
        if inside == "/providers/Microsoft.Compute/virtualMachines":
            return {"value": self._machines()}
        if inside == "/providers/Microsoft.Network/publicIPAddresses":
            return {"value": [self._address(record) for record in self.world.truth.find("azure-native", ADDRESS)]}
        record = self.world.truth.get("azure-native", asked.path)
        if record is not None:
            if asked.method == "DELETE":
                Azure(self.world).delete(record.id)
            tell = {MACHINE: self._machine, ADDRESS: self._address}.get(record.token, _told)
            return tell(record)
        namespace = re.fullmatch(r"/providers/([\w.]+)", inside)
        if namespace:
            state = "Registered" if namespace[1] in self.registered else "NotRegistered"
            return {"namespace": namespace[1], "registrationState": state}
        raise NotThere

    def _login(self, asked: Asked) -> Any:
        if asked.path == "/metadata/endpoints":
            return {
                "name": "emulated",
                "resourceManager": self.url,
                "authentication": {"loginEndpoint": self.url, "audiences": [self.url], "tenant": TENANT},
            }
        if asked.path.endswith("/.well-known/openid-configuration"):
            login = f"{self.url}/{TENANT}"
            return {
                "issuer": f"{login}/v2.0",
                "authorization_endpoint": f"{login}/oauth2/v2.0/authorize",
                "token_endpoint": f"{login}/oauth2/v2.0/token",
            }
        if asked.path.endswith("/oauth2/v2.0/token"):
            return {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
        raise NotThere

    def _subscription(self) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{SUBSCRIPTION}",
            "subscriptionId": SUBSCRIPTION,
            "displayName": "Emulated",
            "state": self.state,
        }

    def _usages(self, region: str) -> list[dict[str, Any]]:
        families = dict.fromkeys(machine.family for machine in self.world.market.azure_sizes().values())
        names = {**_TOTALS, **{_value(family): family for family in families}}
        return [self._usage(region, value, family) for value, family in names.items()]

    def _usage(self, region: str, value: str, family: str) -> dict[str, Any]:
        market, spot = self.world.market, family == "LowPriorityCores"
        used = 0
        for record in self.world.truth.find("azure-native", MACHINE):
            machine = market.machine("azure-native", str(at(record.inputs, "hardwareProfile.vmSize")))
            counts = (record.inputs.get("priority") == "Spot") == spot and record.region == region
            if machine and counts and family in {*_TOTALS.values(), machine.family}:
                used += machine.vcpus
        return {
            "unit": "Count",
            "currentValue": used,
            "limit": market.quotas.get(("azure-native", region, family), _UNLIMITED),
            "name": {"value": value, "localizedValue": family},
        }

    def _skus(self, region: str) -> list[dict[str, Any]]:
        return [
            {
                "resourceType": "virtualMachines",
                "name": size,
                # As SKUs write it; usages write the same family in another way.
                "family": _value(machine.family).replace("Standard", "standard", 1),
                "locations": [region],
                "capabilities": [{"name": "vCPUs", "value": str(machine.vcpus)}],
                "restrictions": [],
            }
            for size, machine in self.world.market.azure_sizes().items()
            if self.world.market.selling("azure-native", size, region)
        ]

    def _machines(self) -> list[dict[str, Any]]:
        found = self.world.truth.find("azure-native", MACHINE)
        return [self._machine(record) for record in found if self.world.is_listed(record)]

    def _machine(self, record: Record) -> dict[str, Any]:
        return {
            "id": record.id,
            "name": record.id.rsplit("/", maxsplit=1)[-1],
            "location": record.region,
            "tags": dict(record.tags),
            "zones": list(record.inputs.get("zones") or []),
            "properties": {
                "hardwareProfile": {"vmSize": at(record.inputs, "hardwareProfile.vmSize")},
                "priority": record.inputs.get("priority", "Regular"),
                "provisioningState": {"creating": "Creating", "failed": "Failed"}.get(record.state, "Succeeded"),
                "vmId": record.outputs.get("vmId", ""),
            },
        }

    def _address(self, record: Record) -> dict[str, Any]:
        users = self.world.truth.users("azure-native", {record.id}, but=record.id)
        return {
            "id": record.id,
            "name": record.id.rsplit("/", maxsplit=1)[-1],
            "location": record.region,
            "tags": dict(record.tags),
            "properties": {
                "ipAddress": record.outputs.get("ipAddress", ""),
                "publicIPAllocationMethod": "Static",
                **({"ipConfiguration": {"id": f"{users[0].id}/ipConfigurations/node"}} if users else {}),
            },
        }


def _told(record: Record) -> dict[str, Any]:
    return {"id": record.id, "location": record.region, "tags": dict(record.tags), "properties": {}}


def _value(family: str) -> str:
    return family.removesuffix(" Cores").replace(" ", "") if " " in family else family


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
