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
class Boot:
    """What a machine is told.

    Attributes:
        user_data: a cloud-config document; a secret.
        run_id: of the boot session, for the tags.
        expires_at: when the node ends itself, RFC 3339 in UTC, for the tags.
        lifetime_seconds: how long after its creation that is.
        sealed_ssh_key: a public SSH key whose private half was never kept.
    """

    user_data: pulumi.Output[str]
    run_id: pulumi.Output[str]
    expires_at: pulumi.Output[str]
    lifetime_seconds: int
    sealed_ssh_key: pulumi.Output[str]


@dataclass(frozen=True)
class Machine:
    """A machine that was started.

    Attributes:
        machine_id: the cloud's own id.
        instance_id: what cloud-init finds as the machine's id, by which its first word is known; empty where
            `booted_at` tells it from an earlier machine.
        booted_at: when it was started, in seconds since 1970; 0 where the cloud does not tell.
    """

    machine_id: pulumi.Output[str]
    instance_id: pulumi.Input[str]
    booted_at: pulumi.Input[float]


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
    authority = {"caCertificate": settings.storage_ca_certificate} if settings.storage_ca_certificate else {}
    return pulumi.Output.secret(
        {
            **authority,
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
        price_per_hour: USD/hour; of the catalog's day where the cloud does not tell.
        serving: how vLLM is installed and started there.
        machine_key: a machine with another key is another machine, which needs a boot session of its own.
    """

    region: str
    instance_type: str
    price_per_hour: float
    serving: Serving
    machine_key: str

    @property
    def user_data_limit(self) -> str | None:
        """Return a key of `user_data.LIMITS`, or None where there is no limit."""

    def site(self, opts: pulumi.ResourceOptions) -> Site:
        """Declare network, address and storage."""

    def machine(self, boot: Boot, opts: pulumi.ResourceOptions) -> Machine:
        """Declare the machine that starts with this cloud-config document. Called after `site`."""
