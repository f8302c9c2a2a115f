"""Emulated Azure: what pulumi-azure-native and the Resource Manager would say.

Replacement: names and parents are parts of the id; further properties stand in
https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/gen/replacement.go, which has none for machines: a
change of what Azure does not change fails the update instead.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from tests.clouds import errors
from tests.clouds.cloud import ApiRule, CheckRule, Cloud, Kind, Refused, Request, UpdateRule, World
from tests.clouds.properties import Path, Values, at, has_unknown, known, without_indices
from tests.clouds.sdk_types import Problem, resource_type
from tests.clouds.truth import Record, uuid_of

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
    "azure-native:compute:VirtualMachineExtension": f"{_COMPUTE}/virtualMachines/{{vmName}}/extensions/{{vmExtensionName}}",
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
"""Each type's id. A group is `/subscriptions/…/resourceGroups/{resourceGroupName}`; the last field is the resource's name."""

_MORE_REPLACES: Final[Mapping[str, tuple[str, ...]]] = {
    ADDRESS: ("location", "publicIPAddressVersion", "publicIPPrefix", "sku"),
    "azure-native:authorization:RoleAssignment": ("principalId", "scope"),
}
_CHILDREN: Final = ("subnetName", "securityRuleName", "vmExtensionName")
"""The names of parts of other resources: the plugin takes them from the program unchanged (unverified for each)."""
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


def _azure(code: str, message: str, status: int = 400) -> str:
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
                f"{name!r} must be 1 to 64 letters, digits, hyphens and periods, and begin and end with a letter or digit",
            )


def group_exists(request: Request) -> str | None:
    """Everything but a group is in one."""
    name = request.inputs.get("resourceGroupName")
    if name is None or request.token == GROUP or request.world.truth.get("azure-native", _group(name)) is not None:
        return None
    return _azure("ResourceGroupNotFound", f"Resource group '{name}' could not be found.", 404)


def address_is_static(request: Request) -> str | None:
    """A Standard address is static."""
    sku = at(request.inputs, "sku.name")
    if sku == "Standard" and request.inputs.get("publicIPAllocationMethod", "Dynamic") != "Static":
        return errors.text("azure-native", "static_address", id=_id(request))
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
        return _azure("InvalidParameter", "Required parameter 'networkProfile' is missing (null).")
    for resource_id in wanted:
        interface = truth.get("azure-native", resource_id)
        if interface is None or interface.region != _location(request):
            return _missing(request, resource_id, "networkProfile.networkInterfaces")
        for other in truth.users("azure-native", {resource_id}):
            if other.token == MACHINE:
                return _azure(
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
    if data is not None and (len(data) > CUSTOM_DATA_CHARACTERS or _decoded(data) is None):
        return _azure(
            "InvalidParameter",
            f"Custom data in OSProfile must be in Base64 encoding and with a maximum length of {CUSTOM_DATA_CHARACTERS} characters.",
        )
    return None


def somebody_can_log_in(request: Request) -> str | None:
    """A machine from an image needs a user with a key or a password."""
    profile = request.inputs.get("osProfile")
    if at(request.inputs, "storageProfile.osDisk.createOption") != "FromImage":
        return None
    if not at(profile, "adminUsername"):
        return _azure("InvalidParameter", "Required parameter 'osProfile.adminUsername' is missing (null).")
    keys = at(profile, "linuxConfiguration.ssh.publicKeys") or []
    no_password = at(profile, "linuxConfiguration.disablePasswordAuthentication") is True
    if (no_password and not keys) or (not no_password and not keys and not at(profile, "adminPassword")):
        return _azure(
            "InvalidParameter",
            "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
        )
    return None


def size_is_sold(request: Request) -> str | None:
    """The location sells the size, in the zone asked for, and as spot if asked."""
    size, location = str(at(request.inputs, "hardwareProfile.vmSize")), _location(request)
    market = request.world.market
    machine = market.machine("azure-native", size)
    zones = request.inputs.get("zones") or []
    if (
        machine is None
        or not market.selling("azure-native", size, location)
        or set(zones) - set(market.zones("azure-native", location))
    ):
        return errors.text(
            "azure-native", "configuration_region", id=_id(request), location=location, subscription=SUBSCRIPTION
        )
    if request.inputs.get("priority") == "Spot" and not machine.spot:
        return errors.text("azure-native", "spot_size", size=size)
    return None


def quota(request: Request) -> str | None:
    """Cores: all spot machines of a region share one quota; others have one by family and one for the region.

    https://learn.microsoft.com/azure/quotas/spot-quota.
    """
    market, location = request.world.market, _location(request)
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


_CHECKS: Final[Mapping[str, tuple[CheckRule, ...]]] = {MACHINE: (machine_name,)}
_RULES: Final[Mapping[str, tuple[ApiRule, ...]]] = {
    ADDRESS: (address_is_static,),
    INTERFACE: (interface_belongs_together,),
    MACHINE: (
        spot_settings,
        custom_data_size,
        somebody_can_log_in,
        interfaces_are_in_reach,
        size_is_sold,
        quota,
    ),
}
_UPDATES: Final[Mapping[str, tuple[UpdateRule, ...]]] = {MACHINE: (fixed_properties,)}


class Azure(Cloud):
    """Azure, with the native plugin."""

    provider = "azure-native"
    settles_on_cancel = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.kinds = {token: self._kind(token) for token in PATHS}

    def generic(self, token: str) -> Kind:
        """Return how any other type behaves: it lies in its group under its own name."""
        _, module, name = token.split(":")
        own = f"{name[0].lower()}{name[1:]}Name"
        inputs = resource_type(token).inputs.types
        named = own if own in inputs else ""

        def identify(request: Request) -> str:
            parent = (
                _group(request.inputs["resourceGroupName"])
                if "resourceGroupName" in request.inputs
                else f"/subscriptions/{SUBSCRIPTION}"
            )
            last = request.inputs.get(named) or request.name
            return f"{parent}/providers/Microsoft.{module.capitalize()}/{name[0].lower()}{name[1:]}s/{last}"

        return Kind(
            identify=identify,
            outputs=lambda request, resource_id: _common(request, resource_id),
            name=named,
            naming="joined" if named else "none",
            replaces=("resourceGroupName", "location"),
            checks=(group_name,),
            rules=(group_exists,),
        )

    def defaults(self, request: Request) -> Values:
        """Return the location: the configured one, else that of the resource's group."""
        if "location" not in resource_type(request.token).inputs.types or "location" in request.inputs:
            return {}
        if request.config.get("location"):
            return {"location": request.config["location"]}
        group = self.world.truth.get("azure-native", _group(request.inputs.get("resourceGroupName", "")))
        return {"location": group.region} if group and request.token != GROUP else {}

    def region(self, request: Request) -> str:
        """Return the location."""
        return _location(request)

    def taken(self, request: Request, resource_id: str) -> str:
        """Return the plugin's own answer: Azure itself would change the existing one."""
        return errors.text("azure-native", "exists", id=resource_id)

    def in_use(self, record: Record, user: Record) -> str:
        """Return the Resource Manager's answer (its wording is unverified)."""
        code = {INTERFACE: "NicInUse", ADDRESS: "PublicIPAddressCannotBeDeleted"}.get(
            record.token, "InUseResourceCannotBeDeleted"
        )
        return _azure(code, f"Resource {record.id} is in use by {user.id} and can't be deleted.")

    def user_data(self, inputs: Values) -> bytes:
        """Return the custom data, decoded: that is what cloud-init reads on Azure."""
        return _decoded(str(at(inputs, "osProfile.customData") or "")) or b""

    def with_addresses(self, record: Record, addresses: Mapping[str, str]) -> Values:
        """Give the machine's public address resource the address; a machine itself has none."""
        for item in at(record.inputs, "networkProfile.networkInterfaces") or []:
            interface = self.world.truth.get("azure-native", item["id"])
            for configuration in (interface.inputs.get("ipConfigurations") or []) if interface else []:
                address = self.world.truth.get("azure-native", at(configuration, "publicIPAddress.id") or "")
                if address is not None and "publicIp" in addresses:
                    outputs = {**address.outputs, "ipAddress": addresses["publicIp"]}
                    self.world.truth.change("azure-native", address.id, outputs=outputs)
        return record.outputs

    def left_behind(self, request: Request, record: Record) -> list[Record]:
        """Return the OS disk."""
        disk = _os_disk(record)
        outputs = {"id": disk, "name": disk.rsplit("/", maxsplit=1)[-1], "type": "Microsoft.Compute/disks"}
        return [
            Record("azure-native", DISK, "", disk, {}, outputs, record.region, dict(record.tags), record.created_at)
        ]

    def gone_with(self, record: Record) -> list[Record]:
        """Return a group's resources, and what a machine takes along by `deleteOption` (its default, Detach, leaks)."""
        if record.token == GROUP:
            inside = [other for other in self.world.truth.find("azure-native") if other.id.startswith(f"{record.id}/")]
            return inside[::-1]
        if record.token != MACHINE:
            return []
        ids = []
        if at(record.inputs, "storageProfile.osDisk.deleteOption") == "Delete":
            ids.append(_os_disk(record))
        for item in at(record.inputs, "networkProfile.networkInterfaces") or []:
            if item.get("deleteOption") == "Delete":
                ids.append(item["id"])
        found = [self.world.truth.get("azure-native", resource_id) for resource_id in ids]
        return [other for other in found if other is not None]

    def evicted(self, record: Record) -> Values | None:
        """Return a machine that was only stopped (`Deallocate`), or None for `Delete`."""
        return None if record.inputs.get("evictionPolicy") == "Delete" else record.outputs

    def invoke(self, token: str, arguments: Values, config: Values) -> Values:
        """Answer what a program of ours asks."""
        if token == "azure-native:authorization:getClientConfig":
            return {
                "clientId": uuid_of("client"),
                "objectId": uuid_of("object"),
                "subscriptionId": SUBSCRIPTION,
                "tenantId": uuid_of("tenant"),
            }
        asked = token.replace(":get", ":")
        if ":get" in token and asked in PATHS:
            resource_id = PATHS[asked].format_map(
                {**arguments, "group": _group(arguments.get("resourceGroupName", ""))}
            )
            found = self.world.truth.get("azure-native", resource_id)
            if found is None:
                raise Refused(_azure("ResourceNotFound", f"The Resource '{resource_id}' was not found.", 404))
            return {**found.outputs, "id": resource_id}
        raise Refused(f"the emulated Azure does not have the function {token}")

    def _kind(self, token: str) -> Kind:
        names = re.findall(r"\{(\w+)\}", PATHS[token].replace("{group}", "{resourceGroupName}"))
        own = names[-1]
        return Kind(
            identify=_id,
            outputs=self._outputs(token),
            name=own,
            naming="copy" if own in _CHILDREN else "joined",
            replaces=(*names, "location", *_MORE_REPLACES.get(token, ())),
            checks=(group_name, *_CHECKS.get(token, ())),
            rules=(group_exists, *_RULES.get(token, ())),
            updates=_UPDATES.get(token, ()),
            machine=token == MACHINE,
        )

    def _outputs(self, token: str) -> Callable[[Request, str], Values]:
        more = {
            ADDRESS: self._address,
            INTERFACE: self._interface,
            MACHINE: self._machine,
            "azure-native:network:VirtualNetwork": self._network,
            "azure-native:managedidentity:UserAssignedIdentity": self._identity,
        }.get(token)

        def outputs(request: Request, resource_id: str) -> Values:
            return {**_common(request, resource_id), **(more(request, resource_id) if more else {})}

        return outputs

    def _address(self, request: Request, resource_id: str) -> Values:
        # A dynamic address exists only with a machine; the plugin then shows none.
        static = request.inputs.get("publicIPAllocationMethod") == "Static"
        address = {"ipAddress": self.world.address("azure-native", request.inputs)} if static else {}
        return {**address, "publicIPAddressVersion": request.inputs.get("publicIPAddressVersion", "IPv4")}

    def _interface(self, request: Request, resource_id: str) -> Values:
        private = f"10.0.0.{int(uuid_of(resource_id)[:2], 16) % 250 + 4}"
        return {
            "macAddress": "00-0D-3A-" + "-".join(uuid_of(resource_id)[i : i + 2].upper() for i in (0, 2, 4)),
            "ipConfigurations": [
                {"privateIPAddress": private, "id": f"{resource_id}/ipConfigurations/{item.get('name')}", **item}
                for item in request.inputs.get("ipConfigurations") or []
            ],
        }

    def _machine(self, request: Request, resource_id: str) -> Values:
        profile = {key: value for key, value in (request.inputs.get("osProfile") or {}).items() if key != "customData"}
        return {"vmId": uuid_of(request.hexadecimal()), "timeCreated": "2026-01-01T00:00:00Z", "osProfile": profile}

    def _network(self, request: Request, resource_id: str) -> Values:
        return {
            "subnets": [
                {"id": f"{resource_id}/subnets/{item.get('name')}", **item}
                for item in request.inputs.get("subnets") or []
            ]
        }

    def _identity(self, request: Request, resource_id: str) -> Values:
        return {
            "principalId": uuid_of("principal", resource_id),
            "clientId": uuid_of("client", resource_id),
            "tenantId": uuid_of("tenant"),
        }


