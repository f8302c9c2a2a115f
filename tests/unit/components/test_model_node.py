"""The program with mocks: what is declared, whose child it is, and what is kept secret."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import pulumi
import pytest
import yaml
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from components import settings
from components.model_node import ModelNode

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
    "BootSession": {
        "runId": "0123456789abcdef",
        "mailboxUrl": "https://10.0.0.1:7070/liftoff/m?X-Amz-Signature=1",
        "sessionUrl": "https://10.0.0.1:7070/liftoff/s?X-Amz-Signature=2",
        "sessionSha256": "0" * 64,
        "apiKey": "sk-liftoff-1",
        "tlsCertificate": "-----BEGIN CERTIFICATE-----",
        "tlsKey": "-----BEGIN PRIVATE KEY-----",
        "expiresAt": "2030-01-01T00:00:00Z",
        "weightsBytes": 10,
    },
    "LocalMachine": {"machineId": "dev", "bootedAt": 1.0},
    "Readiness": {"readyAt": "2030-01-01T00:00:00Z", "timeline": [], "completionSeconds": 0.1},
}


Test = TypeVar("Test", bound=Callable[..., Any])
# Waits for the output that a test returns; without it no assertion in an apply would ever run.
engine_test = cast("Callable[[Test], Test]", pulumi.runtime.test)


class RecordingMocks(Mocks):
    def __init__(self) -> None:
        self.made: dict[str, MockResourceArgs] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.made[args.typ.rsplit(":", 1)[-1]] = args
        return f"{args.name}-id", {**args.inputs, **OUTPUTS.get(args.typ.rsplit(":", 1)[-1], {})}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program calls nothing, but it called {args.token}")


@pytest.fixture
def mocks() -> RecordingMocks:
    made = RecordingMocks()
    pulumi.runtime.set_mocks(made, project="liftoff", stack="dev", preview=False)
    return made


def asked(**changes: Any) -> settings.Settings:
    values: dict[str, Any] = {
        "name": "dev",
        "provider": "local",
        "model": "tiny-llama",
        "weights": "s3://liftoff/models/tiny-llama",
        "boot_deadline_seconds": 600,
        "lifetime_seconds": 3600,
        "isolation": "auto",
        "image": "baked",
        "memory_mib": 4096,
        "cpus": 2,
    }
    return settings.LocalSettings.model_validate({**values, **changes})


def with_outputs(*outputs: pulumi.Output[Any], then: Callable[[list[Any]], None]) -> pulumi.Output[None]:
    return pulumi.Output.all(*outputs).apply(then)


@engine_test
def test_one_node_is_five_resources(mocks: RecordingMocks) -> Any:
    node = ModelNode("dev", asked())

    def then(_: list[Any]) -> None:
        assert sorted(mocks.made) == [
            "BootSession",
            "LocalMachine",
            "LocalNetwork",
            "LocalStorage",
            "ModelNode",
            "Readiness",
        ]
        assert mocks.made["BootSession"].inputs["serverNames"] == ["10.0.0.2"]
        assert mocks.made["LocalMachine"].inputs["memoryBytes"] == 4096 * 1024 * 1024
        assert mocks.made["Readiness"].inputs["endpoint"] == "https://10.0.0.2:443"

    return with_outputs(node.endpoint, then=then)


@engine_test
def test_a_bucket_of_ones_own_takes_the_place_of_this_hosts(mocks: RecordingMocks) -> Any:
    keys = {"storage_access_key_id": "AKIA", "storage_secret_access_key": "hush"}
    node = ModelNode("dev", asked(storage_endpoint="https://account.r2.cloudflarestorage.com", **keys))

    def then(_: list[Any]) -> None:
        assert "LocalStorage" not in mocks.made
        given = mocks.made["BootSession"].inputs["storage"]
        assert rpc.is_rpc_secret(given)
        assert rpc.unwrap_rpc_secret(given)["bucket"] == "liftoff"
        assert "hush" not in str(mocks.made["LocalMachine"].inputs)

    return with_outputs(node.endpoint, then=then)


@engine_test
def test_the_machine_gets_the_session_in_its_user_data(mocks: RecordingMocks) -> Any:
    node = ModelNode("dev", asked(model="org/model"))

    def then(_: list[Any]) -> None:
        document = yaml.safe_load(rpc.unwrap_rpc_secret(mocks.made["LocalMachine"].inputs["userData"]))
        (boot,) = (file for file in document["write_files"] if file["path"] == "/etc/liftoff/boot.json")
        given = yaml.safe_load(boot["content"])
        assert boot["permissions"] == "0600"
        assert given["mailbox_url"] == OUTPUTS["BootSession"]["mailboxUrl"]
        assert given["model"] == "org/model"
        assert "hush" not in str(document)

    return with_outputs(node.endpoint, then=then)


@engine_test
def test_the_endpoint_is_told_once_it_answers(mocks: RecordingMocks) -> Any:
    node = ModelNode("dev", asked())

    def then(values: list[Any]) -> None:
        assert values == ["https://10.0.0.2:443", "sk-liftoff-1", "2030-01-01T00:00:00Z"]

    return with_outputs(node.endpoint, node.api_key, node.expires_at, then=then)


@engine_test
def test_the_api_key_is_a_secret_output(mocks: RecordingMocks) -> Any:
    node = ModelNode("dev", asked())

    async def check() -> None:
        assert await node.api_key.is_secret()
        assert not await node.endpoint.is_secret()

    return pulumi.Output.from_input(check())
