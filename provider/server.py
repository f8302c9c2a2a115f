"""The plugin's gRPC server: Pulumi's ResourceProvider protocol on one side, `Resource` on the other.

Protocol: https://github.com/pulumi/pulumi, `proto/pulumi/provider.proto`.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from functools import cached_property
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc
from pydantic import ValidationError

from provider import schema, wire
from provider.resource import Inputs, Operation, Outputs, Refused, Resource

_MESSAGE_BYTES: Final = 400 * 1024 * 1024
"""The largest message either side may send; the engine and the SDKs use the same figure."""
_GRACE_SECONDS: Final = 30.0
"""How long an operation in flight may go on after the engine has told this plugin to end."""

_LOOK_SECONDS: Final = 1.0

AnyResource = Resource[Any]


class Engine:
    """The way back to the engine: status lines and diagnostics. An address that is not known yet is empty."""

    def __init__(self, address: str = "") -> None:
        self._address = address
        self._stub: engine_pb2_grpc.EngineStub | None = None

    def is_at(self, address: str) -> None:
        """Take the address that an engine which attaches itself tells."""
        self._address = self._address or address

    def log(self, urn: str, message: str, *, ephemeral: bool) -> None:
        """Send one line; an engine that is going away is not worth failing an operation for."""
        if self._stub is None:
            self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._address))
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=ephemeral)
        try:
            self._stub.Log(request, timeout=10)
        except grpc.RpcError as error:
            logging.getLogger(__name__).debug("the engine took no log line: %s", error)


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine for a set of resources."""

    def __init__(self, engine: Engine, resources: Callable[[], Iterable[AnyResource]], version: str) -> None:
        self._engine = engine
        self._load = resources
        self._version = version
        self._cancelled = threading.Event()

    def Handshake(self, request: proto.ProviderHandshakeRequest, context: grpc.ServicerContext) -> Any:
        """Agree on features: secrets and unknowns come to us wrapped."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True,
            accept_resources=False,
            accept_outputs=False,
            supports_autonaming_configuration=False,
        )

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Take the address of an engine that found this plugin running."""
        self._engine.is_at(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Say which version this is."""
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.GetSchemaResponse:
        """Return the package schema."""
        return provider_pb2.GetSchemaResponse(schema=schema.render(self._resources.values(), self._version))

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> Any:
        """Take the configuration as it is: this provider has none of its own."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Find no difference in a configuration that is empty."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:
        """Agree on features with engines that do not shake hands."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End what waits: every running operation sees it at its next wait."""
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """End what waits."""
        self._cancelled.set()

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Validate inputs; what is not known yet is left for the update."""
        resource = self._resource(request.urn, context)
        news = wire.read(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in check(resource.inputs, news)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Tell which inputs changed and which of them need a new resource."""
        resource = self._resource(request.urn, context)
        changed = differing(wire.read(request.old_inputs), wire.read(request.news)) - set(request.ignoreChanges)
        replaced = sorted(changed & resource.replace_on)
        kinds = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted(changed),
            replaces=replaced,
            deleteBeforeReplace=bool(replaced) and resource.delete_first,
            detailedDiff={
                name: kinds(kind=kinds.UPDATE_REPLACE if name in replaced else kinds.UPDATE, inputDiff=True)
                for name in changed
            },
            hasDetailedDiff=True,
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make a resource; in a preview say which outputs there will be."""
        resource = self._resource(request.urn, context)
        news = wire.read(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=_preview(resource, news))
        with self._operation(request.urn, context) as operation:
            resource_id, outputs = resource.create(_parse(resource, news), operation)
            return provider_pb2.CreateResponse(id=resource_id, properties=_state(resource, news, outputs))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Look at a resource again; an empty id says that it has gone."""
        resource = self._resource(request.urn, context)
        state, inputs = wire.read(request.properties), wire.read(request.inputs)
        if not inputs.values:
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{resource.token} can't be imported: it is made by a stack only",
            )
        with self._operation(request.urn, context) as operation:
            outputs = resource.read(request.id, _parse(resource, inputs), _outputs(resource, state), operation)
            if outputs is None:
                return provider_pb2.ReadResponse(id="")
            return provider_pb2.ReadResponse(
                id=request.id, properties=_state(resource, inputs, outputs), inputs=request.inputs
            )

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Bring a resource to new inputs."""
        resource = self._resource(request.urn, context)
        news = wire.read(request.news)
        olds = _outputs(resource, wire.read(request.olds))
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_state(resource, news, olds))
        with self._operation(request.urn, context) as operation:
            outputs = resource.update(request.id, _parse(resource, news), olds, operation)
            return provider_pb2.UpdateResponse(properties=_state(resource, news, outputs))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Remove a resource and what it made."""
        resource = self._resource(request.urn, context)
        inputs = wire.read(request.old_inputs)
        state = wire.read(request.properties)
        with self._operation(request.urn, context) as operation:
            resource.delete(request.id, _parse(resource, inputs), _outputs(resource, state), operation)
        return empty_pb2.Empty()

    @cached_property
    def _resources(self) -> dict[str, AnyResource]:
        # What they import is waited for by whoever needs one of them, and by nobody else.
        return {resource.token: resource for resource in self._load()}

    def _resource(self, urn: str, context: grpc.ServicerContext) -> AnyResource:
        token = urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
        if token not in self._resources:
            allowed = ", ".join(sorted(self._resources))
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"resource type {token!r} is unknown; this provider has: {allowed}"
            )
        return self._resources[token]

    def _operation(self, urn: str, context: grpc.ServicerContext) -> "_Running":
        return _Running(self._engine, urn, context, self._cancelled)


