"""The order of offers: by price, but likely machines before unlikely ones that are hardly cheaper."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from automation.offers import Listing, Offer, Wanted, in_order, offers


def offer(price: float, score: int | None = None, zone: str = "") -> Offer:
    return Offer(
        provider="aws",
        region="us-east-1",
        zone=zone,
        instance_type="g6.xlarge",
        gpu="L4",
        spot=True,
        price=price,
        source="test",
        seen=dt.date(2026, 11, 24),
        placement_score=score,
    )


def order(*given_: Offer) -> list[tuple[float, int | None]]:
    return [(made.price, made.placement_score) for made in in_order(given_)]


def test_an_unlikely_machine_goes_after_every_likelier_one_that_is_at_most_a_tenth_dearer() -> None:
    assert order(offer(1.0, 2), offer(1.05, 3), offer(1.1, 9), offer(1.11, 10)) == [
        (1.05, 3),
        (1.1, 9),
        (1.0, 2),
        (1.11, 10),
    ]


def test_an_unlikely_machine_stays_the_first_where_all_likelier_ones_are_much_dearer() -> None:
    assert order(offer(1.2, 9), offer(1.0, 1)) == [(1.0, 1), (1.2, 9)]


def test_a_score_that_is_not_known_moves_nothing() -> None:
    assert order(offer(1.02), offer(1.0, 1), offer(0.99), offer(1.01, 2)) == [
        (0.99, None),
        (1.0, 1),
        (1.01, 2),
        (1.02, None),
    ]


def test_at_the_same_price_the_likelier_machine_is_the_first() -> None:
    assert order(offer(1.0, 1, "a"), offer(1.0, 8, "b")) == [(1.0, 8), (1.0, 1)]


def test_a_score_is_of_spot_capacity_and_moves_no_on_demand_offer() -> None:
    poor = Listing(
        provider="aws",
        region="r",
        zone="a",
        instance_type="t",
        gpu="L4",
        spot=0.5,
        on_demand=1.0,
        source="test",
        seen=None,
        placement_score=1,
    )
    likely = poor.model_copy(update={"zone": "b", "spot": 0.51, "on_demand": 1.01, "placement_score": 9})
    made = offers([poor, likely], Wanted(market="auto"))
    assert [(one.zone, one.spot, one.placement_score) for one in made] == [
        ("b", True, 9),
        ("a", True, 1),
        ("a", False, None),
        ("b", False, None),
    ]


SOME = st.lists(
    st.tuples(st.floats(0.01, 3), st.none() | st.integers(1, 10)).map(lambda given_: offer(*given_)), max_size=12
)


@given(SOME)
def test_nothing_is_lost_and_the_known_likely_ones_keep_the_order_of_their_price(given_: list[Offer]) -> None:
    ordered = in_order(given_)
    assert sorted(ordered, key=repr) == sorted(given_, key=repr)
    others = [made.price for made in ordered if made.placement_score is None or made.placement_score > 2]
    poor = [made.price for made in ordered if made.placement_score is not None and made.placement_score <= 2]
    assert (others, poor) == (sorted(others), sorted(poor))


@given(SOME)
def test_no_unlikely_machine_is_behind_one_that_is_more_than_a_tenth_dearer(given_: list[Offer]) -> None:
    ordered = in_order(given_)
    for index, made in enumerate(ordered):
        assert all(before.price <= made.price * 1.1 for before in ordered[:index])
