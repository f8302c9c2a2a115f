"""Emulated Azure: what pulumi-azure-native and the Resource Manager would say.

Replacement: names and parents are parts of the id; further properties stand in
https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/gen/replacement.go, which has none for machines:
a change of what Azure does not change fails the update instead.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from tests.clouds import errors
from tests.clouds.azure_rules import (
    ADDRESS,
    DISK,
    GROUP,
    INTERFACE,
    MACHINE,
    PATHS,
    SUBSCRIPTION,
    address_is_static,
    answer,
    custom_data_size,
    decoded,
    fixed_properties,
    group_exists,
    group_id,
    group_name,
    interface_belongs_together,
    interfaces_are_in_reach,
    location_of,
    machine_name,
    quota,
    resource_id_of,
    size_is_sold,
    somebody_can_log_in,
    spot_settings,
)
from tests.clouds.cloud import ApiRule, CheckRule, Cloud, Kind, Refused, Request, UpdateRule, World
from tests.clouds.properties import Values, at
from tests.clouds.sdk_types import resource_type
from tests.clouds.truth import Record, uuid_of

_MORE_REPLACES: Final[Mapping[str, tuple[str, ...]]] = {
    ADDRESS: ("location", "publicIPAddressVersion", "publicIPPrefix", "sku"),
    "azure-native:authorization:RoleAssignment": ("principalId", "scope"),
}


_CHILDREN: Final = ("subnetName", "securityRuleName", "vmExtensionName")
"""The names of parts of other resources: the plugin takes them from the program unchanged (unverified for each)."""


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
                group_id(request.inputs["resourceGroupName"])
                if "resourceGroupName" in request.inputs
                else f"/subscriptions/{SUBSCRIPTION}"
            )
            last = request.inputs.get(named) or request.name
            return f"{parent}/providers/Microsoft.{module.capitalize()}/{name[0].lower()}{name[1:]}s/{last}"

        return Kind(
            identify=identify,
            outputs=_common,
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
        group = self.world.truth.get("azure-native", group_id(request.inputs.get("resourceGroupName", "")))
        return {"location": group.region} if group and request.token != GROUP else {}

    def region(self, request: Request) -> str:
        """Return the location."""
        return location_of(request)

    def taken(self, request: Request, resource_id: str) -> str:
        """Return the plugin's own answer: Azure itself would change the existing one."""
        return errors.text("azure-native", "exists", id=resource_id)

    def in_use(self, record: Record, user: Record) -> str:
        """Return the Resource Manager's answer (its wording is unverified)."""
        code = {INTERFACE: "NicInUse", ADDRESS: "PublicIPAddressCannotBeDeleted"}.get(
            record.token, "InUseResourceCannotBeDeleted"
        )
        return answer(code, f"Resource {record.id} is in use by {user.id} and can't be deleted.")

    def user_data(self, inputs: Values) -> bytes:
        """Return the custom data, decoded: that is what cloud-init reads on Azure."""
        return decoded(str(at(inputs, "osProfile.customData") or "")) or b""

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
        interfaces = at(record.inputs, "networkProfile.networkInterfaces") or []
        ids.extend(item["id"] for item in interfaces if item.get("deleteOption") == "Delete")
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
                {**arguments, "group": group_id(arguments.get("resourceGroupName", ""))}
            )
            found = self.world.truth.get("azure-native", resource_id)
            if found is None:
                raise Refused(answer("ResourceNotFound", f"The Resource '{resource_id}' was not found.", 404))
            return {**found.outputs, "id": resource_id}
        raise Refused(f"the emulated Azure does not have the function {token}")

    def _kind(self, token: str) -> Kind:
        names = re.findall(r"\{(\w+)\}", PATHS[token].replace("{group}", "{resourceGroupName}"))
        own = names[-1]
        return Kind(
            identify=resource_id_of,
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
        "location": location_of(request),
        "etag": f'W/"{uuid_of(resource_id)}"',
        "resourceGuid": uuid_of("guid", resource_id),
    }
    has = resource_type(request.token).outputs
    return {name: value for name, value in everything.items() if name in has}


def _os_disk(record: Record) -> str:
    name = (
        at(record.inputs, "storageProfile.osDisk.name")
        or f"{record.inputs['vmName']}_OsDisk_1_{uuid_of(record.id)[:8]}"
    )
    return f"{record.id.split('/providers/')[0]}/providers/Microsoft.Compute/disks/{name}"
