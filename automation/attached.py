"""What an engine finds running instead of starting it: Liftoff's own plugin, in the process that drives the engine.

A plugin of its own would be one Python more for each operation, which imports what this process has imported. By hand
(`pulumi up`) the engine starts the same plugin as `pulumi-resource-liftoff`. The engine looks for both in its
environment: https://www.pulumi.com/docs/iac/using-pulumi/continuous-delivery/debugging/#attaching-a-debugger
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any, Final

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from provider import server
from provider.resources import resources

_PROVIDERS: Final = "PULUMI_DEBUG_PROVIDERS"
_LANGUAGES: Final = "PULUMI_DEBUG_LANGUAGES"


class _NoProgram(language_pb2_grpc.LanguageRuntimeServicer):
    """A language host that is asked for nothing that matters.

    Where no program runs (destroy, refresh) the engine asks for the packages of one, only to warn of newer ones; a
    host that does not know them is as good as one that lists the whole environment.
    """

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> language_pb2.LanguageHandshakeResponse:
        """Agree."""
        return language_pb2.LanguageHandshakeResponse()


@contextmanager
def attached(given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Serve the plugin for the time of one operation, and yield the engine's environment with where it is."""
    plugin = server.Plugin(server.Engine(), resources, metadata.version("liftoff"), _beside)
    own = {_PROVIDERS: f"liftoff:{plugin.port}", _LANGUAGES: f"python:{plugin.port}"}
    try:
        # Somebody else's may be attached, too.
        others = {name: given.get(name) or os.environ.get(name) for name in own}
        yield {**given, **{name: ",".join(filter(None, (others[name], value))) for name, value in own.items()}}
    finally:
        # An engine that was killed has told nobody to end.
        plugin.stop().wait()


def _beside(running: grpc.Server) -> None:
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(_NoProgram(), running)
