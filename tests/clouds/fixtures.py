"""The fixture `clouds`: three emulated clouds in this process, for the time of one test."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import pytest

from tests.clouds.aws import Aws
from tests.clouds.azure import Azure
from tests.clouds.cloud import Cloud, Latency, World
from tests.clouds.faults import Faults
from tests.clouds.gcp import Gcp
from tests.clouds.market import Market
from tests.clouds.server import serve
from tests.clouds.truth import Truth

_DISTRIBUTIONS: Final = {"aws": "pulumi-aws", "azure-native": "pulumi-azure-native", "gcp": "pulumi-gcp"}


@dataclass
class Clouds:
    """Three clouds that serve.

    Attributes:
        world: all that they share with the test; its hooks `on_vm`, `on_vm_deleted` and `on_address` may be set.
    """

    world: World
    _clouds: dict[str, Cloud]
    _ports: dict[str, int] = field(default_factory=dict)

    @property
    def environment(self) -> str:
        """The value of PULUMI_DEBUG_PROVIDERS for an engine that is to use these clouds."""
        return ",".join(f"{provider}:{port}" for provider, port in self._ports.items())

    @property
    def truth(self) -> Truth:
        """What exists."""
        return self.world.truth

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self.world.faults

    @property
    def market(self) -> Market:
        """What is sold where, and the quotas."""
        return self.world.market

    def cloud(self, provider: str) -> Cloud:
        """Return one cloud."""
        return self._clouds[provider]

    def evict(self, provider: str, resource_id: str) -> None:
        """Take a spot machine away now."""
        self._clouds[provider].evict(resource_id)

    def forget(self) -> None:
        """Remove everything that exists, without telling anybody."""
        for record in self.truth.find():
            self.truth.remove(record.provider, record.id, "Forget")


def start(latency: Latency | None = None) -> Iterator[Clouds]:
    """Start the clouds, yield them, and end them."""
    world = World(latency=latency or Latency())
    clouds = Clouds(world, {"aws": Aws(world), "azure-native": Azure(world), "gcp": Gcp(world)})
    ends = []
    for provider in _DISTRIBUTIONS:
        port, end = serve(clouds.cloud(provider), version(_DISTRIBUTIONS[provider]))
        clouds._ports[provider] = port
        ends.append(end)
    try:
        yield clouds
    finally:
        world.close()
        for end in ends:
            end()


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    """Emulated clouds without latency; attach an engine with `PULUMI_DEBUG_PROVIDERS=clouds.environment`."""
    yield from start()
