"""What the program buys at AWS, Azure and GCP, and what it leaves closed."""

import base64
import gzip
import json
from typing import Any

import pytest
import yaml

from components import cuda, settings
from components.model_node import ModelNode
from components.user_data import UserDataTooLong

from .conftest import RecordingMocks, engine_test, with_outputs

COMMON: dict[str, Any] = {
    "name": "chat",
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "weights": "s3://liftoff/models/llama",
    "storageEndpoint": "https://account.r2.cloudflarestorage.com",
    "storageAccessKeyId": "AKIA",
    "storageSecretAccessKey": "hush",
    "bootDeadlineSeconds": 1800,
    "lifetimeSeconds": 7200,
    "zone": "",
    "spot": True,
    "maxPricePerHour": 0,
    "allowedCidrs": ["203.0.113.7/32", "2001:db8::/64"],
    "sshPublicKey": "",
    "sshAllowedCidrs": [],
    "diskGib": 150,
    "onEviction": "delete",
    "subnet": "",
    "owner": "ml-team",
}
AWS = {**COMMON, "provider": "aws", "region": "us-east-1", "zone": "use1-az4", "instanceType": "g6.2xlarge"}
AZURE = {
    **COMMON,
    "provider": "azure",
    "region": "eastus",
    "instanceType": "Standard_NV36ads_A10_v5",
    "resourceGroup": "",
    "allowedCidrs": ["203.0.113.7/32"],
}
GCP = {
    **COMMON,
    "provider": "gcp",
    "region": "us-central1",
    "zone": "us-central1-a",
    "instanceType": "g2-standard-8",
    "allowedCidrs": ["203.0.113.7/32"],
}


def aws(**changes: Any) -> settings.AwsSettings:
    return settings.AwsSettings.model_validate({**AWS, **changes})


def azure(**changes: Any) -> settings.AzureSettings:
    return settings.AzureSettings.model_validate({**AZURE, **changes})


def gcp(**changes: Any) -> settings.GcpSettings:
    return settings.GcpSettings.model_validate({**GCP, **changes})


def told(data: str) -> dict[str, Any]:
    """Return boot.json out of a machine's user data."""
    document = yaml.safe_load(gzip.decompress(base64.b64decode(data)))
    found: dict[str, Any] = json.loads(document["write_files"][0]["content"])
    return found


@engine_test
def test_aws_is_a_spot_instance_that_ends_with_its_shutdown(mocks: RecordingMocks) -> Any:
    node = ModelNode("chat", aws())

    def then(known: list[Any]) -> None:
        machine = mocks.asked("Instance")
        assert machine["instanceMarketOptions"] == {
            "marketType": "spot",
            "spotOptions": {"spotInstanceType": "one-time", "instanceInterruptionBehavior": "terminate"},
        }
        assert machine["instanceInitiatedShutdownBehavior"] == "terminate"
        assert machine["metadataOptions"]["httpTokens"] == "required"
        assert machine["rootBlockDevice"]["encrypted"] is True
        assert machine["userDataReplaceOnChange"] is True
        assert machine["ami"] == "ami-1"
        assert "iamInstanceProfile" not in machine
        assert mocks.asked("aws")["maxRetries"] in (2, "2")
        assert mocks.asked("Subnet")["availabilityZoneId"] == "use1-az4"
        assert mocks.asked("Readiness")["instanceId"] == "/x/chat-machine-id"
        assert known == ["https://203.0.113.9:443"]

    return with_outputs(node.endpoint, then=then)


@engine_test
def test_aws_lets_in_only_whom_it_is_told(mocks: RecordingMocks) -> Any:
    node = ModelNode("chat", aws())

    def then(_: list[Any]) -> None:
        (rule,) = mocks.asked("SecurityGroup")["ingress"]
        assert (rule["fromPort"], rule["toPort"]) == (443, 443)
        assert (rule["cidrBlocks"], rule["ipv6CidrBlocks"]) == (["203.0.113.7/32"], ["2001:db8::/64"])
        assert "keyName" not in mocks.asked("Instance")

    return with_outputs(node.endpoint, then=then)


@engine_test
def test_aws_on_demand_has_no_market_options_and_stop_keeps_the_disk(mocks: RecordingMocks) -> Any:
    on_demand = ModelNode("chat", aws(spot=False))

    def then(_: list[Any]) -> None:
        assert "instanceMarketOptions" not in mocks.asked("Instance")
        options = _market(aws(onEviction="stop", maxPricePerHour=0.4))
        assert options == ("persistent", "stop", "0.4000")

    return with_outputs(on_demand.endpoint, then=then)


def _market(given: settings.AwsSettings) -> tuple[Any, Any, Any]:
    from components.aws import AwsCloud

    market: Any = AwsCloud(given)._market()
    spot = market.spot_options
    return spot.spot_instance_type, spot.instance_interruption_behavior, spot.max_price


