"""Options of the tests."""

import pytest
from hypothesis import settings

# No example is judged by its time: another test may have the processors.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write golden files anew, to be reviewed.")
