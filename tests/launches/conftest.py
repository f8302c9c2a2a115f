"""Launches through the command that a user types, at emulated clouds, with a real bucket on this host."""

import itertools
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from provider.storage import Storage
from tests.clouds import aws_api, http_api
from tests.clouds.azure_api import AzureApi
from tests.clouds.fixtures import Clouds, clouds
from tests.clouds.gcp_api import GcpApi
from tests.e2e.conftest import ROOT, Desk, Finished, _environment
from tests.session.conftest import storage, weights

from .node import Node

__all__ = ["clouds", "storage", "weights"]

MACHINES = {
    "aws": "aws:ec2/instance:Instance",
    "azure": "azure-native:compute:VirtualMachine",
    "gcp": "gcp:compute/instance:Instance",
}
NATIVE = {"aws": "aws", "azure": "azure-native", "gcp": "gcp"}
PLACES: dict[str, dict[str, str]] = {
    "aws": {"region": "us-east-1", "zone": "us-east-1a", "instanceType": "g6.2xlarge"},
    "azure": {"region": "eastus", "zone": "", "instanceType": "Standard_NV36ads_A10_v5"},
    "gcp": {"region": "us-central1", "zone": "us-central1-a", "instanceType": "g2-standard-8"},
}


@dataclass
class Site:
    """A user's desk at the emulated clouds, whose machines are nodes of this process.

    Attributes:
        azure: Azure's API, as the desk's credentials reach it.
        gcp: Google's.
        fails: the codes with which the next boots fail, in order; empty text lets one succeed.
    """

    desk: Desk
    clouds: Clouds
    config: dict[str, str]
    azure: AzureApi
    gcp: GcpApi
    fails: list[str] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)

    def launch(self, *arguments: str, **changes: str) -> Finished:
        """Launch with these settings changed."""
        return self.desk.run(*self.launch_arguments(*arguments, **changes))

    def launch_arguments(self, *arguments: str, **changes: str) -> list[str]:
        """Return the arguments of such a launch."""
        values = {**self.config, **changes}
        options = [part for key, value in values.items() for part in ("--config", f"{key}={value}")]
        return ["launch", "--stack", self.desk.stack, "--json", "--yes", *arguments, *options]

    def machines(self, provider: str) -> list[Any]:
        """Return the machines that exist in truth."""
        return list(self.clouds.truth.find(NATIVE[provider], MACHINES[provider]))


@pytest.fixture
def site(tmp_path: Path, clouds: Clouds, storage: Storage, weights: str) -> Iterator[Site]:
    """A desk whose nodes are threads of this process."""
    yield from site_of(tmp_path, clouds, storage, weights)


def site_of(
    tmp_path: Path, clouds: Clouds, storage: Storage, weights: str, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Site]:
    """Yield a desk with the clouds' credentials and the bucket's keys in its stack; at its end all is destroyed.

    `more` is put into its environment.
    """
    pair = http_api.certificate()
    authority = tmp_path / "azure.pem"
    authority.write_text(pair.certificate)
    azure, gcp = AzureApi(world=clouds.world), GcpApi(world=clouds.world)
    with ExitStack() as apis:
        aws = apis.enter_context(aws_api.served(clouds.world))
        apis.enter_context(http_api.served(azure, pair))
        apis.enter_context(http_api.served(gcp))
        credentials = {**aws.environment, **azure.environment(str(authority)), **gcp.environment(), **more}
        yield from _desk_of(tmp_path, clouds, storage, weights, credentials, azure, gcp)


def _desk_of(
    tmp_path: Path,
    clouds: Clouds,
    storage: Storage,
    weights: str,
    credentials: dict[str, str],
    azure: AzureApi,
    gcp: GcpApi,
) -> Iterator[Site]:
    environment = {
        **_environment(tmp_path),
        **credentials,
        "PULUMI_DEBUG_PROVIDERS": clouds.environment,
        # The engine's own plugins for the clouds may not be looked for where there is no network.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    desk = Desk(f"test-{secrets.token_hex(3)}", environment)
    config = {
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "weights": weights,
        "storageEndpoint": storage.endpoint,
        "storageRegion": storage.region,
        "storageCaCertificate": storage.ca_certificate or "",
        "allowedCidrs[0]": "203.0.113.7/32",
        "bootDeadlineSeconds": "60",
        "lifetimeSeconds": "3600",
        "gcp:project": "emulated-project",
    }
    made = Site(desk, clouds, config, azure, gcp)
    numbers = itertools.count(1)
    world = clouds.world
    world.on_address = lambda provider, inputs: f"127.8.{secrets.randbelow(250) + 1}.{next(numbers)}"

    def on_vm(provider: str, inputs: Any, user_data: bytes, outputs: Any) -> None:
        made.nodes[str(outputs["id"])] = Node(user_data, made.fails.pop(0) if made.fails else "")

    def on_vm_deleted(machine: str) -> None:
        if machine in made.nodes:
            made.nodes.pop(machine).end()

    world.on_vm, world.on_vm_deleted = on_vm, on_vm_deleted
    for key, value in (
        ("storageAccessKeyId", storage.access_key_id),
        ("storageSecretAccessKey", storage.secret_access_key),
    ):
        if key == "storageAccessKeyId":
            assert desk.pulumi("stack", "init", desk.stack).code == 0
        done = desk.pulumi("config", "set", "--secret", "--stack", desk.stack, "--", f"liftoff:{key}", value)
        assert done.code == 0, done.text
    yield made
    done = desk.run("destroy", "--stack", desk.stack, "--yes", "--remove")
    (ROOT / f"Pulumi.{desk.stack}.yaml").unlink(missing_ok=True)
    for node in made.nodes.values():
        node.end()
    assert done.code == 0 or "stack_missing" in done.text, done.text


def last(finished: Finished, type_: str) -> dict[str, Any]:
    """Return the last record of a type."""
    found: dict[str, Any] = [record for record in finished.records if record["type"] == type_][-1]
    return found
