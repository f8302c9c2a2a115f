"""Azure: the subscription, what its roles allow, which providers are registered, and the quotas of cores."""

import threading
from collections.abc import Iterator
from typing import Any, Final

from automation.checks import azure_actions
from automation.checks.azure_actions import Granted
from automation.checks.finding import (
    CREDENTIALS,
    PERMISSIONS,
    SERVICES,
    Finding,
    State,
    is_throttled,
    of_refusal,
    rejects_credentials,
)
from automation.checks.machine import Machine
from automation.checks.quota import Quota
from automation.cloud_api.azure import Azure
from automation.cloud_api.refused import Refused
from automation.errors import Kind

_SUBSCRIPTIONS: Final = "2022-12-01"
_PERMISSIONS: Final = "2022-04-01"
_PROVIDERS: Final = "2021-04-01"
_USAGES: Final = "2024-07-01"
_SKUS: Final = "2021-07-01"
_NAMESPACES: Final = ("Microsoft.Compute", "Microsoft.Network")
_SPOT: Final = "lowPriorityCores"
"""All spot machines of a region share it: https://learn.microsoft.com/azure/quotas/spot-quota."""
_REGIONAL: Final = "cores"

_GROUP: Final = tuple(
    f"Microsoft.Resources/subscriptions/resourceGroups/{verb}" for verb in ("write", "read", "delete")
)
_NETWORK: Final = (
    "Microsoft.Network/virtualNetworks/write",
    "Microsoft.Network/virtualNetworks/delete",
    "Microsoft.Network/virtualNetworks/subnets/write",
    "Microsoft.Network/virtualNetworks/subnets/delete",
)
_NODE: Final = (
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.Network/publicIPAddresses/read",
    "Microsoft.Network/publicIPAddresses/write",
    "Microsoft.Network/publicIPAddresses/join/action",
    "Microsoft.Network/publicIPAddresses/delete",
    "Microsoft.Network/networkSecurityGroups/write",
    "Microsoft.Network/networkSecurityGroups/join/action",
    "Microsoft.Network/networkSecurityGroups/delete",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/networkInterfaces/join/action",
    "Microsoft.Network/networkInterfaces/delete",
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Compute/disks/write",
    "Microsoft.Compute/disks/delete",
    # The machine gets the right to delete itself.
    "Microsoft.Authorization/roleDefinitions/write",
    "Microsoft.Authorization/roleDefinitions/delete",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Authorization/roleAssignments/delete",
)


def needed(machine: Machine) -> tuple[str, ...]:
    """Return the actions that components/azure.py needs for a machine: https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations."""
    return (*(() if machine.group else _GROUP), *(() if machine.subnet else _NETWORK), *_NODE)


