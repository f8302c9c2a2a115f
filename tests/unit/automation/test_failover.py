"""A plan goes on from offer to offer by what each failure says, and leaves nothing behind."""

import dataclasses
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation import cloud_errors, errors, failover
from automation.blocked import Block, after_interruption
from automation.errors import Kind, LaunchFailure
from automation.launch import LaunchResult
from automation.offers import Listing, Offer, Wanted, offers
from provider.status import Stage

TODAY = dt.date(2026, 11, 24)


def offer(
    provider: str = "aws", zone: str = "us-east-1a", instance_type: str = "g6.xlarge", *, spot: bool = True
) -> Offer:
    region = zone[:-1] if provider == "aws" else zone
    return Offer(
        provider=provider,
        region=region,
        zone=zone if provider == "aws" else "",
        instance_type=instance_type,
        gpu="L4",
        spot=spot,
        price=0.5,
        source="test",
        seen=TODAY,
    )


def answer(provider: str, code: str) -> LaunchFailure:
    """Return the failure that a cloud's real answer leads to."""
    (row,) = [row for row in cloud_errors.table(provider) if row.code == code]
    return errors.classify(row.example, Stage.REQUEST, "machine")


BOOT = LaunchFailure(Kind.BOOT, "serve_failed", Stage.SERVE, "readiness", "vLLM ended", "read", retryable=False, raw="")
WRONG = LaunchFailure(Kind.CONFIGURATION, "invalid", Stage.VALIDATE, "", "no", "change it", retryable=False, raw="")
INTERRUPTED = errors.classify("[capacity/spot_interrupted] taken back\nhint: elsewhere", Stage.SERVE, "readiness")
UNKNOWN = LaunchFailure(Kind.UNKNOWN, "unknown", Stage.REQUEST, "", "what?", "read", retryable=False, raw="what?")


class FakeSite:
    """Fails as scripted and remembers what exists."""

    def __init__(self, *failures: LaunchFailure | None) -> None:
        self.failures = list(failures)
        self.tried: list[Offer] = []
        self.cleared: list[bool] = []
        self.skipped: list[str] = []
        self.there = False

    def attempt(self, offer: Offer, following: Offer | None) -> LaunchResult:
        self.tried.append(offer)
        self.there = True
        failure = self.failures.pop(0)
        return LaunchResult("launch-1", "stack", 1.0, (), Path("events"), failure=failure)

    def skip(self, offer: Offer, reason: str) -> None:
        self.skipped.append(reason)

    def gave_up(self) -> None:
        self.has_given_up = True

    def clear(self, *, keep_network: bool) -> LaunchFailure | None:
        self.cleared.append(keep_network)
        self.there = False
        return None


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.now += seconds
        return False


