"""The resources of our own provider as the program sees them."""

from typing import Any

import pulumi
from pydantic.alias_generators import to_camel, to_snake

Inputs = dict[str, Any]


class _Resource(pulumi.CustomResource):
    """Properties are camelCase in the engine and snake_case here."""

    _token: str
    _outputs: tuple[str, ...]

    def __init__(self, name: str, inputs: Inputs, opts: pulumi.ResourceOptions) -> None:
        super().__init__(self._token, name, {**inputs, **dict.fromkeys(self._outputs)}, opts)

    def translate_input_property(self, prop: str) -> str:
        """Return the property's name for an attribute."""
        return to_camel(prop)

    def translate_output_property(self, prop: str) -> str:
        """Return the attribute's name for a property."""
        return to_snake(prop)


class LocalNetwork(_Resource):
    """An address on this host."""

    _token = "liftoff:index:LocalNetwork"
    _outputs = ("resolved_isolation", "reason", "namespace", "address", "gateway", "port")

    resolved_isolation: pulumi.Output[str]
    reason: pulumi.Output[str]
    namespace: pulumi.Output[str]
    address: pulumi.Output[str]
    gateway: pulumi.Output[str]
    port: pulumi.Output[int]


class LocalStorage(_Resource):
    """A lease on this host's S3 server."""

    _token = "liftoff:index:LocalStorage"
    _outputs = ("endpoint", "region", "bucket", "access_key_id", "secret_access_key", "ca_certificate")

    endpoint: pulumi.Output[str]
    region: pulumi.Output[str]
    bucket: pulumi.Output[str]
    access_key_id: pulumi.Output[str]
    secret_access_key: pulumi.Output[str]
    ca_certificate: pulumi.Output[str]


class BootSession(_Resource):
    """What one node needs to start."""

    _token = "liftoff:index:BootSession"
    _outputs = (
        "run_id",
        "mailbox_url",
        "session_url",
        "session_sha256",
        "api_key",
        "tls_certificate",
        "tls_key",
        "expires_at",
        "weights_bytes",
        "sealed_ssh_key",
    )

    run_id: pulumi.Output[str]
    mailbox_url: pulumi.Output[str]
    session_url: pulumi.Output[str]
    session_sha256: pulumi.Output[str]
    api_key: pulumi.Output[str]
    tls_certificate: pulumi.Output[str]
    tls_key: pulumi.Output[str]
    expires_at: pulumi.Output[str]
    weights_bytes: pulumi.Output[int]
    sealed_ssh_key: pulumi.Output[str]

    def translate_output_property(self, prop: str) -> str:
        """Return the attribute's name for a property; a digit starts no word of its own."""
        return "session_sha256" if prop == "sessionSha256" else super().translate_output_property(prop)


class LocalMachine(_Resource):
    """A machine on this host."""

    _token = "liftoff:index:LocalMachine"
    _outputs = ("machine_id", "booted_at")

    machine_id: pulumi.Output[str]
    booted_at: pulumi.Output[float]


class Readiness(_Resource):
    """The endpoint answers a completion."""

    _token = "liftoff:index:Readiness"
    _outputs = ("ready_at", "timeline", "completion_seconds")

    ready_at: pulumi.Output[str]
    timeline: pulumi.Output[list[dict[str, Any]]]
    completion_seconds: pulumi.Output[float]