@engine_test
def test_azure_is_a_spot_machine_that_may_delete_itself_and_nothing_else(mocks: RecordingMocks) -> Any:
    node = ModelNode("chat", azure())

    def then(known: list[Any]) -> None:
        machine = mocks.asked("VirtualMachine")
        assert (machine["priority"], machine["evictionPolicy"]) == ("Spot", "Delete")
        assert machine["billingProfile"] == {"maxPrice": -1}
        assert machine["storageProfile"]["osDisk"]["deleteOption"] == "Delete"
        # The A10 is a virtual GPU: no image brings its driver, and Secure Boot would not load it.
        assert machine["storageProfile"]["imageReference"]["publisher"] == "Canonical"
        assert "securityProfile" not in machine
        assert machine["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"] == "ssh-ed25519 AAAA"
        boot = told(machine["osProfile"]["customData"])
        assert (boot["provider"], boot["gpu_driver"]) == ("azure", "grid")
        assert boot["vllm_arguments"][-2:] == ["--max-model-len", "45056"]
        rights = mocks.asked("RoleDefinition")["permissions"][0]["actions"]
        assert all(right.startswith("Microsoft.Compute/virtualMachines/") for right in rights)
        assert mocks.asked("RoleAssignment")["principalId"] == "p"
        assert known == ["https://203.0.113.9:443"]

    return with_outputs(node.endpoint, then=then)


@engine_test
def test_azure_opens_the_endpoint_and_no_ssh(mocks: RecordingMocks) -> Any:
    node = ModelNode("chat", azure())

    def then(_: list[Any]) -> None:
        (rule,) = mocks.asked("NetworkSecurityGroup")["securityRules"]
        assert (rule["destinationPortRange"], rule["sourceAddressPrefixes"]) == ("443", ["203.0.113.7/32"])
        assert mocks.asked("PublicIPAddress")["publicIPAllocationMethod"] == "Static"

    return with_outputs(node.endpoint, then=then)


@engine_test
def test_gcp_is_a_spot_machine_with_an_end_from_outside(mocks: RecordingMocks) -> Any:
    node = ModelNode("chat", gcp())

    def then(known: list[Any]) -> None:
        machine = mocks.asked("Instance")
        assert machine["scheduling"] == {
            "provisioningModel": "SPOT",
            "preemptible": True,
            "automaticRestart": False,
            "onHostMaintenance": "TERMINATE",
            "instanceTerminationAction": "DELETE",
            "maxRunDuration": {"seconds": 7200},
        }
        assert "guestAccelerators" not in machine, "G2 carries its GPU"
        assert "serviceAccount" not in machine
        assert machine["metadata"]["user-data-encoding"] == "base64"
        assert told(machine["metadata"]["user-data"])["gpu_driver"] == "datacenter"
        assert machine["networkInterfaces"][0]["accessConfigs"] == [{"natIp": "203.0.113.9"}]
        assert mocks.asked("Firewall")["sourceRanges"] == ["203.0.113.7/32"]
        assert known == ["https://203.0.113.9:443"]

    return with_outputs(node.endpoint, then=then)


@pytest.mark.parametrize("given", [aws(), azure(), gcp()])
@engine_test
def test_everything_that_takes_marks_has_them(mocks: RecordingMocks, given: settings.Settings) -> Any:
    node = ModelNode("chat", given)

    def then(_: list[Any]) -> None:
        asked = [mocks.asked(kind) for kind in mocks.made]
        marked = [inputs.get(key) for inputs in asked for key in ("tags", "labels")]
        found = [marks for marks in marked if isinstance(marks, dict)]
        assert len(found) >= 2
        for marks in found:
            assert (marks["liftoff-stack"], marks["liftoff-owner"]) == ("dev", "ml-team")
        (machine,) = [marks for marks in found if "liftoff-run" in marks]
        assert (machine["liftoff-run"], machine["liftoff-expires"]) == ("0123456789abcdef", "2030-01-01t00-00-00z")

    return with_outputs(node.endpoint, then=then)


@pytest.mark.parametrize("given", [aws(), azure(), gcp()])
def test_user_data_that_is_too_long_is_refused_before_anything_is_made(
    mocks: RecordingMocks, given: settings.CloudSettings
) -> None:
    import secrets

    long = given.model_copy(update={"vllm_arguments": (secrets.token_urlsafe(220_000),)})
    with pytest.raises(UserDataTooLong, match=f"{given.provider_name()} takes"):
        ModelNode("chat", long)  # type: ignore[arg-type]
    assert mocks.made.keys() <= {"ModelNode"}


def test_a_model_that_does_not_fit_is_refused_with_what_would_do() -> None:
    with pytest.raises(cuda.ModelDoesNotFit, match=r"GiB more than .* It fits"):
        cuda.serving(gcp(model="meta-llama/Llama-3.3-70B-Instruct"))


def test_the_build_of_vllm_follows_the_drivers_cuda() -> None:
    assert "vllm==0.32.0" in cuda.requirements("13.0").splitlines()
    assert "cu129" in cuda.requirements("12.8")
    assert "cu129" not in cuda.requirements("13.0")


def test_the_longest_context_that_fits_is_asked_for_unless_the_user_says_another() -> None:
    assert cuda.serving(azure()).arguments[-2:] == ("--max-model-len", "45056")
    assert "--max-model-len" not in cuda.serving(azure(maxModelLen=32768)).arguments
    with pytest.raises(cuda.ModelDoesNotFit):
        cuda.serving(azure(maxModelLen=131072))
