"""The program with mocks: what is declared, whose child it is, and what is kept secret."""

from typing import Any

import pulumi
import yaml
from pulumi.runtime import rpc

from components import settings
from components.model_node import ModelNode

from .conftest import SESSION, RecordingMocks, engine_test, with_outputs


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
        assert given["mailbox_url"] == SESSION["mailboxUrl"]
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
