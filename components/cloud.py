"""What ModelNode needs of a cloud: a site before the boot session, and a machine after it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pulumi

from components.settings import NodeSettings


@dataclass(frozen=True)
class Site:
    """What has to be known before a machine can be told how to start.

    Attributes:
        address: IP address under which clients will reach the node.
        port: TCP port of the endpoint.
        storage: the bucket of weights and mailbox, as `BootSession` takes it; a secret.
    """

    address: pulumi.Output[str]
    port: pulumi.Output[int]
    storage: pulumi.Output[dict[str, Any]]


@dataclass(frozen=True)
class Machine:
    """A machine that was started.

    Attributes:
        machine_id: the cloud's own id.
        booted_at: when it was started, in seconds since 1970.
    """

    machine_id: pulumi.Output[str]
    booted_at: pulumi.Output[float]


@dataclass(frozen=True)
class Serving:
    """How vLLM is installed and started on this kind of machine.

    Attributes:
        requirements: a complete requirements.txt.
        packages: the operating system's packages that the node needs.
        arguments: for vLLM's server, before the user's own.
        environment: for vLLM's server.
    """

    requirements: str
    packages: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def own_storage(settings: NodeSettings) -> pulumi.Output[dict[str, Any]]:
    """Return the bucket that the stack's config names, as `BootSession` takes it; a secret."""
    return pulumi.Output.secret(
        {
            "endpoint": settings.storage_endpoint,
            "region": settings.storage_region,
            "bucket": settings.bucket,
            "accessKeyId": settings.storage_access_key_id,
            "secretAccessKey": settings.storage_secret_access_key,
        }
    )


class Cloud(Protocol):
    """One provider. Resources are declared with the given options, and nothing is declared anywhere else.

    Attributes:
        region: where the machine will be.
        instance_type: the provider's name for its size.
        price_per_hour: USD/hour.
        serving: how vLLM is installed and started there.
    """

    region: str
    instance_type: str
    price_per_hour: float
    serving: Serving

    def site(self, opts: pulumi.ResourceOptions) -> Site:
        """Declare network, address and storage."""

    def machine(self, user_data: pulumi.Output[str], opts: pulumi.ResourceOptions) -> Machine:
        """Declare the machine that starts with this cloud-config document. Called after `site`."""
