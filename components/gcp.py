"""The provider `gcp`: an instance of Compute Engine with a GPU, its network and its address."""

from typing import Final

import pulumi
from pulumi import ResourceOptions
from pulumi_gcp import compute

from components import cuda, user_data
from components.cloud import Boot, Machine, Site, own_storage
from components.settings import GcpSettings
from components.tags import of_machine, tags

_PORT: Final = 443
_SUBNET: Final = "10.20.0.0/24"

_IMAGE: Final = "projects/deeplearning-platform-release/global/images/family/common-cu129-ubuntu-2404-nvidia-580"
"""Ubuntu 24.04, whose Python vLLM runs on, with driver 580: https://cloud.google.com/deep-learning-vm/docs/images"""


class GcpCloud:
    """A network with a firewall, a static address, and the machine."""

    def __init__(self, settings: GcpSettings) -> None:
        self._settings = settings
        self._tag = f"liftoff-{settings.name}"[:63]
        self.region = settings.region
        self.instance_type = settings.instance_type
        self.price_per_hour = settings.catalog_price
        self.serving = cuda.serving(settings)
        self.machine_key = f"{settings.zone}/{settings.instance_type}/{settings.spot}"

    @property
    def user_data_limit(self) -> str:
        """Return a key of `user_data.LIMITS`."""
        return "gcp"

    def site(self, opts: ResourceOptions) -> Site:
        """Declare the network, the firewall and the address."""
        settings = self._settings
        network = self._network(opts)
        self._allow("endpoint", network, str(_PORT), [str(cidr) for cidr in settings.allowed_cidrs], opts)
        if settings.ssh_allowed_cidrs:
            self._allow("ssh", network, "22", [str(cidr) for cidr in settings.ssh_allowed_cidrs], opts)
        self._address = compute.Address(
            f"{settings.name}-address", region=settings.region, labels=tags(settings), opts=opts
        )
        return Site(self._address.address, pulumi.Output.from_input(_PORT), own_storage(settings))

    def _network(self, opts: ResourceOptions) -> pulumi.Input[str]:
        settings = self._settings
        if settings.subnet:
            self._subnetwork: pulumi.Input[str] = settings.subnet
            return compute.get_subnetwork_output(self_link=settings.subnet).network
        network = compute.Network(f"{settings.name}-network", auto_create_subnetworks=False, opts=opts)
        subnetwork = compute.Subnetwork(
            f"{settings.name}-subnetwork",
            region=settings.region,
            network=network.id,
            ip_cidr_range=_SUBNET,
            opts=opts,
        )
        self._subnetwork = subnetwork.id
        return network.id

    def _allow(
        self, what: str, network: pulumi.Input[str], port: str, ranges: list[str], opts: ResourceOptions
    ) -> None:
        compute.Firewall(
            f"{self._settings.name}-{what}",
            network=network,
            direction="INGRESS",
            allows=[compute.FirewallAllowArgs(protocol="tcp", ports=[port])],
            source_ranges=ranges,
            target_tags=[self._tag],
            opts=opts,
        )

    def machine(self, boot: Boot, opts: ResourceOptions) -> Machine:
        """Declare the instance. It has no service account: the node needs none of the project's rights."""
        settings = self._settings
        kind = settings.machine_type
        labels = of_machine(settings, boot)
        accelerators = None
        if kind.accelerator:
            # G2, A2, A3 and A4 carry their GPUs; N1 is given them: https://cloud.google.com/compute/docs/gpus
            accelerators = [compute.InstanceGuestAcceleratorArgs(type=kind.accelerator, count=kind.gpu_count)]
        instance = compute.Instance(
            f"{settings.name}-machine",
            zone=settings.zone,
            machine_type=settings.instance_type,
            labels=labels,
            tags=[self._tag],
            boot_disk=compute.InstanceBootDiskArgs(
                auto_delete=True,
                # Encrypted at rest by default: https://cloud.google.com/docs/security/encryption/default-encryption
                initialize_params=compute.InstanceBootDiskInitializeParamsArgs(
                    image=_IMAGE, size=settings.disk_gib, type="pd-balanced", labels=labels
                ),
            ),
            network_interfaces=[
                compute.InstanceNetworkInterfaceArgs(
                    subnetwork=self._subnetwork,
                    access_configs=[compute.InstanceNetworkInterfaceAccessConfigArgs(nat_ip=self._address.address)],
                )
            ],
            guest_accelerators=accelerators,
            scheduling=self._scheduling(boot.lifetime_seconds),
            shielded_instance_config=compute.InstanceShieldedInstanceConfigArgs(
                # The driver's kernel module is not signed for Secure Boot.
                enable_secure_boot=False,
                enable_vtpm=True,
                enable_integrity_monitoring=True,
            ),
            metadata=self._metadata(boot),
            opts=ResourceOptions.merge(
                opts,
                ResourceOptions(
                    # cloud-init reads it once; and two machines can't have one address.
                    replace_on_changes=['metadata["user-data"]'],
                    delete_before_replace=True,
                    # A disk is made with its labels and not given others later: that is no reason to replace a node.
                    ignore_changes=["bootDisk.initializeParams.labels"],
                ),
            ),
        )
        return Machine(instance.self_link, instance.instance_id, 0.0)

    def _scheduling(self, lifetime_seconds: int) -> compute.InstanceSchedulingArgs:
        """Return how the machine may end.

        A GPU can't be moved to another host while it runs, and a spot machine is not started again by itself:
        https://cloud.google.com/compute/docs/instances/create-use-spot. `max_run_duration` ends it from outside,
        whatever the node does: https://cloud.google.com/compute/docs/instances/limit-vm-runtime.
        """
        settings = self._settings
        stopped = settings.spot and settings.on_eviction == "stop"
        return compute.InstanceSchedulingArgs(
            provisioning_model="SPOT" if settings.spot else "STANDARD",
            preemptible=settings.spot,
            automatic_restart=not settings.spot,
            on_host_maintenance="TERMINATE",
            instance_termination_action="STOP" if stopped else "DELETE",
            max_run_duration=compute.InstanceSchedulingMaxRunDurationArgs(seconds=lifetime_seconds),
        )

    def _metadata(self, boot: Boot) -> dict[str, pulumi.Input[str]]:
        metadata: dict[str, pulumi.Input[str]] = {
            # gzip is not text: https://cloudinit.readthedocs.io/en/latest/reference/datasources/gce.html
            "user-data": boot.user_data.apply(lambda document: user_data.encoded(document, "gcp")),
            "user-data-encoding": "base64",
            "install-nvidia-driver": "True",
            "block-project-ssh-keys": "TRUE",
        }
        if self._settings.ssh_public_key:
            metadata["ssh-keys"] = f"liftoff:{self._settings.ssh_public_key}"
        return metadata
