"""The provider as the engine sees it, over real gRPC: check by property, previews with unknowns, replace or update."""

import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any, ClassVar, Literal

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from pydantic import Field

from provider import server, wire
from provider.resource import Inputs, Operation, Outputs, Refused, Resource
from provider.resources import resources

URN = "urn:pulumi:dev::liftoff::liftoff:index:ModelNode$liftoff:index:Kettle::kettle"
Kinds = provider_pb2.PropertyDiff


class KettleInputs(Inputs):
    water_litres: float = Field(gt=0, le=2)
    plug: Literal["eu", "uk"] = "eu"
    pass_phrase: str = ""


class Kettle(Resource[KettleInputs]):
    token = "liftoff:index:Kettle"
    description = "A resource with one input that can be changed and one that can't."
    inputs = KettleInputs
    outputs: ClassVar = {"temperature": "number", "whistle": "string"}
    secret_outputs = frozenset({"whistle"})
    replace_on = frozenset({"plug"})
    delete_first = True

    def create(self, inputs: KettleInputs, operation: Operation) -> tuple[str, Outputs]:
        operation.say("heating")
        if inputs.pass_phrase == "cold":
            raise Refused("boot", "no_heat", "it stays cold", hint="plug it in", log=("click",))
        if inputs.pass_phrase == "forever":
            operation.wait(600)
        return "kettle-1", {"temperature": 100, "whistle": "fiii"}

    def read(self, resource_id: str, inputs: KettleInputs, outputs: Outputs, operation: Operation) -> Outputs | None:
        return outputs if resource_id == "kettle-1" else None


class RecordingEngine(server.Engine):
    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")
        self.lines: list[tuple[str, str, bool]] = []

    def log(self, urn: str, message: str, *, ephemeral: bool) -> None:
        self.lines.append((urn, message, ephemeral))


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def stub(engine: RecordingEngine) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    running = grpc.server(futures.ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        server.Servicer(engine, lambda: [Kettle()], "1.2.3"), running
    )
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    running.stop(None).wait()


def check(stub: provider_pb2_grpc.ResourceProviderStub, **news: Any) -> dict[str, str]:
    response = stub.Check(provider_pb2.CheckRequest(urn=URN, news=wire.write(news)))
    return {failure.property: failure.reason for failure in response.failures}