class AzureAccount:
    """One subscription."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure
        self._usages: dict[str, list[dict[str, Any]]] = {}
        self._families: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def who(self) -> Finding:
        """Return which subscription it is, and whether it is enabled."""
        found = self._azure.get(f"/subscriptions/{self._azure.subscription}", _SUBSCRIPTIONS)
        state, name = str(found.get("state", "")), f"{found.get('displayName', '')} ({self._azure.subscription})"
        if state == "Enabled":
            return Finding("azure", CREDENTIALS, State.OK, f"subscription {name} is enabled")
        return Finding(
            "azure",
            CREDENTIALS,
            State.MISSING,
            f"subscription {name} is {state or 'in no known state'}; it has to be Enabled",
            "reactivate it in Azure's portal, or name another one in ARM_SUBSCRIPTION_ID",
            Kind.CREDENTIALS,
        )

    def rights(self, machine: Machine) -> tuple[Finding, ...]:
        """Return the actions that no role of these credentials allows, and the providers that are not registered."""
        return (self._permissions(machine), *self._providers())

    def quotas(self, machine: Machine) -> tuple[Quota, ...]:
        """Return the spot quota, or the family's and the region's."""
        usages = {_squeezed(str(item["name"]["value"])): item for item in self._usage(machine.region)}
        if machine.spot:
            names = [_SPOT]
        else:
            family = self._family(machine.region).get(machine.kind.name.lower())
            names = [family, _REGIONAL] if family else []
        found = [usages.get(_squeezed(name)) for name in names]
        return tuple(_quota(item, machine) for item in found if item is not None)

    def _permissions(self, machine: Machine) -> Finding:
        scope = f"resourceGroups/{machine.group}/" if machine.group else ""
        try:
            items = self._azure.items(f"{scope}providers/Microsoft.Authorization/permissions", _PERMISSIONS)
            granted = [Granted.read(item) for item in items]
        except Refused as error:
            return _not_told(PERMISSIONS, error)
        actions = needed(machine)
        lacking = azure_actions.missing(actions, granted)
        where = f"resource group {machine.group}" if machine.group else "the subscription"
        if not lacking:
            return Finding("azure", PERMISSIONS, State.OK, f"{len(actions)} actions are allowed on {where}")
        hint = f"let a role of these credentials on {where} allow them"
        if all(action.startswith("Microsoft.Authorization/") for action in lacking):
            hint = f'assign "Role Based Access Control Administrator" on {where} to these credentials'
        text = f"not allowed on {where}: {', '.join(lacking)}"
        return Finding("azure", PERMISSIONS, State.MISSING, text, hint, Kind.CREDENTIALS)

    def _providers(self) -> Iterator[Finding]:
        for namespace in _NAMESPACES:
            try:
                state = str(self._azure.get(f"providers/{namespace}", _PROVIDERS).get("registrationState", ""))
            except Refused as error:
                yield _not_told(SERVICES, error)
                continue
            if state == "Registered":
                yield Finding("azure", SERVICES, State.OK, f"{namespace} is registered")
            else:
                yield Finding(
                    "azure",
                    SERVICES,
                    State.MISSING,
                    f"{namespace} is {state or 'in no known state'}; it has to be Registered",
                    f"az provider register --namespace {namespace}",
                    Kind.CONFIGURATION,
                )

    def _usage(self, region: str) -> list[dict[str, Any]]:
        with self._lock:
            if region not in self._usages:
                path = f"providers/Microsoft.Compute/locations/{region}/usages"
                self._usages[region] = list(self._azure.items(path, _USAGES))
            return self._usages[region]

    def _family(self, region: str) -> dict[str, str]:
        """Return the quota's family of each size: https://learn.microsoft.com/rest/api/compute/resource-skus/list."""
        with self._lock:
            if region not in self._families:
                only = {"$filter": f"location eq '{region}'"}
                items = self._azure.items("providers/Microsoft.Compute/skus", _SKUS, **only)
                self._families[region] = {
                    str(item["name"]).lower(): str(item.get("family", ""))
                    for item in items
                    if item.get("resourceType") == "virtualMachines"
                }
            return self._families[region]


def _not_told(subject: str, error: Refused) -> Finding:
    if rejects_credentials(error) or is_throttled(error):
        raise error
    return of_refusal("azure", subject, error)


def _squeezed(name: str) -> str:
    """Return a name for comparing: a SKU says `standardNCASv3_T4Family`, a usage `Standard NCASv3_T4 Family`."""
    return name.replace(" ", "").lower()


def _quota(item: dict[str, Any], machine: Machine) -> Quota:
    """Return an item of https://learn.microsoft.com/rest/api/compute/usage/list."""
    name = f"{item['name'].get('localizedValue') or item['name']['value']} ({item['name']['value']})"
    raised_by = (
        f"ask for more of {item['name']['value']} in {machine.region}: "
        "https://learn.microsoft.com/azure/quotas/per-vm-quota-requests; or take another type or region"
    )
    limit, used = float(item["limit"]), float(item["currentValue"])
    return Quota(name, machine.region, limit, used, machine.kind.vcpus, "vCPUs", raised_by)