def _common(request: Request, resource_id: str) -> Values:
    parts = resource_id.rsplit("/providers/", maxsplit=1)[-1].split("/")
    everything: Values = {
        "name": resource_id.rsplit("/", maxsplit=1)[-1],
        "type": "Microsoft.Resources/resourceGroups" if request.token == GROUP else "/".join((parts[0], *parts[1::2])),
        "provisioningState": "Succeeded",
        "location": _location(request),
        "etag": f'W/"{uuid_of(resource_id)}"',
        "resourceGuid": uuid_of("guid", resource_id),
    }
    has = resource_type(request.token).outputs
    return {name: value for name, value in everything.items() if name in has}


def _location(request: Request) -> str:
    return str(request.inputs.get("location", "")).replace(" ", "").lower()


def _group(name: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"


def _id(request: Request) -> str:
    values: dict[str, Any] = {**request.inputs, "group": _group(str(request.inputs.get("resourceGroupName")))}
    if "scope" in values:
        values["scope"] = str(values["scope"]).rstrip("/")
    return PATHS[request.token].format_map(values)


def _os_disk(record: Record) -> str:
    name = (
        at(record.inputs, "storageProfile.osDisk.name")
        or f"{record.inputs['vmName']}_OsDisk_1_{uuid_of(record.id)[:8]}"
    )
    return f"{record.id.split('/providers/')[0]}/providers/Microsoft.Compute/disks/{name}"


def _exists(request: Request, resource_id: str) -> bool:
    truth = request.world.truth
    if truth.get("azure-native", resource_id) is not None:
        return True
    network = truth.get("azure-native", resource_id.split("/subnets/", maxsplit=1)[0])
    inside = network.outputs.get("subnets", []) if network else []
    return any(item.get("id") == resource_id for item in inside)


def _missing(request: Request, resource_id: str, where: str) -> str:
    return _azure(
        "InvalidResourceReference",
        f"Resource {resource_id} referenced by resource {_id(request)} was not found. Please make sure that the referenced "
        f"resource exists, and that both resources are in the same region. ({where})",
    )


def _decoded(text: str) -> bytes | None:
    if has_unknown(text):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
