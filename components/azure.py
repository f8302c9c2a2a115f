"""The provider `azure`: a virtual machine with a GPU, its network and its address."""

from datetime import datetime
from typing import Final

import pulumi
from pulumi import ResourceOptions
from pulumi_azure_native import authorization, compute, network, resources

from components import cuda, user_data
from components.cloud import Boot, Machine, Site, own_storage
from components.settings import AzureSettings
from components.tags import of_machine, tags

_PORT: Final = 443
_NETWORK: Final = "10.20.0.0/16"
_SUBNET: Final = "10.20.0.0/24"
_USER: Final = "liftoff"

_HPC: Final = ("microsoft-dsvm", "ubuntu-hpc", "2404")
"""Ubuntu 24.04, whose Python vLLM runs on, with NVIDIA's driver. Not for the A10, https://github.com/Azure/azhpc-images/issues/398."""
_PLAIN: Final = ("Canonical", "ubuntu-24_04-lts", "server")
"""Ubuntu 24.04; the node installs the GRID driver that virtual GPUs need."""

_RIGHTS: Final = ("Microsoft.Compute/virtualMachines/delete", "Microsoft.Compute/virtualMachines/read")


class AzureCloud:
    """A resource group with network, address and machine."""

    def __init__(self, settings: AzureSettings) -> None:
        self._settings = settings
        self.region = settings.region
        self.instance_type = settings.instance_type
        self.price_per_hour = settings.catalog_price
        self.serving = cuda.serving(settings)
        self.machine_key = f"{settings.region}/{settings.zone}/{settings.instance_type}/{settings.spot}"

    @property
    def user_data_limit(self) -> str:
        """Return a key of `user_data.LIMITS`."""
        return "azure"

    def site(self, opts: ResourceOptions) -> Site:
        """Declare the resource group, the network with its rules, and the address."""
        settings = self._settings
        self._group: pulumi.Input[str] = settings.resource_group or (
            resources.ResourceGroup(
                f"{settings.name}-group", location=settings.region, tags=tags(settings), opts=opts
            ).name
        )
        address = network.PublicIPAddress(
            f"{settings.name}-address",
            resource_group_name=self._group,
            location=settings.region,
            # Basic addresses are retired, and a Standard one can only be static.
            sku=network.PublicIPAddressSkuArgs(name="Standard"),
            public_ip_allocation_method="Static",
            zones=[settings.zone] if settings.zone else None,
            tags=tags(settings),
            opts=opts,
        )
        self._interface = network.NetworkInterface(
            f"{settings.name}-interface",
            resource_group_name=self._group,
            location=settings.region,
            ip_configurations=[
                network.NetworkInterfaceIPConfigurationArgs(
                    name="main",
                    subnet=network.SubnetArgs(id=self._subnet(opts)),
                    private_ip_allocation_method="Dynamic",
                    public_ip_address=network.PublicIPAddressArgs(id=address.id),
                )
            ],
            network_security_group=network.NetworkSecurityGroupArgs(id=self._rules(opts).id),
            enable_accelerated_networking=True,
            tags=tags(settings),
            opts=opts,
        )
        known = address.ip_address.apply(str)
        return Site(known, pulumi.Output.from_input(_PORT), own_storage(settings))

    def _subnet(self, opts: ResourceOptions) -> pulumi.Input[str]:
        settings = self._settings
        if settings.subnet:
            return settings.subnet
        virtual = network.VirtualNetwork(
            f"{settings.name}-network",
            resource_group_name=self._group,
            location=settings.region,
            address_space=network.AddressSpaceArgs(address_prefixes=[_NETWORK]),
            tags=tags(settings),
            opts=opts,
        )
        return network.Subnet(
            f"{settings.name}-subnet",
            resource_group_name=self._group,
            virtual_network_name=virtual.name,
            address_prefix=_SUBNET,
            opts=opts,
        ).id

    def _rules(self, opts: ResourceOptions) -> network.NetworkSecurityGroup:
        settings = self._settings
        allowed = (("endpoint", _PORT, settings.allowed_cidrs), ("ssh", 22, settings.ssh_allowed_cidrs))
        return network.NetworkSecurityGroup(
            f"{settings.name}-rules",
            resource_group_name=self._group,
            location=settings.region,
            security_rules=[
                network.SecurityRuleArgs(
                    name=what,
                    priority=priority,
                    direction="Inbound",
                    access="Allow",
                    protocol="Tcp",
                    source_address_prefixes=[str(cidr) for cidr in cidrs],
                    source_port_range="*",
                    destination_address_prefix="*",
                    destination_port_range=str(port),
                )
                for priority, (what, port, cidrs) in enumerate(allowed, 100)
                if cidrs
            ],
            tags=tags(settings),
            opts=opts,
        )

    def machine(self, boot: Boot, opts: ResourceOptions) -> Machine:
        """Declare the virtual machine, and its right to delete itself.

        The engine gives it a name of its own each time: a create over what a failed one left is refused.
        """
        settings = self._settings
        spot = settings.spot
        machine = compute.VirtualMachine(
            f"{settings.name}-machine",
            resource_group_name=self._group,
            location=settings.region,
            zones=[settings.zone] if settings.zone else None,
            hardware_profile=compute.HardwareProfileArgs(vm_size=settings.instance_type),
            priority="Spot" if spot else None,
            eviction_policy=("Deallocate" if settings.on_eviction == "stop" else "Delete") if spot else None,
            # -1: never taken back for its price, which is at most that of on-demand.
            billing_profile=compute.BillingProfileArgs(max_price=settings.max_price_per_hour or -1) if spot else None,
            storage_profile=self._disks(),
            os_profile=self._system(boot),
            network_profile=compute.NetworkProfileArgs(
                network_interfaces=[
                    compute.NetworkInterfaceReferenceArgs(id=self._interface.id, primary=True, delete_option="Detach")
                ]
            ),
            identity=compute.VirtualMachineIdentityArgs(type=compute.ResourceIdentityType.SYSTEM_ASSIGNED),
            tags=of_machine(settings, boot),
            opts=ResourceOptions.merge(
                opts,
                # Custom data is read once; and two machines can't have one interface.
                ResourceOptions(replace_on_changes=["osProfile.customData"], delete_before_replace=True),
            ),
        )
        right = self._may_delete_itself(machine, opts)
        # A node that can't end itself is not ready.
        known = pulumi.Output.all(machine.id, right.id).apply(lambda ids: str(ids[0]))
        # cloud-init may find the machine's id with its bytes swapped; the time of its creation is told, too.
        return Machine(known, "", machine.time_created.apply(_seconds))

    def _disks(self) -> compute.StorageProfileArgs:
        publisher, offer, sku = _PLAIN if self._settings.machine_type.vgpu else _HPC
        return compute.StorageProfileArgs(
            image_reference=compute.ImageReferenceArgs(publisher=publisher, offer=offer, sku=sku, version="latest"),
            os_disk=compute.OSDiskArgs(
                create_option="FromImage",
                # The default, Detach, leaves a disk behind that costs.
                delete_option="Delete",
                disk_size_gb=self._settings.disk_gib,
                # Encrypted at rest: https://learn.microsoft.com/azure/virtual-machines/disk-encryption
                managed_disk=compute.ManagedDiskParametersArgs(storage_account_type="Premium_LRS"),
            ),
        )

    def _system(self, boot: Boot) -> compute.OSProfileArgs:
        settings = self._settings
        # Azure asks for a password or a key; with no port open and no private half anywhere, this one lets nobody in.
        key = settings.ssh_public_key or boot.sealed_ssh_key
        return compute.OSProfileArgs(
            computer_name=settings.name,
            admin_username=_USER,
            # Not `user_data`: that can be read by every process of the machine through its metadata service.
            custom_data=boot.user_data.apply(lambda document: user_data.encoded(document, "azure")),
            linux_configuration=compute.LinuxConfigurationArgs(
                disable_password_authentication=True,
                ssh=compute.SshConfigurationArgs(
                    public_keys=[
                        compute.SshPublicKeyArgs(key_data=key, path=f"/home/{_USER}/.ssh/authorized_keys"),
                    ]
                ),
            ),
        )

    def _may_delete_itself(
        self, machine: compute.VirtualMachine, opts: ResourceOptions
    ) -> authorization.RoleAssignment:
        """Give the machine the right to delete itself and no other: shut down from inside it would stay billed.

        https://learn.microsoft.com/azure/virtual-machines/states-billing
        """
        settings = self._settings
        identity = machine.identity.apply(lambda found: (found and found.principal_id) or "")
        role = authorization.RoleDefinition(
            f"{settings.name}-role",
            scope=machine.id,
            role_name=machine.name.apply(lambda name: f"Liftoff: {name} may delete itself"),
            description="The node ends itself when its lifetime is over.",
            permissions=[authorization.PermissionArgs(actions=list(_RIGHTS))],
            assignable_scopes=[self._scope(machine)],
            opts=opts,
        )
        return authorization.RoleAssignment(
            f"{settings.name}-role-of-machine",
            scope=machine.id,
            role_definition_id=role.id,
            principal_id=identity,
            principal_type="ServicePrincipal",
            opts=opts,
        )

    def _scope(self, machine: compute.VirtualMachine) -> pulumi.Output[str]:
        """Return the resource group's id: a role can't be made for less."""
        return machine.id.apply(lambda id_: id_.split("/providers/")[0])


def _seconds(time: str | None) -> float:
    """Return an RFC 3339 time in seconds since 1970; 0 where there is none."""
    return datetime.fromisoformat(time).timestamp() if time else 0.0
