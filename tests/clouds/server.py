"""The plugin's side of an emulated cloud: Pulumi's ResourceProvider protocol in front of a `Cloud`.

Protocol: https://github.com/pulumi/pulumi, `proto/pulumi/provider.proto`. One server answers many engines at a time;
what belongs to one of them (configuration, cancellation) is kept by its connection.
"""

import re
import threading
from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import empty_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from provider import wire
from tests.clouds import properties, sdk_types
from tests.clouds.azure_rules import MACHINE
from tests.clouds.cloud import Cloud, Refused, Request, computed_names
from tests.clouds.faults import Fault
from tests.clouds.properties import DEFAULTS, Path, Values
from tests.clouds.truth import Record

_MESSAGE_BYTES: Final = 400 * 1024 * 1024
_REJECTED: Final = re.compile(r"^Status=[45]\d\d ")


@dataclass
class Connection:
    """One engine's plugin: its configuration, and whether it was told to stop."""

    config: Values = field(default_factory=dict)
    cancelled: bool = False
    waiting: set[threading.Event] = field(default_factory=set)


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Answers engines for one cloud."""

    def __init__(self, cloud: Cloud, version: str) -> None:
        self._cloud = cloud
        self._version = version
        self._connections: dict[str, Connection] = {}
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.GetSchemaResponse:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the emulated clouds have no schema; their types are the SDKs'")

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> Any:
        found = sdk_types.configuration_problems(self._cloud.provider, properties.plain(request.news))
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(found))

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> Any:
        changed = [*properties.changes(properties.plain(request.old_inputs), properties.plain(request.news))]
        kinds = provider_pb2.DiffResponse
        return provider_pb2.DiffResponse(changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:
        given = properties.plain(request.args)
        variables = {key.rsplit(":", maxsplit=1)[-1]: value for key, value in request.variables.items()}
        with self._lock:
            self._connections[context.peer()] = Connection({**variables, **given})
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        connection = self._connection(context)
        with self._lock:
            connection.cancelled = True
            for stopped in connection.waiting:
                stopped.set()
        return empty_pb2.Empty()

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        news, olds = wire.read(request.news), properties.plain(request.olds)
        values = properties.plain(request.news)
        values.pop(DEFAULTS, None)
        try:
            kind = self._cloud.kind(_token(request.urn))
            shape = sdk_types.resource_type(_token(request.urn)).inputs
        except sdk_types.UnknownToken as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        request_of = self._request(request.urn, values, context)
        added = {**self._cloud.defaults(request_of), **self._cloud.named(request_of, olds)}
        values = {**added, **values}
        defaulted = sorted(added.keys() - request.news.fields.keys())
        request_of = self._request(request.urn, values, context)
        found = [*sdk_types.problems(values, shape)]
        for rule in kind.checks if not found else ():
            found.extend(rule(request_of))
        if defaulted:
            values[DEFAULTS] = defaulted
        self._meet("Check", request_of, context)
        return provider_pb2.CheckResponse(inputs=wire.write(values, news.secret), failures=_failures(found))

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        token, news = _token(request.urn), properties.plain(request.news)
        changed = _changed(properties.plain(request.old_inputs), news, request.ignoreChanges)
        replacing = self._cloud.replacing(token, news, changed)
        kinds = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted({str(path[0]) for path in changed}),
            replaces=sorted({str(path[0]) for path in replacing}),
            deleteBeforeReplace=bool(replacing)
            and self._cloud.clashes(token, news)
            and not any(path[0] == self._cloud.kind(token).name for path in changed),
            detailedDiff={
                properties.shown(path): kinds(
                    kind=kinds.UPDATE_REPLACE if path in replacing else kinds.UPDATE, inputDiff=True
                )
                for path in changed
            },
            hasDetailedDiff=True,
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        news = wire.read(request.properties)
        values = properties.plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=_preview(_token(request.urn), values, news.secret))
        of = self._request(request.urn, values, context)
        fault = self._meet("Create", of, context)
        partial = fault is not None and self._is_partial(fault, of.token)
        if fault is not None and fault.error is not None and not fault.lost_answer and not partial:
            self._fail(context, "creating", request.urn, fault.error)
        try:
            record = self._cloud.admit(of, "failed" if partial else "creating")
        except Refused as error:
            self._fail(context, "creating", request.urn, str(error))
        if partial and fault is not None and fault.error is not None:
            self._fail_initialized(context, record, fault.error, news.secret, request)
        if not self._wait(context, self._cloud.world.latency.of(of.token, "Create")):
            if self._cloud.settles_on_cancel:
                self._fail_initialized(context, record, "context canceled", news.secret, request)
            self._fail(context, "creating", request.urn, "context canceled")
        if fault is not None and fault.repeated:
            self._cloud.repeat(of)
        try:
            record = self._cloud.start(record)
        except Exception as error:  # noqa: BLE001 - whatever the test's hook raises is what the cloud says
            self._fail_initialized(context, record, str(error), news.secret, request)
        if fault is not None and fault.evict_after_seconds is not None:
            self._cloud.world.later(fault.evict_after_seconds, lambda: self._cloud.evict(record.id))
        if fault is not None and fault.gone:
            context.abort(grpc.StatusCode.UNAVAILABLE, "error reading from server: EOF")
        if fault is not None and fault.lost_answer:
            self._lose(context, request.urn, fault)
        return provider_pb2.CreateResponse(id=record.id, properties=_state(record.outputs, news.secret))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        of = self._request(request.urn, properties.plain(request.inputs), context)
        fault = self._meet("Read", of, context)
        if fault is not None and fault.error is not None:
            self._fail(context, "reading", request.urn, fault.error)
        self._wait(context, self._cloud.world.latency.of(of.token, "Read"))
        record = self._cloud.world.truth.get(self._cloud.provider, request.id)
        if record is None:
            return provider_pb2.ReadResponse(id="")
        secret = wire.read(request.properties).secret | wire.read(request.inputs).secret
        return provider_pb2.ReadResponse(
            id=record.id, properties=_state(record.outputs, secret), inputs=wire.write(record.inputs, secret)
        )

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        news = wire.read(request.news)
        values = properties.plain(request.news)
        if request.preview:
            olds = properties.plain(request.olds)
            return provider_pb2.UpdateResponse(properties=_state({**olds, **values}, news.secret))
        of = self._request(request.urn, values, context)
        fault = self._meet("Update", of, context)
        if fault is not None and fault.error is not None and not fault.lost_answer:
            self._fail(context, "updating", request.urn, fault.error)
        changed = _changed(properties.plain(request.old_inputs), values, request.ignoreChanges)
        try:
            record = self._cloud.update(of, request.id, tuple(changed))
        except Refused as error:
            self._fail(context, "updating", request.urn, str(error))
        self._wait(context, self._cloud.world.latency.of(of.token, "Update"))
        if fault is not None and fault.lost_answer:
            self._lose(context, request.urn, fault)
        return provider_pb2.UpdateResponse(properties=_state(record.outputs, news.secret))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        of = self._request(request.urn, properties.plain(request.old_inputs), context)
        fault = self._meet("Delete", of, context)
        if fault is not None and fault.error is not None and not fault.lost_answer:
            self._fail(context, "deleting", request.urn, fault.error)
        self._wait(context, self._cloud.world.latency.of(of.token, "Delete"))
        try:
            self._cloud.delete(request.id)
        except Refused as error:
            self._fail(context, "deleting", request.urn, str(error))
        if fault is not None and fault.lost_answer:
            self._lose(context, request.urn, fault)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        arguments = properties.plain(request.args)
        try:
            found = [*sdk_types.problems(arguments, sdk_types.function_shape(request.tok))]
        except sdk_types.UnknownToken as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        if found:
            return provider_pb2.InvokeResponse(failures=_failures(found))
        config = self._connection(context).config
        fault = self._meet("Invoke", Request(self._cloud.world, request.tok, "", arguments, config), context)
        if fault is not None and fault.error is not None:
            context.abort(grpc.StatusCode.UNKNOWN, f"invoking {request.tok}: {fault.error}")
        try:
            answer = self._cloud.invoke(request.tok, arguments, config)
        except Refused as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"invoking {request.tok}: {error}")
        message = provider_pb2.InvokeResponse()
        getattr(message, "return").CopyFrom(wire.write(answer))
        return message

    def _connection(self, context: grpc.ServicerContext) -> Connection:
        with self._lock:
            return self._connections.setdefault(context.peer(), Connection())

    def _request(self, urn: str, inputs: Values, context: grpc.ServicerContext) -> Request:
        return Request(self._cloud.world, _token(urn), urn, inputs, self._connection(context).config)

    def _meet(self, method: str, request: Request, context: grpc.ServicerContext) -> Fault | None:
        """Return the fault that this call meets, once its delay is over."""
        self._cloud.world.on_call(self._cloud.provider, method, request)
        fault = self._cloud.world.faults.take(self._cloud.provider, request.token, method, request.inputs)
        if fault is not None and not self._wait(context, fault.delay_seconds):
            self._fail(context, f"{method.lower()}:", request.urn, "context canceled")
        return fault

    def _wait(self, context: grpc.ServicerContext, seconds: float) -> bool:
        """Let time pass; say whether the engine still wants the answer."""
        return seconds <= 0 or not self._stopped(context).wait(seconds)

    def _stopped(self, context: grpc.ServicerContext) -> threading.Event:
        """Return what is set when the engine cancels, or has gone."""
        stopped, connection = threading.Event(), self._connection(context)
        with self._lock:
            connection.waiting.add(stopped)
            if connection.cancelled:
                stopped.set()
        # An engine that was killed does not cancel: its calls end.
        if not context.add_callback(stopped.set):
            stopped.set()
        return stopped

    def _is_partial(self, fault: Fault, token: str) -> bool:
        if fault.error is None or fault.lost_answer:
            return False
        if fault.partial is not None:
            return fault.partial
        return token == MACHINE and not _REJECTED.match(fault.error or "")

    def _lose(self, context: grpc.ServicerContext, urn: str, fault: Fault) -> None:
        if fault.error is None:
            self._stopped(context).wait()
        self._fail(context, "waiting for", urn, fault.error or "context canceled")

    def _fail(self, context: grpc.ServicerContext, doing: str, urn: str, text: str) -> NoReturn:
        context.abort(grpc.StatusCode.UNKNOWN, self._wrapped(doing, urn, text))

    def _wrapped(self, doing: str, urn: str, text: str) -> str:
        # The Terraform bridge, which aws and gcp are built on, lists the provider's errors.
        return text if self._cloud.provider == "azure-native" else f"{doing} {urn}: 1 error occurred:\n\t* {text}\n\n"

    def _fail_initialized(
        self,
        context: grpc.ServicerContext,
        record: Record,
        text: str,
        secret: Iterable[str],
        request: provider_pb2.CreateRequest,
    ) -> NoReturn:
        """Fail, and let the engine keep what there is: the detail that azure-native and the bridge give, too."""
        outputs = (
            {**record.outputs, "provisioningState": "Failed"} if record.provider == "azure-native" else record.outputs
        )
        self._cloud.world.truth.change(record.provider, record.id, outputs=outputs, state="failed")
        text = self._wrapped("creating", record.urn, text)
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text)
        status.details.add().Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=record.id, properties=_state(outputs, secret), reasons=[text], inputs=request.properties
            )
        )
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.UNKNOWN, text)


def _token(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1]


def _failures(found: Iterable[sdk_types.Problem]) -> list[provider_pb2.CheckFailure]:
    # The engine shows only the property; the path within it goes into the reason.
    return [
        provider_pb2.CheckFailure(
            property=problem.property,
            reason=problem.reason if problem.path == problem.property else f"{problem.path}: {problem.reason}",
        )
        for problem in found
    ]


def _changed(olds: Values, news: Values, ignored: Iterable[str]) -> list[Path]:
    skipped = {name.split(".")[0].split("[")[0] for name in ignored}
    return [path for path in properties.changes(olds, news) if path[0] not in skipped]


def _state(outputs: Values, secret: Iterable[str]) -> Any:
    return wire.write({name: value for name, value in outputs.items() if name != DEFAULTS}, secret)


def _preview(token: str, inputs: Values, secret: Iterable[str]) -> Any:
    known = {name: value for name, value in inputs.items() if name != DEFAULTS}
    return wire.write(known, secret, computed_names(token, inputs))


def serve(cloud: Cloud, version: str) -> tuple[int, Callable[[], None]]:
    """Serve in threads of this process; return the port and what ends it."""
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(cloud, version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def end() -> None:
        server.stop(0).wait()

    return port, end
