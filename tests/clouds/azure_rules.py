"""What pulumi-azure-native and the Resource Manager refuse: one function for each rule, with its source."""

import base64
import binascii
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from tests.clouds import errors
from tests.clouds.cloud import Request
from tests.clouds.properties import Path, at, has_unknown, known, without_indices
from tests.clouds.sdk_types import Problem
from tests.clouds.truth import Record

SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
MACHINE: Final = "azure-native:compute:VirtualMachine"
GROUP: Final = "azure-native:resources:ResourceGroup"
INTERFACE: Final = "azure-native:network:NetworkInterface"
ADDRESS: Final = "azure-native:network:PublicIPAddress"
DISK: Final = "azure-native:compute:Disk"
CUSTOM_DATA_CHARACTERS: Final = 87380
"""Base64 of 65,535 bytes: https://learn.microsoft.com/azure/virtual-machines/custom-data."""
_NETWORK: Final = "{group}/providers/Microsoft.Network"
_COMPUTE: Final = "{group}/providers/Microsoft.Compute"
PATHS: Final = {
    GROUP: "{group}",
    "azure-native:network:VirtualNetwork": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}",
    "azure-native:network:Subnet": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}/subnets/{{subnetName}}",
    "azure-native:network:NetworkSecurityGroup": f"{_NETWORK}/networkSecurityGroups/{{networkSecurityGroupName}}",
    "azure-native:network:SecurityRule": (
        f"{_NETWORK}/networkSecurityGroups/{{networkSecurityGroupName}}/securityRules/{{securityRuleName}}"
    ),
    ADDRESS: f"{_NETWORK}/publicIPAddresses/{{publicIpAddressName}}",
    INTERFACE: f"{_NETWORK}/networkInterfaces/{{networkInterfaceName}}",
    "azure-native:network:NatGateway": f"{_NETWORK}/natGateways/{{natGatewayName}}",
    MACHINE: f"{_COMPUTE}/virtualMachines/{{vmName}}",
    "azure-native:compute:VirtualMachineExtension": (
        f"{_COMPUTE}/virtualMachines/{{vmName}}/extensions/{{vmExtensionName}}"
    ),
    DISK: f"{_COMPUTE}/disks/{{diskName}}",
    "azure-native:compute:SshPublicKey": f"{_COMPUTE}/sshPublicKeys/{{sshPublicKeyName}}",
    "azure-native:managedidentity:UserAssignedIdentity": (
        "{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}"
    ),
    "azure-native:authorization:RoleAssignment": (
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"
    ),
    "azure-native:authorization:RoleDefinition": (
        "{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}"
    ),
}
"""Each type's id; its last field is the resource's name. A group: `/subscriptions/…/resourceGroups/NAME`."""
_FIXED: Final = (
    "osProfile.customData",
    "osProfile.adminUsername",
    "osProfile.computerName",
    "osProfile.linuxConfiguration.ssh",
    "storageProfile.imageReference",
    "storageProfile.osDisk.createOption",
    "priority",
    "zones",
)
"""What Azure does not change on a machine. Reported for customData; the rest is unverified."""


def answer(code: str, message: str, status: int = 400) -> str:
    """Return an answer in the Resource Manager's form; its wording is unverified where `errors` lacks it."""
    return f'Status={status} Code="{code}" Message="{message}"'


def group_name(request: Request) -> Iterator[Problem]:
    """https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftresources."""
    name = known(request.inputs, "resourceGroupName")
    if isinstance(name, str) and (not re.fullmatch(r"[-\w._()]{1,90}", name) or name.endswith(".")):
        yield Problem(
            "resourceGroupName",
            f"'resourceGroupName' {name!r} must be 1 to 90 of: letters, digits, underscores, hyphens, periods, and "
            "parentheses; it can't end with a period",
        )


def machine_name(request: Request) -> Iterator[Problem]:
    """https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftcompute."""
    for path in ("vmName", "osProfile.computerName"):
        name = known(request.inputs, path)
        if isinstance(name, str) and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", name):
            yield Problem(
                path,
                f"{name!r} must be 1 to 64 letters, digits, hyphens and periods, and begin and end with a letter "
                f"or digit",
            )


