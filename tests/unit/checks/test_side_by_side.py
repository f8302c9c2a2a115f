"""Look-ups side by side: none waits for another, and a late one is passed over."""

import threading

import pytest

from automation.checks import side_by_side


def late(key: str, seconds: float) -> str:
    return f"{key} took over {seconds} s"


def test_answers_come_in_the_order_of_the_questions_and_none_waits_for_another() -> None:
    met = threading.Barrier(2, timeout=10)

    def meet(name: str) -> str:
        met.wait()
        return name

    assert side_by_side.run({"a": lambda: meet("1"), "b": lambda: meet("2")}, late) == {"a": "1", "b": "2"}


def test_one_that_does_not_end_in_time_is_passed_over_and_keeps_nobody_waiting() -> None:
    never = threading.Event()
    before = set(threading.enumerate())
    found = side_by_side.run({"slow": lambda: str(never.wait()), "quick": lambda: "here"}, late, 0.2)
    assert found == {"slow": "slow took over 0.2 s", "quick": "here"}
    assert all(thread.daemon for thread in set(threading.enumerate()) - before)
    never.set()


def test_what_a_look_up_raises_is_raised() -> None:
    def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        side_by_side.run({"a": fail}, late)
