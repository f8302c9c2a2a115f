"""Before a launch: what would fail is told before anything is made, and what can't be known stops nothing."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest

from automation.checks import account
from automation.checks.before_launch import BeforeLaunch
from automation.checks.checker import Stack
from automation.errors import Kind, Stopped
from automation.offers import Offer
from components import settings
from components.settings import Settings
from tests.clouds.aws_api import AwsApi
from tests.clouds.aws_rules import INSTANCE
from tests.clouds.azure_api import AzureApi
from tests.clouds.cloud import World
from tests.clouds.gcp_api import GcpApi
from tests.clouds.http_api import Refusal

from .bucket_server import SECRET, BucketServer
from .conftest import MODEL, STACKS, WriteStack
from .test_accounts import record


def offer(provider: str, region: str, name: str, *, spot: bool = True, zone: str = "") -> Offer:
    common: dict[str, Any] = {"gpu": "L4", "price": 0.1, "source": "test", "seen": date(2026, 11, 24)}
    return Offer(provider=provider, region=region, zone=zone, instance_type=name, spot=spot, **common)


PLAN = (
    offer("aws", "us-east-1", "g6.2xlarge"),
    offer("azure", "eastus", "Standard_NV36ads_A10_v5"),
    offer("gcp", "us-central1", "g2-standard-8", zone="us-central1-a"),
)


def stack_of(bucket: BucketServer, write_stack: WriteStack, values: Mapping[str, Any]) -> Stack:
    return Stack(write_stack({**bucket.values(), "model": MODEL, **values}), "s", {})


def asked(provider: str, bucket: BucketServer) -> Settings:
    """The stack's settings, as they are once they have been validated."""
    return settings._MODELS[provider].model_validate(
        {
            "zone": "",
            "spot": True,
            "maxPricePerHour": 0,
            "allowedCidrs": ["203.0.113.7/32"],
            "sshPublicKey": "",
            "sshAllowedCidrs": [],
            "diskGib": 100,
            "onEviction": "delete",
            "subnet": "",
            "owner": "",
            "bootDeadlineSeconds": 60,
            "lifetimeSeconds": 600,
            "name": "s",
            "model": MODEL,
            **({"resourceGroup": ""} if provider == "azure" else {}),
            **bucket.values(),
            **STACKS[provider],
        }
    )


def plan_of(
    bucket: BucketServer, write_stack: WriteStack, offers: Sequence[Offer] = PLAN, limit_seconds: float = 20.0
) -> tuple[tuple[Offer, ...], list[str], list[str]]:
    """Return the offers that are left, why each of them is not tried, and what was told."""
    told: list[str] = []
    stack = stack_of(bucket, write_stack, {"provider": "local"})
    left, why_not = BeforeLaunch(limit_seconds=limit_seconds).plan(stack, offers, told.append)
    return left, [why_not(one) for one in left], told


def test_a_plan_whose_clouds_all_answer_is_left_as_it_is(
    bucket: BucketServer, write_stack: WriteStack, aws: AwsApi, azure_login: AzureApi, gcp: GcpApi
) -> None:
    assert plan_of(bucket, write_stack) == (PLAN, ["", "", ""], [])


def test_offers_of_a_cloud_without_credentials_are_left_out_with_one_note(
    bucket: BucketServer, write_stack: WriteStack, azure_login: AzureApi
) -> None:
    left, reasons, told = plan_of(bucket, write_stack)
    assert (left, reasons) == ((PLAN[1],), [""])
    assert [note.split(":")[0] for note in told] == ["Offers of aws are left out", "Offers of gcp are left out"]


def test_a_plan_without_any_credentials_ends_before_it_begins(bucket: BucketServer, write_stack: WriteStack) -> None:
    with pytest.raises(Stopped) as caught:
        plan_of(bucket, write_stack)
    assert (caught.value.kind, caught.value.code) == (Kind.CREDENTIALS, "check_credentials")
    assert "az login" in caught.value.hint
    assert "AWS_PROFILE" in caught.value.hint


def test_an_offer_whose_quota_is_too_low_is_told_with_the_numbers(
    bucket: BucketServer, write_stack: WriteStack, aws: AwsApi, azure_login: AzureApi, gcp: GcpApi, world: World
) -> None:
    world.market.quotas["azure-native", "eastus", "LowPriorityCores"] = 3
    _, reasons, told = plan_of(bucket, write_stack)
    assert reasons == [
        "",
        "quota too low: LowPriorityCores (lowPriorityCores) in eastus: 36 vCPUs needed, 0 of 3 used",
        "",
    ]
    assert told == []


def test_a_quota_is_looked_up_once_for_all_zones_of_a_region(
    bucket: BucketServer, write_stack: WriteStack, gcp: GcpApi
) -> None:
    zones = [offer("gcp", "us-central1", "g2-standard-8", zone=f"us-central1-{letter}") for letter in "abc"]
    _, reasons, _ = plan_of(bucket, write_stack, zones)
    assert reasons == [""] * 3
    assert len([one for one in gcp.asked if one.path.endswith("/regions/us-central1")]) == 1