def group_exists(request: Request) -> str | None:
    """Everything but a group is in one."""
    name = request.inputs.get("resourceGroupName")
    if name is None or request.token == GROUP or request.world.truth.get("azure-native", group_id(name)) is not None:
        return None
    return answer("ResourceGroupNotFound", f"Resource group '{name}' could not be found.", 404)


def address_is_static(request: Request) -> str | None:
    """A Standard address is static."""
    sku = at(request.inputs, "sku.name")
    if sku == "Standard" and request.inputs.get("publicIPAllocationMethod", "Dynamic") != "Static":
        return errors.text("azure-native", "static_address", id=resource_id_of(request))
    return None


def interface_belongs_together(request: Request) -> str | None:
    """The subnet and the address exist, in the interface's location."""
    for index, configuration in enumerate(request.inputs.get("ipConfigurations") or []):
        for name in ("subnet", "publicIPAddress"):
            wanted = at(configuration, f"{name}.id")
            if wanted and not _exists(request, wanted):
                return _missing(request, wanted, f"ipConfigurations[{index}].{name}")
    return None


def interfaces_are_in_reach(request: Request) -> str | None:
    """A machine's interfaces exist in its location, and serve no other machine."""
    truth = request.world.truth
    wanted = [at(item, "id") for item in at(request.inputs, "networkProfile.networkInterfaces") or []]
    if not wanted:
        return answer("InvalidParameter", "Required parameter 'networkProfile' is missing (null).")
    for resource_id in wanted:
        interface = truth.get("azure-native", resource_id)
        if interface is None or interface.region != location_of(request):
            return _missing(request, resource_id, "networkProfile.networkInterfaces")
        for other in truth.users("azure-native", {resource_id}):
            if other.token == MACHINE:
                return answer(
                    "NicInUse",
                    f"Network Interface {resource_id} is used by existing resource {other.id}. In order to use it, "
                    "dissociate it from that resource first.",
                )
    return None


def spot_settings(request: Request) -> str | None:
    """https://learn.microsoft.com/azure/virtual-machines/error-codes-spot and the docs of BillingProfile.maxPrice."""
    inputs = request.inputs
    spot = inputs.get("priority") in {"Spot", "Low"}
    price = at(inputs, "billingProfile.maxPrice")
    if not spot and "evictionPolicy" in inputs:
        return errors.text("azure-native", "spot_eviction_policy")
    if not spot and price is not None:
        return errors.text("azure-native", "spot_price_on_demand")
    if price is None:
        return None
    exact = Decimal(str(price)).normalize()
    decimals = -int(exact.as_tuple().exponent)
    if exact != -1 and (exact <= 0 or decimals > 5):
        return errors.text("azure-native", "spot_price_invalid")
    size = str(at(inputs, "hardwareProfile.vmSize"))
    least = request.world.market.prices.get(("azure-native", size))
    if least is not None and exact != -1 and exact < Decimal(str(least)):
        return errors.text("azure-native", "spot_price", operation="Create VM", given=price, least=least, size=size)
    return None


def custom_data_size(request: Request) -> str | None:
    """Base64, at most 64 KB behind it: https://learn.microsoft.com/azure/virtual-machines/custom-data."""
    data = at(request.inputs, "osProfile.customData")
    if data is not None and (len(data) > CUSTOM_DATA_CHARACTERS or decoded(data) is None):
        return answer(
            "InvalidParameter",
            f"Custom data in OSProfile must be in Base64 encoding and with a maximum length of "
            f"{CUSTOM_DATA_CHARACTERS} characters.",
        )
    return None