class _Running:
    """The scope of one operation: what it raises becomes the text that the user reads."""

    def __init__(self, engine: Engine, urn: str, context: grpc.ServicerContext, cancelled: threading.Event) -> None:
        self._context = context
        self._operation = Operation(
            urn=urn,
            say=lambda line: engine.log(urn, line, ephemeral=True),
            tell=lambda line: engine.log(urn, line, ephemeral=False),
            cancelled=cancelled,
        )

    def __enter__(self) -> Operation:
        return self._operation

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refused):
            self._context.abort(grpc.StatusCode.UNKNOWN, str(error))
        if isinstance(error, Exception):
            logging.getLogger(__name__).debug("operation failed", exc_info=error)
            refused = Refused(
                "unknown",
                type(error).__name__,
                str(error) or "no further text",
                hint="run the command again with PULUMI_DEBUG_COMMANDS and --logtostderr -v=9, and report what it says",
            )
            self._context.abort(grpc.StatusCode.UNKNOWN, str(refused))


def check(model: type[Inputs], given: wire.Properties) -> list[tuple[str, str]]:
    """Return each refused property with its reason; unknown values are not judged."""
    try:
        model.model_validate(given.values)
    except ValidationError as error:
        return [
            (".".join(str(part) for part in problem["loc"]), _reason(given, problem["loc"], problem["msg"]))
            for problem in error.errors(include_url=False, include_input=False)
            if str(problem["loc"][0]) not in given.unknown
        ]
    return []


def _reason(given: wire.Properties, where: tuple[int | str, ...], text: str) -> str:
    name = str(where[0])
    if name in given.secret or name not in given.values:
        return text
    value: Any = given.values
    for part in where:
        if isinstance(value, dict) and part in value:
            value = value[part]
    return f"{text}; given: {value!r}" if isinstance(value, str | int | float | bool) else text


def differing(old: wire.Properties, new: wire.Properties) -> set[str]:
    """Return the names of the properties that differ; an unknown one counts, since it may."""
    names = old.values.keys() | new.values.keys()
    return {name for name in names if old.values.get(name) != new.values.get(name)} | new.unknown


def _parse(resource: AnyResource, given: wire.Properties) -> Any:
    return resource.inputs.model_validate(given.values)


def _outputs(resource: AnyResource, state: wire.Properties) -> Outputs:
    return {name: value for name, value in state.values.items() if name in resource.outputs}


def _state(resource: AnyResource, inputs: wire.Properties, outputs: Outputs) -> Any:
    return wire.write({**inputs.values, **outputs}, inputs.secret | resource.secret_outputs, inputs.unknown)


def _preview(resource: AnyResource, inputs: wire.Properties) -> Any:
    unknown = inputs.unknown | (resource.outputs.keys() - inputs.values.keys())
    return wire.write(inputs.values, inputs.secret | resource.secret_outputs, unknown)


class Plugin:
    """The plugin, serving from the moment in which it is made; `beside` adds other services to the same port.

    Attributes:
        port: on loopback.
    """

    def __init__(
        self,
        engine: Engine,
        resources: Callable[[], Iterable[AnyResource]],
        version: str,
        beside: Callable[[grpc.Server], object] = lambda _: None,
    ) -> None:
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=64),
            options=[
                ("grpc.max_receive_message_length", _MESSAGE_BYTES),
                ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ],
        )
        self._servicer = Servicer(engine, resources, version)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(self._servicer, self._server)
        beside(self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> threading.Event:
        """End what waits and take nothing new; the event is set once what was in flight has ended."""
        self._servicer.cancel()
        return self._server.stop(_GRACE_SECONDS)

    def wait(self) -> None:
        """Return once it has been stopped."""
        self._server.wait_for_termination()


def serve(engine_address: str, resources: Callable[[], Iterable[AnyResource]], version: str) -> NoReturn:
    """Serve until the engine ends this process; the first line on standard output is the port."""
    plugin = Plugin(Engine(engine_address), resources, version)

    def stop(*_: object) -> None:
        # The engine interrupts its plugins when it is done, and waits 5 s for one that stays.
        plugin.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_when_orphaned, args=(os.getppid(), stop), name="engine", daemon=True).start()
    print(plugin.port, flush=True)
    plugin.wait()
    sys.exit(0)


def _when_orphaned(engine: int, stop: Callable[[], None]) -> None:
    """Stop once the engine has died without a word."""
    while os.getppid() == engine:
        time.sleep(_LOOK_SECONDS)
    stop()