def test_a_quota_that_can_not_be_read_blocks_nothing_and_is_told(
    bucket: BucketServer, write_stack: WriteStack, gcp: GcpApi
) -> None:
    told = {"error": {"code": 403, "message": "Required 'compute.regions.get'", "status": "PERMISSION_DENIED"}}
    gcp.refusals.append(Refusal("/regions/", 403, told))
    left, reasons, notes = plan_of(bucket, write_stack, [PLAN[2]])
    assert (left, reasons) == ((PLAN[2],), [""])
    (note,) = notes
    assert "Not known before this launch: gcp quota" in note


def test_an_answer_in_another_form_than_the_documented_one_blocks_nothing(
    bucket: BucketServer, write_stack: WriteStack, gcp: GcpApi
) -> None:
    gcp.refusals.append(Refusal("/regions/", 200, {"quotas": [{"metric": "PREEMPTIBLE_NVIDIA_L4_GPUS"}]}))
    left, reasons, notes = plan_of(bucket, write_stack, [PLAN[2]])
    assert (left, reasons) == ((PLAN[2],), [""])
    assert "not as it is documented" in notes[0]


def test_a_cloud_that_does_not_answer_in_time_is_kept_and_told_as_unknown(
    bucket: BucketServer, write_stack: WriteStack, azure_login: AzureApi, gcp: GcpApi
) -> None:
    gcp.refusals.append(Refusal("/projects/", 500, {}, delay_seconds=3.0))
    left, reasons, notes = plan_of(bucket, write_stack, PLAN[1:], limit_seconds=2.0)
    assert (left, reasons) == (PLAN[1:], ["", ""])
    (note,) = notes
    assert "gcp credentials: nobody answered: no answer in 2 s" in note


def test_a_bucket_that_can_not_be_read_ends_a_plan_and_a_launch_with_no_key_in_the_text(
    bucket: BucketServer, write_stack: WriteStack, aws: AwsApi
) -> None:
    bucket.denied.add("GET")
    stack = stack_of(bucket, write_stack, STACKS["aws"])
    for begin in (
        lambda: BeforeLaunch().node(stack, asked("aws", bucket), print),
        lambda: BeforeLaunch().plan(stack, [PLAN[0]], print),
    ):
        with pytest.raises(Stopped) as caught:
            begin()
        assert (caught.value.kind, caught.value.code) == (Kind.CREDENTIALS, "check_bucket")
        assert SECRET not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_a_launch_of_the_stacks_own_machine_that_has_all_it_needs_says_nothing(
    bucket: BucketServer, write_stack: WriteStack, aws: AwsApi, azure_login: AzureApi, gcp: GcpApi, provider: str
) -> None:
    told: list[str] = []
    stack = stack_of(bucket, write_stack, STACKS[provider])
    BeforeLaunch().node(stack, asked(provider, bucket), told.append)
    assert told == []


def test_a_launch_without_credentials_ends_with_how_they_are_given(
    bucket: BucketServer, write_stack: WriteStack
) -> None:
    stack = stack_of(bucket, write_stack, STACKS["aws"])
    with pytest.raises(Stopped) as caught:
        BeforeLaunch().node(stack, asked("aws", bucket), print)
    assert caught.value.kind is Kind.CREDENTIALS
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_limit_that_the_machine_can_never_fit_ends_a_launch(
    bucket: BucketServer, write_stack: WriteStack, aws: AwsApi, world: World
) -> None:
    world.market.quotas["aws", "us-east-1", "g-spot"] = 4
    stack = stack_of(bucket, write_stack, STACKS["aws"])
    with pytest.raises(Stopped, match="8 vCPUs needed, 0 of 4 used") as caught:
        BeforeLaunch().node(stack, asked("aws", bucket), print)
    assert caught.value.kind is Kind.QUOTA


def test_a_quota_that_the_stacks_own_machine_may_use_is_only_noted(
    bucket: BucketServer, write_stack: WriteStack, aws: AwsApi, world: World
) -> None:
    world.market.quotas["aws", "us-east-1", "g-spot"] = 8
    spot = {"instanceType": "g6.2xlarge", "instanceMarketOptions": {"marketType": "spot"}}
    world.truth.add(record("aws", INSTANCE, "us-east-1", spot))
    told: list[str] = []
    stack = stack_of(bucket, write_stack, STACKS["aws"])
    BeforeLaunch().node(stack, asked("aws", bucket), told.append)
    (note,) = told
    assert "8 vCPUs needed, 8 of 8 used" in note


def test_a_local_stack_asks_nobody(write_stack: WriteStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "connect", None)
    local = settings.LocalSettings.model_construct(provider="local")
    stack = Stack(write_stack({"provider": "local"}), "s", {})
    told: list[str] = []
    BeforeLaunch().node(stack, local, told.append)
    here = offer("local", "here", "local.2x8")
    left, why_not = BeforeLaunch().plan(stack, [here], told.append)
    assert (left, why_not(here), told) == ((here,), "", [])


def test_what_a_stack_says_to_a_provider_counts_before_the_environment(
    bucket: BucketServer, write_stack: WriteStack, gcp: GcpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_PROJECT", "another")
    stack = stack_of(bucket, write_stack, {**STACKS["gcp"], "gcp:project": "emulated-project"})
    told: list[str] = []
    left, _ = BeforeLaunch().plan(stack, [PLAN[2]], told.append)
    assert (left, told) == ((PLAN[2],), [])
