"""The provider `local`: a machine on this host, with this host's S3 server for the weights."""

import platform
from pathlib import Path
from typing import Any, Final

import pulumi

from components.cloud import Boot, Machine, Serving, Site, own_storage
from components.liftoff_resources import LocalMachine, LocalNetwork, LocalStorage
from components.settings import LocalSettings

REQUIREMENTS: Final = Path(__file__).parent.parent / "images" / "requirements-cpu.txt"


class LocalCloud:
    """A namespace, a lease on the S3 server, and a machine."""

    price_per_hour = 0.0
    machine_key = ""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self.region = platform.node()
        self.instance_type = f"local.{settings.cpus}x{settings.memory_mib // 1024}"
        self.serving = Serving(
            requirements=REQUIREMENTS.read_text(),
            packages=("nginx-light", "python3-venv", "libgomp1", "libnuma1", "libtcmalloc-minimal4"),
            # The CPU build has no CUDA graphs to capture, and bfloat16 needs instructions that not every host has.
            arguments=("--dtype", "float32", "--enforce-eager"),
            environment={"VLLM_CPU_KVCACHE_SPACE": "1"},
        )

    @property
    def user_data_limit(self) -> None:
        """Return a key of `user_data.LIMITS`, or None: there is no limit."""
        return None

    def site(self, opts: pulumi.ResourceOptions) -> Site:
        """Declare the namespace and take a lease on the S3 server."""
        settings = self._settings
        self._network = LocalNetwork(
            f"{settings.name}-network", {"name": settings.name, "isolation": settings.isolation}, opts
        )
        storage = own_storage(settings) if settings.storage_endpoint else self._local_storage(opts)
        return Site(address=self._network.address, port=self._network.port, storage=storage)

    def _local_storage(self, opts: pulumi.ResourceOptions) -> pulumi.Output[dict[str, Any]]:
        """Take a lease on this host's S3 server."""
        name = self._settings.name
        lease = LocalStorage(f"{name}-storage", {"name": name, "isolation": self._network.resolved_isolation}, opts)
        return pulumi.Output.secret(
            pulumi.Output.all(
                endpoint=lease.endpoint,
                region=lease.region,
                bucket=lease.bucket,
                accessKeyId=lease.access_key_id,
                secretAccessKey=lease.secret_access_key,
                caCertificate=lease.ca_certificate,
            ).apply(dict)
        )

    def machine(self, boot: Boot, opts: pulumi.ResourceOptions) -> Machine:
        """Boot the machine."""
        settings, network = self._settings, self._network
        machine = LocalMachine(
            f"{settings.name}-machine",
            {
                "name": settings.name,
                "user_data": boot.user_data,
                "isolation": network.resolved_isolation,
                "namespace": network.namespace,
                "address": network.address,
                "gateway": network.gateway,
                "image": settings.image,
                "requirements": self.serving.requirements,
                "memory_bytes": settings.memory_mib * 1024 * 1024,
                "cpus": settings.cpus,
            },
            opts,
        )
        return Machine(machine.machine_id, "", machine.booted_at)
