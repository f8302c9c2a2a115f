"""Config that can't be used is refused at once: each field with what was given and what is allowed."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components import settings

ROOT = Path(__file__).parents[3]


class FakeConfig:
    def __init__(self, **values: Any) -> None:
        defaults = {
            key.removeprefix("liftoff:"): spec["default"]
            for key, spec in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"].items()
            if "default" in spec
        }
        self.values = {**defaults, "model": "tiny-llama", "weights": "s3://liftoff/models/tiny-llama", **values}

    def get(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def get_object(self, key: str) -> Any | None:
        return self.values.get(key)


def load(config: FakeConfig, stack: str = "dev", *, encrypted: bool = True) -> settings.Settings:
    return settings.load(config, stack, is_encrypted=lambda key: encrypted)


def test_the_defaults_of_the_project_are_good() -> None:
    loaded = load(FakeConfig())
    assert isinstance(loaded, settings.LocalSettings)
    assert (loaded.name, loaded.provider, loaded.memory_mib, loaded.vllm_arguments) == ("dev", "local", 8192, ())


def test_the_dev_stack_is_good() -> None:
    given = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    loaded = load(FakeConfig(**{key.removeprefix("liftoff:"): value for key, value in given.items()}))
    assert loaded.model == "tiny-llama"


@pytest.mark.parametrize("stack", ["aws", "azure", "gcp"])
def test_the_examples_of_the_clouds_are_good_but_for_their_keys(stack: str) -> None:
    values = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    given = {key.removeprefix("liftoff:"): value for key, value in values.items() if key.startswith("liftoff:")}
    with pytest.raises(settings.SettingsRefused) as caught:
        load(FakeConfig(**given))
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == sorted(settings.SECRETS)
    loaded = load(FakeConfig(**given, storageAccessKeyId="AKIA", storageSecretAccessKey="hush"))
    assert loaded.provider == stack


def test_every_field_has_a_key_in_the_project_and_every_key_a_field() -> None:
    keys = {key.removeprefix("liftoff:") for key in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]}
    models = get_args(settings.Settings)
    fields = {field.alias for model in models for field in model.model_fields.values()} - {"name"}
    assert keys == fields - settings.SECRETS


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("provider", "ibm", "one of local, aws, azure, gcp"),
        ("weights", "https://x/y", "must be s3://BUCKET/PREFIX"),
        ("storageEndpoint", "http://bucket", "must be an https:// URL"),
        ("isolation", "docker", "'auto', 'nspawn' or 'process'"),
        ("lifetimeSeconds", 5, "greater than or equal to 600"),
        ("bootDeadlineSeconds", "soon", "valid integer"),
        ("memoryMiB", 10, "greater than or equal to 1024"),
        ("model", "a b", "String should match pattern"),
    ],
)
def test_a_refusal_names_field_given_and_allowed(field: str, value: object, allowed: str) -> None:
    with pytest.raises(settings.SettingsRefused) as caught:
        load(FakeConfig(**{field: value}))
    (line,) = str(caught.value).splitlines()
    assert f"liftoff:{field}: given" in line
    assert str(value) in line
    assert allowed in line


def test_a_bucket_of_ones_own_needs_its_keys_and_shows_none() -> None:
    endpoint = "https://account.r2.cloudflarestorage.com"
    with pytest.raises(settings.SettingsRefused) as caught:
        load(FakeConfig(storageEndpoint=endpoint, storageAccessKeyId="AKIA"))
    assert "liftoff:storageSecretAccessKey: given nothing; allowed: a key, since storageEndpoint is set" in str(
        caught.value
    )
    assert "AKIA" not in str(caught.value)
    keys = {"storageAccessKeyId": "AKIA", "storageSecretAccessKey": "hush"}
    loaded = load(FakeConfig(storageEndpoint=endpoint, **keys))
    assert (loaded.bucket, loaded.storage_region) == ("liftoff", "auto")
    assert "hush" not in repr(loaded)


def test_a_key_in_plain_text_is_refused_with_the_command_that_encrypts_it() -> None:
    with pytest.raises(settings.SettingsRefused) as caught:
        load(FakeConfig(storageAccessKeyId="AKIA", storageSecretAccessKey="hush"), encrypted=False)
    first, second = str(caught.value).splitlines()
    assert "storageAccessKeyId: given a value in plain text; allowed: an encrypted value" in first
    assert "pulumi config set --secret liftoff:storageSecretAccessKey" in second
    assert "hush" not in str(caught.value)


def test_all_refused_fields_are_told_at_once() -> None:
    with pytest.raises(settings.SettingsRefused) as caught:
        load(FakeConfig(memoryMiB=1, cpus=0))
    assert len(str(caught.value).splitlines()) == 2


@given(st.text(min_size=1))
def test_every_stack_name_makes_a_machine_name(stack: str) -> None:
    assert load(FakeConfig(), stack).name


AZURE = {
    "provider": "azure",
    "region": "eastus",
    "instanceType": "Standard_NV36ads_A10_v5",
    "allowedCidrs": ["203.0.113.7/32"],
    "storageEndpoint": "https://account.r2.cloudflarestorage.com",
    "storageAccessKeyId": "AKIA",
    "storageSecretAccessKey": "hush",
}
GCP = {**AZURE, "provider": "gcp", "region": "us-central1", "zone": "us-central1-a", "instanceType": "g2-standard-8"}


@pytest.mark.parametrize(
    "values", [AZURE, GCP, {**AZURE, "provider": "aws", "region": "us-east-1", "instanceType": "g6.2xlarge"}]
)
def test_a_cloud_needs_region_type_clients_and_bucket(values: dict[str, Any]) -> None:
    loaded = load(FakeConfig(**values))
    assert isinstance(loaded, settings.CloudSettings)
    assert (loaded.provider, loaded.spot, loaded.on_eviction) == (values["provider"], True, "delete")
    for key in ("region", "instanceType", "allowedCidrs", "storageEndpoint"):
        with pytest.raises(settings.SettingsRefused, match=f"liftoff:{key}: given"):
            load(FakeConfig(**{**values, key: [] if key == "allowedCidrs" else ""}))


@pytest.mark.parametrize(
    ("values", "field", "allowed"),
    [
        ({**AZURE, "region": "mars"}, "region", "does not sell Standard_NV36ads_A10_v5"),
        ({**AZURE, "instanceType": "Standard_NV36ads_A10"}, "instanceType", "nearest: Standard_NV36ads_A10_v5"),
        ({**AZURE, "zone": "eastus-1"}, "zone", "String should match pattern"),
        ({**AZURE, "allowedCidrs": ["anywhere"]}, "allowedCidrs", "not a valid IPv4 network"),
        ({**AZURE, "sshAllowedCidrs": ["10.0.0.0/8"]}, "sshAllowedCidrs", "sshPublicKey is not set"),
        ({**AZURE, "maxPricePerHour": "-1"}, "maxPricePerHour", "greater than or equal to 0"),
        ({**GCP, "zone": "europe-west1-b"}, "zone", "a zone of us-central1"),
    ],
)
def test_what_a_cloud_would_refuse_is_refused_before(values: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(settings.SettingsRefused, match=f"liftoff:{field}") as caught:
        load(FakeConfig(**values))
    assert allowed in str(caught.value)
