"""The plugin's answers over gRPC: what an engine sees of time, cancellation and lost answers."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from provider import wire
from tests.clouds.cloud import Latency
from tests.clouds.fixtures import Clouds, start

ADDRESSES = {
    "aws": ("aws:ec2/eip:Eip", {"domain": "vpc"}),
    "gcp": ("gcp:compute/address:Address", {"name": "node", "region": "us-central1"}),
}


@pytest.fixture
def slow() -> Iterator[Clouds]:
    yield from start(Latency({("aws:ec2/", "Create"): 60.0, ("gcp:compute/address:", "Create"): 60.0}))


class Plugin:
    def __init__(self, clouds: Clouds, provider: str) -> None:
        address = dict(item.rsplit(":", maxsplit=1) for item in clouds.environment.split(","))[provider]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{address}", options=[("grpc.use_local_subchannel_pool", 1)])
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)
        self.token, self.inputs = ADDRESSES[provider]
        self.urn = f"urn:pulumi:dev::p::{self.token}::node"

    def configure(self, **config: str) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=wire.write(config)))

    def create(self) -> Any:
        return self.stub.Create(provider_pb2.CreateRequest(urn=self.urn, properties=wire.write(self.inputs)))

    def check(self, **inputs: Any) -> Any:
        return self.stub.Check(provider_pb2.CheckRequest(urn=self.urn, news=wire.write(inputs)))


def _until(clouds: Clouds) -> None:
    deadline = time.monotonic() + 10
    while len(clouds.truth) == 0:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


@pytest.mark.parametrize(("provider", "kept"), [("aws", True), ("gcp", False)])
def test_a_cancelled_create_exists_in_the_cloud_and_in_the_state_only_where_the_plugin_keeps_it(
    slow: Clouds, provider: str, kept: bool
) -> None:
    plugin = Plugin(slow, provider)
    with ThreadPoolExecutor() as pool:
        creating = pool.submit(plugin.create)
        _until(slow)
        plugin.stub.Cancel(empty_pb2.Empty())
        error = creating.exception(timeout=10)

    assert isinstance(error, grpc.RpcError)
    metadata = {item.key: item.value for item in error.trailing_metadata() or ()}
    details = metadata.get("grpc-status-details-bin")
    assert (details is not None) == kept
    if details is not None:
        failed = provider_pb2.ErrorResourceInitFailed()
        status_pb2.Status.FromString(details).details[0].Unpack(failed)
        assert failed.id == slow.truth.one(provider, plugin.token).id
    assert len(slow.truth) == 1


def test_an_engine_that_was_killed_leaves_what_it_had_asked_for(slow: Clouds) -> None:
    plugin = Plugin(slow, "aws")
    with ThreadPoolExecutor() as pool:
        creating = pool.submit(plugin.create)
        _until(slow)
        plugin.channel.close()
        assert creating.exception(timeout=10) is not None

    assert slow.truth.one("aws", ":Eip").state in {"creating", "failed"}


def test_an_answer_that_never_comes_leaves_the_resource(clouds: Clouds) -> None:
    clouds.faults.add("aws", lost_answer=True)
    plugin = Plugin(clouds, "aws")
    with ThreadPoolExecutor() as pool:
        creating = pool.submit(plugin.create)
        _until(clouds)
        plugin.stub.Cancel(empty_pb2.Empty())
        assert "context canceled" in str(creating.exception(timeout=10))

    assert clouds.truth.one("aws", ":Eip").state == "ready"


def test_each_engine_has_its_own_configuration(clouds: Clouds) -> None:
    east, west = Plugin(clouds, "aws"), Plugin(clouds, "aws")
    east.configure(region="us-east-1")
    west.configure(region="us-west-2")

    regions = [wire.read(plugin.check(domain="vpc").inputs).values["region"] for plugin in (east, west)]

    assert regions == ["us-east-1", "us-west-2"]


def test_a_throttled_call_says_so_and_the_next_one_goes_well(clouds: Clouds) -> None:
    clouds.faults.throttle("aws")
    plugin = Plugin(clouds, "aws")

    with pytest.raises(grpc.RpcError, match="RequestLimitExceeded: Request limit exceeded"):
        plugin.create()
    assert plugin.create().id == clouds.truth.one("aws", ":Eip").id


def test_a_machine_is_evicted_when_its_time_has_come(clouds: Clouds) -> None:
    clouds.faults.add("aws", evict_after_seconds=0.05)
    answer = Plugin(clouds, "aws").create()
    deadline = time.monotonic() + 10
    while clouds.truth.get("aws", answer.id) is not None:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)

    plugin = Plugin(clouds, "aws")
    read = provider_pb2.ReadRequest(id=answer.id, urn=plugin.urn, properties=answer.properties)
    assert plugin.stub.Read(read).id == ""


def test_a_name_is_made_once_and_then_kept(clouds: Clouds) -> None:
    plugin = Plugin(clouds, "gcp")
    first = plugin.check(region="us-central1").inputs
    again = plugin.stub.Check(
        provider_pb2.CheckRequest(urn=plugin.urn, olds=first, news=wire.write({"region": "us-central1"}))
    ).inputs

    assert wire.read(first).values["name"].startswith("node-")
    assert wire.read(again).values == wire.read(first).values