def somebody_can_log_in(request: Request) -> str | None:
    """A machine from an image needs a user with a key or a password."""
    profile = request.inputs.get("osProfile")
    if at(request.inputs, "storageProfile.osDisk.createOption") != "FromImage":
        return None
    if not at(profile, "adminUsername"):
        return answer("InvalidParameter", "Required parameter 'osProfile.adminUsername' is missing (null).")
    keys = at(profile, "linuxConfiguration.ssh.publicKeys") or []
    no_password = at(profile, "linuxConfiguration.disablePasswordAuthentication") is True
    if (no_password and not keys) or (not no_password and not keys and not at(profile, "adminPassword")):
        return answer(
            "InvalidParameter",
            "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
        )
    return None


def size_is_sold(request: Request) -> str | None:
    """The location sells the size, in the zone asked for, and as spot if asked."""
    size, location = str(at(request.inputs, "hardwareProfile.vmSize")), location_of(request)
    market = request.world.market
    machine = market.machine("azure-native", size)
    zones = request.inputs.get("zones") or []
    if (
        machine is None
        or not market.selling("azure-native", size, location)
        or set(zones) - set(market.zones("azure-native", location))
    ):
        return errors.text(
            "azure-native",
            "configuration_region",
            id=resource_id_of(request),
            location=location,
            subscription=SUBSCRIPTION,
        )
    if request.inputs.get("priority") == "Spot" and not machine.spot:
        return errors.text("azure-native", "spot_size", size=size)
    return None


def quota(request: Request) -> str | None:
    """Cores: all spot machines of a region share one quota; others have one by family and one for the region.

    https://learn.microsoft.com/azure/quotas/spot-quota.
    """
    market, location = request.world.market, location_of(request)
    machine = market.machine("azure-native", str(at(request.inputs, "hardwareProfile.vmSize")))
    if machine is None:
        return None
    spot = request.inputs.get("priority") == "Spot"
    for family in ("LowPriorityCores",) if spot else (machine.family, "Total Regional Cores"):
        limit = market.quotas.get(("azure-native", location, family))
        used = 0
        for record in request.world.truth.find("azure-native", MACHINE):
            other = market.machine("azure-native", str(at(record.inputs, "hardwareProfile.vmSize")))
            same = (record.inputs.get("priority") == "Spot") == spot
            if (
                other
                and same
                and record.region == location
                and family in {"LowPriorityCores", "Total Regional Cores", other.family}
            ):
                used += other.vcpus
        if limit is not None and used + machine.vcpus > limit:
            return errors.text(
                "azure-native",
                "quota",
                family=family,
                location=location,
                limit=limit,
                usage=used,
                required=machine.vcpus,
                needed=used + machine.vcpus,
            )
    return None


def fixed_properties(request: Request, record: Record, changed: tuple[Path, ...]) -> str | None:
    """What was set when a machine was made stays so."""
    for path in map(without_indices, changed):
        for fixed in _FIXED:
            if path == fixed or path.startswith(f"{fixed}."):
                return errors.text("azure-native", "configuration", property=fixed)
    return None


def location_of(request: Request) -> str:
    return str(request.inputs.get("location", "")).replace(" ", "").lower()


def group_id(name: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"


def resource_id_of(request: Request) -> str:
    values: dict[str, Any] = {**request.inputs, "group": group_id(str(request.inputs.get("resourceGroupName")))}
    if "scope" in values:
        values["scope"] = str(values["scope"]).rstrip("/")
    return PATHS[request.token].format_map(values)


def _exists(request: Request, resource_id: str) -> bool:
    truth = request.world.truth
    if truth.get("azure-native", resource_id) is not None:
        return True
    network = truth.get("azure-native", resource_id.split("/subnets/", maxsplit=1)[0])
    inside = network.outputs.get("subnets", []) if network else []
    return any(item.get("id") == resource_id for item in inside)


def _missing(request: Request, resource_id: str, where: str) -> str:
    return answer(
        "InvalidResourceReference",
        f"Resource {resource_id} referenced by resource {resource_id_of(request)} was not found. Please make sure "
        f"that the referenced resource exists, and that both resources are in the same region. ({where})",
    )


def decoded(text: str) -> bytes | None:
    if has_unknown(text):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
