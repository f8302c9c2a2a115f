"""Pulumi's mocks, and what the resources of the program tell."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import pulumi
import pytest
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

SECRET = rpc._special_sig_key
SESSION: dict[str, Any] = {
    "runId": "0123456789abcdef",
    "mailboxUrl": "https://10.0.0.1:7070/liftoff/m?X-Amz-Signature=1",
    "sessionUrl": "https://10.0.0.1:7070/liftoff/s?X-Amz-Signature=2",
    "sessionSha256": "0" * 64,
    "apiKey": "sk-liftoff-1",
    "tlsCertificate": "-----BEGIN CERTIFICATE-----",
    "tlsKey": "-----BEGIN PRIVATE KEY-----",
    "expiresAt": "2030-01-01T00:00:00Z",
    "weightsBytes": 10,
    "sealedSshKey": "ssh-ed25519 AAAA",
}
OUTPUTS: dict[str, dict[str, Any]] = {
    "LocalNetwork": {
        "resolvedIsolation": "nspawn",
        "reason": "",
        "namespace": "liftoff-dev",
        "address": "10.0.0.2",
        "gateway": "10.0.0.1",
        "port": 443,
    },
    "LocalStorage": {
        "endpoint": "https://10.0.0.1:7070",
        "region": "local",
        "bucket": "liftoff",
        "accessKeyId": "AKIA",
        "secretAccessKey": "hush",
        "caCertificate": "-----BEGIN CERTIFICATE-----",
    },
    "BootSession": SESSION,
    "LocalMachine": {"machineId": "dev", "bootedAt": 1.0},
    "Readiness": {"readyAt": "2030-01-01T00:00:00Z", "timeline": [], "completionSeconds": 0.1},
    "Eip": {"publicIp": "203.0.113.9", "allocationId": "eipalloc-1"},
    "Address": {"address": "203.0.113.9"},
    "PublicIPAddress": {"ipAddress": "203.0.113.9", "name": "address"},
    "VirtualMachine": {"vmId": "uuid", "name": "vm-1", "identity": {"principalId": "p", "type": "SystemAssigned"}},
    "ResourceGroup": {"name": "group-1"},
    "VirtualNetwork": {"name": "network-1"},
}
CALLS: dict[str, dict[str, Any]] = {"aws:ssm/getParameter:getParameter": {"value": "ami-1"}}

Test = TypeVar("Test", bound=Callable[..., Any])
# Waits for the output that a test returns; without it no assertion in an apply would ever run.
engine_test = cast("Callable[[Test], Test]", pulumi.runtime.test)


def plain(value: Any) -> Any:
    """Return a value without the wrapping of its secrets."""
    if isinstance(value, dict):
        return plain(value["value"]) if SECRET in value else {key: plain(inner) for key, inner in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


class RecordingMocks(Mocks):
    def __init__(self) -> None:
        self.made: dict[str, MockResourceArgs] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        kind = args.typ.rsplit(":", 1)[-1]
        self.made[kind] = args
        return f"/x/{args.name}-id", {**args.inputs, **OUTPUTS.get(kind, {})}

    def asked(self, kind: str) -> dict[str, Any]:
        """Return the inputs of the resource of this type, secrets unwrapped."""
        found: dict[str, Any] = plain(self.made[kind].inputs)
        return found

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return CALLS[args.token], []


@pytest.fixture
def mocks() -> RecordingMocks:
    made = RecordingMocks()
    pulumi.runtime.set_mocks(made, project="liftoff", stack="dev", preview=False)
    return made


def with_outputs(*outputs: pulumi.Output[Any], then: Callable[[list[Any]], None]) -> pulumi.Output[None]:
    return pulumi.Output.all(*outputs).apply(then)
