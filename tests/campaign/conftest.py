"""One world for all tests of the campaign: to begin one takes longer than a launch."""

from collections.abc import Iterator

import pytest

from tests.campaign.world import World, opened


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """A server at emulated clouds, in the middle of everything that may fail."""
    with opened(engines=4, sweep_seconds=5.0) as made:
        yield made
