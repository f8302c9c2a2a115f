"""Gives the tests in this folder the fixture `clouds`."""

from tests.clouds.fixtures import clouds

__all__ = ["clouds"]