def test_check_names_the_property_what_was_given_and_what_is_allowed(
    stub: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    refused = check(stub, waterLitres=5, plug="us")
    assert refused["waterLitres"] == "Input should be less than or equal to 2; given: 5.0"
    assert "'eu' or 'uk'" in refused["plug"]
    assert "given: 'us'" in refused["plug"]


def test_check_refuses_a_property_that_does_not_exist(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert check(stub, waterLitres=1, water=1).keys() == {"water"}


def test_check_does_not_judge_what_is_not_known_yet(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert check(stub, waterLitres=wire.UNKNOWN) == {}
    assert check(stub, waterLitres=wire.UNKNOWN, plug="us").keys() == {"plug"}


def test_check_never_repeats_a_secret(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    news = wire.write({"waterLitres": 1, "plug": "hush"}, secret=["plug"])
    (failure,) = stub.Check(provider_pb2.CheckRequest(urn=URN, news=news)).failures
    assert "hush" not in failure.reason


def diff(stub: provider_pb2_grpc.ResourceProviderStub, old: dict[str, Any], new: dict[str, Any]) -> Any:
    return stub.Diff(provider_pb2.DiffRequest(urn=URN, id="kettle-1", old_inputs=wire.write(old), news=wire.write(new)))


def test_diff_finds_nothing_in_equal_inputs(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert diff(stub, {"waterLitres": 1}, {"waterLitres": 1}).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_diff_tells_an_update_from_a_replacement(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    update = diff(stub, {"waterLitres": 1, "plug": "eu"}, {"waterLitres": 2, "plug": "eu"})
    assert (list(update.replaces), update.detailedDiff["waterLitres"].kind) == ([], Kinds.UPDATE)
    replace = diff(stub, {"waterLitres": 1, "plug": "eu"}, {"waterLitres": 1, "plug": "uk"})
    assert (list(replace.replaces), replace.deleteBeforeReplace) == (["plug"], True)
    assert replace.detailedDiff["plug"].kind == Kinds.UPDATE_REPLACE


def test_diff_takes_an_unknown_value_for_a_change(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert list(diff(stub, {"waterLitres": 1, "plug": "eu"}, {"waterLitres": 1, "plug": wire.UNKNOWN}).replaces) == [
        "plug"
    ]


def test_a_preview_creates_nothing_and_shows_the_outputs_as_unknown(
    stub: provider_pb2_grpc.ResourceProviderStub, engine: RecordingEngine
) -> None:
    response = stub.Create(provider_pb2.CreateRequest(urn=URN, properties=wire.write({"waterLitres": 1}), preview=True))
    shown = wire.read(response.properties)
    assert shown.values == {"waterLitres": 1}
    assert shown.unknown == {"temperature", "whistle"}
    assert engine.lines == []


def test_create_speaks_on_the_resources_line_and_marks_secret_outputs(
    stub: provider_pb2_grpc.ResourceProviderStub, engine: RecordingEngine
) -> None:
    properties = wire.write({"waterLitres": 1, "passPhrase": "x"}, ["passPhrase"])
    response = stub.Create(provider_pb2.CreateRequest(urn=URN, properties=properties))
    assert response.id == "kettle-1"
    assert engine.lines == [(URN, "heating", True)]
    state = wire.read(response.properties)
    assert state.values["temperature"] == 100
    assert state.secret == {"whistle", "passPhrase"}


def test_a_refusal_reaches_the_engine_with_kind_code_hint_and_log(
    stub: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    properties = wire.write({"waterLitres": 1, "passPhrase": "cold"})
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(provider_pb2.CreateRequest(urn=URN, properties=properties))
    assert str(caught.value.details()).splitlines() == [
        "[boot/no_heat] it stays cold",
        "hint: plug it in",
        "Last lines of the node:",
        "  click",
    ]


def test_cancel_ends_a_wait_at_once(stub: provider_pb2_grpc.ResourceProviderStub, engine: RecordingEngine) -> None:
    properties = wire.write({"waterLitres": 1, "passPhrase": "forever"})
    running = stub.Create.future(provider_pb2.CreateRequest(urn=URN, properties=properties))
    waiting = threading.Event()
    while not engine.lines:
        waiting.wait(0.01)
    stub.Cancel(empty_pb2.Empty())
    error: Any = running.exception(timeout=1)
    assert "[unknown/cancelled]" in error.details()


def test_read_tells_what_has_gone(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    def read(resource_id: str) -> Any:
        inputs = wire.write({"waterLitres": 1})
        state = wire.write({"waterLitres": 1, "temperature": 40, "whistle": "f"})
        return stub.Read(provider_pb2.ReadRequest(urn=URN, id=resource_id, inputs=inputs, properties=state))

    assert read("kettle-1").id == "kettle-1"
    assert read("kettle-2").id == ""


def test_an_unknown_type_is_named_with_those_there_are(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    with pytest.raises(grpc.RpcError, match=r"'liftoff:index:Pot' is unknown; this provider has: liftoff:index:Kettle"):
        stub.Check(provider_pb2.CheckRequest(urn=URN.replace("Kettle", "Pot"), news=wire.write({})))


def test_the_schema_has_every_resource_with_its_secrets_and_replacements() -> None:
    stub_context: Any = None
    servicer = server.Servicer(RecordingEngine(), resources, "1.2.3")
    schema = json.loads(servicer.GetSchema(provider_pb2.GetSchemaRequest(), stub_context).schema)
    assert sorted(schema["resources"]) == [
        "liftoff:index:BootSession",
        "liftoff:index:LocalMachine",
        "liftoff:index:LocalNetwork",
        "liftoff:index:LocalStorage",
        "liftoff:index:Readiness",
    ]
    session = schema["resources"]["liftoff:index:BootSession"]
    assert session["properties"]["apiKey"] == {"type": "string", "secret": True}
    assert session["inputProperties"]["weights"]["willReplaceOnChanges"] is True
    assert session["inputProperties"]["storage"]["type"] == "object"
    machine = schema["resources"]["liftoff:index:LocalMachine"]
    assert "willReplaceOnChanges" not in machine["inputProperties"]["memoryBytes"]
    assert set(machine["requiredInputs"]) >= {"name", "userData", "memoryBytes"}


def test_the_plugin_ends_when_its_engine_has_died_without_a_word() -> None:
    # A shell stands for the engine; what it has started keeps its standard output open.
    plugin = f"{shlex.quote(sys.executable)} -m provider 127.0.0.1:1 & wait"
    with subprocess.Popen(["sh", "-c", plugin], stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        assert int(engine.stdout.readline()) > 0
        engine.kill()
        assert engine.communicate(timeout=30)[0] == b""