class Blocked:
    """What launches have found full, in memory."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []

    def add(self, block: Block) -> None:
        self._blocks.append(block)

    def active(self, now: float) -> tuple[Block, ...]:
        return tuple(block for block in self._blocks if block.until > now)


@pytest.fixture
def blocked() -> Blocked:
    return Blocked()


def run(plan: list[Offer], site: FakeSite, blocked: Blocked, clock: Clock | None = None) -> failover.PlanResult:
    clock = clock or Clock()
    return failover.run(plan, site, blocked, lambda _: None, clock.wait, clock)


def test_five_offers_fail_each_in_its_own_way_and_the_sixth_works(blocked: Blocked) -> None:
    plan = [offer(zone=f"eu-west-{n}a") for n in range(1, 7)]
    throttled = answer("aws", "RequestLimitExceeded")
    site = FakeSite(
        answer("aws", "InsufficientInstanceCapacity"),
        answer("aws", "MaxSpotInstanceCountExceeded"),
        answer("aws", "SpotMaxPriceTooLow"),
        throttled,
        throttled,
        throttled,
        BOOT,
        None,
    )
    clock = Clock()
    ended = run(plan, site, blocked, clock)
    assert ended.ok
    assert [attempt.failure and attempt.failure.kind.title for attempt in ended.attempts] == [
        "capacity",
        "quota",
        "capacity",
        "throttled",
        "throttled",
        "throttled",
        "boot",
        None,
    ]
    assert clock.waited == [5.0, 5.0]
    assert site.tried[-1] == plan[5]


def test_too_many_requests_are_waited_for_where_the_answer_does_not_say_how_long(blocked: Blocked) -> None:
    throttled = errors.classify('Status=429 Code="OperationNotAllowed"', Stage.REQUEST)
    assert (throttled.kind, throttled.blocked_seconds) == (Kind.THROTTLED, 0.0)
    clock = Clock()
    assert run([offer()], FakeSite(throttled, None), blocked, clock).ok
    assert clock.waited == [5.0]


def test_the_next_zone_of_a_region_finds_its_network(blocked: Blocked) -> None:
    full = answer("aws", "InsufficientInstanceCapacity")
    site = FakeSite(full, full, None)
    assert run([offer(zone="us-east-1a"), offer(zone="us-east-1b"), offer(zone="eu-west-1a")], site, blocked).ok
    # What EC2 refused in the first zone made nothing; another region has another network.
    assert site.cleared == [False]


@pytest.mark.parametrize("failure", [answer("aws", "RequestLimitExceeded"), UNKNOWN])
def test_what_is_left_goes_where_others_find_its_region_full_before_it_is_tried_again(
    blocked: Blocked, failure: LaunchFailure
) -> None:
    here, beside, elsewhere = (offer(zone=zone) for zone in ("us-east-1a", "us-east-1b", "eu-west-1a"))
    site, clock = FakeSite(failure, None), Clock()

    def full() -> None:
        blocked.add(Block(here.provider, here.region, "", "", "", clock.now + 1000.0, "full"))

    def wait(seconds: float) -> bool:
        full()
        return clock.wait(seconds)

    clear = site.clear

    def clear_slowly(*, keep_network: bool) -> LaunchFailure | None:
        full()
        return clear(keep_network=keep_network)

    site.clear = clear_slowly  # type: ignore[method-assign]
    ended = failover.run([here, beside, elsewhere], site, blocked, lambda _: None, wait, clock)
    assert ended.ok
    assert site.tried == [here, elsewhere]
    # Networks of two regions can't be one.
    assert site.cleared[-1] is False


def test_the_machine_that_azure_could_not_allocate_goes_before_the_next_type_is_asked(blocked: Blocked) -> None:
    full = answer("azure", "AllocationFailed")
    site = FakeSite(full, None)
    plan = [offer("azure", "eastus", size) for size in ("Standard_NV36ads_A10_v5", "Standard_NV72ads_A10_v5")]
    assert run(plan, site, blocked).ok
    assert site.cleared == [True]


def test_what_a_cancelled_update_may_have_made_is_looked_for(blocked: Blocked) -> None:
    late = dataclasses.replace(UNKNOWN, kind=Kind.CAPACITY, code="time_limit")
    site = FakeSite(late, None)
    assert run([offer(zone="us-east-1a"), offer(zone="us-east-1b")], site, blocked).ok
    assert site.cleared == [True]


def test_an_offer_that_can_not_be_had_is_passed_over_with_its_reason(blocked: Blocked) -> None:
    first, second, third = offer(zone="us-east-1a"), offer(zone="us-east-1b"), offer(zone="eu-west-1a")
    site = FakeSite(answer("aws", "InsufficientInstanceCapacity"), None)
    clock = Clock()

    def why_not(one: Offer) -> str:
        return "quota too low: 8 needed, 0 of 4 used" if one == second else ""

    ended = failover.run([first, second, third], site, blocked, lambda _: None, clock.wait, clock, why_not)
    assert [attempt.skipped for attempt in ended.attempts] == ["", "quota too low: 8 needed, 0 of 4 used", ""]
    assert site.tried == [first, third]
    # The network stays only for the offer that is really the next.
    assert site.cleared == [False]


def test_a_machine_that_is_taken_back_during_its_boot_goes_first_and_its_place_is_left_alone(blocked: Blocked) -> None:
    site = FakeSite(INTERRUPTED, INTERRUPTED, INTERRUPTED, None)
    plan = [offer(zone=f"us-east-1{zone}") for zone in "abc"]
    ended = run([*plan, plan[0], offer(zone="eu-west-1a")], site, blocked)
    # Unlike boots that fail for reasons of their own, any number of them ends no plan.
    assert ended.ok
    assert [bool(attempt.skipped) for attempt in ended.attempts] == [False, False, False, True, False]
    # There was a machine, which fills the quota and costs.
    assert site.cleared == [True, True, False]
    clock = Clock()
    assert {block.until - clock.now for block in blocked.active(clock.now)} == {errors.INTERRUPTED_SECONDS}


def test_a_place_that_took_a_node_back_is_left_alone_as_after_an_interrupted_boot(blocked: Blocked) -> None:
    run([offer()], FakeSite(INTERRUPTED), blocked)
    assert blocked.active(0) == (after_interruption(offer(), Clock().now),)


def test_nothing_is_left_when_no_offer_works(blocked: Blocked) -> None:
    site = FakeSite(answer("aws", "InsufficientInstanceCapacity"), UNKNOWN)
    ended = run([offer(), offer(zone="us-east-1b")], site, blocked)
    assert not ended.ok
    assert ended.result is not None
    assert ended.result.failure == UNKNOWN
    assert not site.there


def test_credentials_that_a_cloud_refuses_end_its_offers_and_no_others(blocked: Blocked) -> None:
    site = FakeSite(answer("aws", "UnauthorizedOperation"), None)
    ended = run([offer(), offer(zone="eu-west-1a"), offer("azure", "eastus")], site, blocked)
    assert [bool(attempt.skipped) for attempt in ended.attempts] == [False, True, False]
    assert "UnauthorizedOperation" in ended.attempts[1].skipped
    assert ended.ok


@pytest.mark.parametrize(
    "failure", [WRONG, LaunchFailure(Kind.CANCELLED, "cancelled", Stage.SERVE, "", "", "", True, "")]
)
def test_what_would_fail_everywhere_ends_the_plan(blocked: Blocked, failure: LaunchFailure) -> None:
    site = FakeSite(failure)
    ended = run([offer(), offer("azure", "eastus")], site, blocked)
    assert len(ended.attempts) == 1
    assert not site.there


def test_a_second_failed_boot_ends_the_plan(blocked: Blocked) -> None:
    site = FakeSite(BOOT, BOOT)
    assert len(run([offer(), offer(zone="us-east-1b"), offer(zone="us-east-1c")], site, blocked).attempts) == 2


def test_what_one_launch_found_full_the_next_does_not_ask(blocked: Blocked) -> None:
    plan = [offer(zone="us-east-1a"), offer(zone="us-east-1b")]
    clock = Clock()
    run(plan, FakeSite(answer("aws", "InsufficientInstanceCapacity"), None), blocked, clock)
    second = FakeSite(None)
    ended = run(plan, second, blocked, clock)
    assert second.tried == plan[1:]
    assert "not asked again for 180 s" in ended.attempts[0].skipped
    clock.now += 180
    third = FakeSite(None)
    run(plan, third, blocked, clock)
    assert third.tried == plan[:1]


def test_a_full_spot_market_says_nothing_of_on_demand(blocked: Blocked) -> None:
    site = FakeSite(answer("aws", "MaxSpotInstanceCountExceeded"), None)
    assert run([offer(), offer(zone="us-east-1b"), offer(spot=False)], site, blocked).ok
    assert site.tried[-1].spot is False


FAILURES = [None, WRONG, UNKNOWN, BOOT] + [
    errors.classify(row.example, Stage.REQUEST)
    for provider in cloud_errors.PROVIDERS
    for row in cloud_errors.table(provider)
]


@given(st.lists(st.sampled_from(FAILURES), min_size=40, max_size=40), st.integers(1, 6))
def test_a_plan_always_ends_and_leaves_a_node_or_nothing(script: list[LaunchFailure | None], count: int) -> None:
    site = FakeSite(*script)
    ended = run([offer(zone=f"eu-west-{n}a") for n in range(count)], site, Blocked())
    assert site.there == ended.ok
    assert len(ended.attempts) >= 1


def listing(**changes: object) -> Listing:
    fields: dict[str, object] = {
        "provider": "aws",
        "region": "us-east-1",
        "instance_type": "g6.xlarge",
        "gpu": "L4",
        "spot": 0.3,
        "on_demand": 0.8,
        "source": "test",
        "seen": TODAY,
    }
    return Listing.model_validate({**fields, **changes})


def test_offers_come_cheapest_first_and_auto_tries_spot_before_on_demand() -> None:
    cheap, dear = listing(region="eu-west-1", spot=0.1, on_demand=0.2), listing()
    assert [made.price for made in offers([dear, cheap], Wanted())] == [0.1, 0.3]
    assert [made.price for made in offers([dear, cheap], Wanted(market="on-demand"))] == [0.2, 0.8]
    assert [made.price for made in offers([dear, cheap], Wanted(market="auto"))] == [0.1, 0.3, 0.2, 0.8]


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(providers=frozenset({"gcp"})),
        Wanted(regions=frozenset({"eu-west-1"})),
        Wanted(instance_types=frozenset({"g5.xlarge"})),
        Wanted(gpus=frozenset({"A10G"})),
        Wanted(max_price=0.29),
    ],
)
def test_what_was_not_asked_for_is_no_offer(wanted: Wanted) -> None:
    assert offers([listing()], wanted) == ()


def test_an_offer_becomes_the_stacks_settings() -> None:
    (made,) = offers([listing(zone="us-east-1b")], Wanted())
    assert made.config() == {
        "provider": "aws",
        "region": "us-east-1",
        "zone": "us-east-1b",
        "instanceType": "g6.xlarge",
        "spot": "true",
    }
    assert str(made) == "g6.xlarge (L4) at aws us-east-1b, spot, 0.3 USD/hour"
