"""What is refused of a price, whether it stands in the file or a cloud has just told it."""

import pytest

from components.catalog import checks
from components.catalog.price_file import Row

SOLD = {("aws", "g6.xlarge"): ("us-east-1", "ap-northeast-1"), ("gcp", "g2-standard-4"): ("us-east1",)}
GOOD = Row(
    provider="aws", instance_type="g6.xlarge", region="us-east-1", zone="use1-az1", spot=0.3, on_demand=0.8, source="s"
)


def test_a_row_of_a_region_and_of_a_zone_in_it_is_good() -> None:
    assert checks.problem(GOOD, SOLD) is None
    assert checks.problem(GOOD.model_copy(update={"zone": ""}), SOLD) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"spot": 0.8}, "the spot price, 0.8, is not below the on-demand price, 0.8"),
        ({"spot": None, "on_demand": None}, "it has no price"),
        ({"spot": -0.1}, "a price is not between 0 and 150"),
        ({"on_demand": 250.0}, "a price is not between 0 and 150"),
        ({"region": "eu-north-1", "zone": "eun1-az1"}, "eu-north-1 does not sell it"),
        ({"zone": "use2-az1"}, "use2-az1 is no zone of us-east-1"),
        ({"zone": "us-east-1a"}, "us-east-1a is no zone of us-east-1"),
        ({"instance_type": "g99.xlarge"}, "the catalog has no such instance type"),
    ],
)
def test_a_row_that_cannot_be_true_is_told_in_words(changes: dict[str, object], told: str) -> None:
    assert told in str(checks.problem(GOOD.model_copy(update=changes), SOLD))


@pytest.mark.parametrize(
    ("provider", "zone", "region"),
    [
        ("aws", "use1-az6", "us-east-1"),
        ("aws", "apne1-az4", "ap-northeast-1"),
        ("aws", "aps1-az1", "ap-south-1"),
        ("aws", "apse5-az2", "ap-southeast-5"),
        ("aws", "mec1-az3", "me-central-1"),
        ("gcp", "us-east1-b", "us-east1"),
    ],
)
def test_a_zone_is_of_its_region_by_its_name(provider: str, zone: str, region: str) -> None:
    assert checks.is_zone_of(provider, zone, region)
    assert not checks.is_zone_of(provider, zone, f"{region}0")
    assert not checks.is_zone_of(provider, zone, "")


def test_what_stands_twice_is_named() -> None:
    assert checks.twice([GOOD, GOOD.model_copy(update={"zone": ""}), GOOD]) == [GOOD.key]


@pytest.mark.parametrize(("price", "jumps"), [(1.5, False), (0.06, False), (1.51, True), (0.059, True)])
def test_a_price_that_changes_by_more_than_five_times_is_not_believed(price: float, jumps: bool) -> None:
    assert (checks.jump(GOOD, GOOD.model_copy(update={"spot": price})) is not None) == jumps


def test_a_price_that_is_new_or_gone_is_no_jump() -> None:
    bare = GOOD.model_copy(update={"spot": None})
    assert checks.jump(GOOD, bare) is None
    assert checks.jump(bare, GOOD) is None
