"""Accounts at the emulated clouds' APIs, and a project whose stack is for one of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from automation.checks.aws import AwsAccount
from automation.checks.azure import AzureAccount
from automation.checks.gcp import GcpAccount
from automation.cloud_api.azure import Azure
from automation.cloud_api.gcp import Gcp
from tests.clouds import aws_api, http_api
from tests.clouds.aws_api import AwsApi
from tests.clouds.azure_api import AzureApi
from tests.clouds.azure_rules import SUBSCRIPTION
from tests.clouds.cloud import World
from tests.clouds.gcp_api import GcpApi

from . import bucket_server
from .bucket_server import BucketServer

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
STACKS: dict[str, dict[str, str]] = {
    "aws": {"provider": "aws", "region": "us-east-1", "instanceType": "g6.2xlarge"},
    "azure": {"provider": "azure", "region": "eastus", "instanceType": "Standard_NV36ads_A10_v5"},
    "gcp": {"provider": "gcp", "region": "us-central1", "zone": "us-central1-a", "instanceType": "g2-standard-8"},
}
_CLOUDS = ("AWS_", "ARM_", "AZURE_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_")


@pytest.fixture(autouse=True)
def _no_credentials_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(_CLOUDS):
            monkeypatch.delenv(name)
    for name in ("STATE", "CACHE", "KEYS"):
        monkeypatch.setenv(f"LIFTOFF_{name}", str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def aws(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsApi]:
    with aws_api.served(world) as api:
        for name, value in api.environment.items():
            monkeypatch.setenv(name, value)
        yield api


@pytest.fixture
def aws_account(aws: AwsApi) -> AwsAccount:
    return AwsAccount("us-east-1")


@pytest.fixture
def azure(world: World) -> Iterator[AzureApi]:
    api = AzureApi(world=world)
    with http_api.served(api):
        yield api


@pytest.fixture
def azure_account(azure: AzureApi) -> AzureAccount:
    return AzureAccount(Azure(SUBSCRIPTION, lambda: http_api.TOKEN, azure.url))


@pytest.fixture
def azure_login(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureApi]:
    """Azure over TLS, found and logged in to as a sovereign cloud is: by its metadata host."""
    pair = http_api.certificate()
    authority = tmp_path / "azure.pem"
    authority.write_text(pair.certificate)
    api = AzureApi(world=world)
    with http_api.served(api, pair):
        for name, value in api.environment(str(authority)).items():
            monkeypatch.setenv(name, value)
        yield api


@pytest.fixture
def gcp(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcpApi]:
    api = GcpApi(world=world)
    with http_api.served(api):
        for name, value in api.environment().items():
            monkeypatch.setenv(name, value)
        yield api


@pytest.fixture
def gcp_account(gcp: GcpApi) -> GcpAccount:
    return GcpAccount(Gcp.connect(environment=gcp.environment()))


WriteStack = Callable[[Mapping[str, Any]], Path]


@pytest.fixture
def write_stack(tmp_path: Path) -> WriteStack:
    """Write a project with a stack `s` of these values, and return its folder."""

    def write(values: Mapping[str, Any]) -> Path:
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": "liftoff", "config": {}}))
        full = {key if ":" in key else f"liftoff:{key}": value for key, value in values.items()}
        (folder / "Pulumi.s.yaml").write_text(json.dumps({"config": full}))
        return folder

    return write


@pytest.fixture
def bucket() -> Iterator[BucketServer]:
    with bucket_server.served() as made:
        yield made
