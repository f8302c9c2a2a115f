"""Answers the engine's questions about Python programs (gRPC service `LanguageRuntime`)."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import language_pb2, plugin_pb2
from pulumi.runtime.proto.language_pb2_grpc import LanguageRuntimeServicer
from typing_extensions import override

from .dependencies import install_dependencies
from .environments import PythonEnvironment, RuntimeOptions, find_environment
from .errors import HostError
from .packages import list_distributions, required_plugins
from .programs import Execution, Programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .packages import Parameterization


class LanguageHost(LanguageRuntimeServicer):
    """Serves one engine; `executor` is Pulumi's own script that runs a program inside its Python."""

    def __init__(self, executor: Path, engine_address: str) -> None:
        self._executor = executor
        self._engine_address = engine_address
        self._programs = Programs()

    def cancel(self) -> None:
        """End the programs that run now."""
        self._programs.cancel()

    @override
    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Learn the engine's address, where the engine attached to a host that runs already."""
        self._engine_address = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    @override
    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version: that of the SDK, which is one with the engine's."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    @override
    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Return the packages whose plugins the engine should have before the program runs."""
        try:
            plugins = required_plugins(list_distributions(_environment(request.info)))
        except HostError as error:
            _refuse(context, error)
        return language_pb2.GetRequiredPackagesResponse(
            packages=[
                plugin_pb2.PackageDependency(
                    name=plugin.name,
                    kind="resource",
                    version=plugin.version,
                    server=plugin.server,
                    parameterization=_parameterization(plugin.parameterization),
                    extension=_parameterization(plugin.extension),
                )
                for plugin in plugins
            ]
        )

    @override
    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """Return the same as plugins, for engines that don't ask for packages."""
        try:
            plugins = required_plugins(list_distributions(_environment(request.info)))
        except HostError as error:
            _refuse(context, error)
        return language_pb2.GetRequiredPluginsResponse(
            plugins=[
                plugin_pb2.PluginDependency(
                    name=plugin.name, kind="resource", version=plugin.version, server=plugin.server
                )
                for plugin in plugins
            ]
        )

    @override
    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program to its end."""
        if request.attach_debugger:
            message = "this language host attaches no debugger; install the official Pulumi to debug a program"
            return language_pb2.RunResponse(error=message)
        execution = Execution(
            executor=self._executor,
            monitor=request.monitor_address,
            engine=self._engine_address,
            project=request.project,
            stack=request.stack,
            organization=request.organization,
            root=request.info.root_directory,
            pwd=request.pwd,
            dry_run=request.dryRun,
            parallel=request.parallel,
            program=request.info.entry_point,
            arguments=list(request.args),
            config=dict(request.config),
            config_secret_keys=list(request.configSecretKeys),
        )
        try:
            outcome = self._programs.run(execution, _environment(request.info))
        except HostError as error:
            return language_pb2.RunResponse(error=str(error))
        return language_pb2.RunResponse(error=outcome.error, bail=outcome.bail)

    @override
    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        """End the programs that run now and start no more."""
        self.cancel()
        return Empty()

    @override
    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install what the program declares, with the installer's output as a stream."""
        root, program = _folders(request.info)
        try:
            for output in install_dependencies(root, program, _options(request.info)):
                yield language_pb2.InstallDependenciesResponse(stdout=output)
        except HostError as error:
            _refuse(context, error)

    @override
    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """Ask nothing: the options that this host knows all have a default."""
        return language_pb2.RuntimeOptionsResponse()

    @override
    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        """Return which Python runs the program."""
        if not request.HasField("info"):
            return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())
        try:
            environment = _environment(request.info)
        except HostError as error:
            _refuse(context, error)
        return language_pb2.AboutResponse(
            executable=str(environment.python),
            version=_python_version(environment, context),
            metadata={"host": "built from source"},
        )

    @override
    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """Return the Python packages of the program; all of them, or those that no other one needs."""
        try:
            distributions = list_distributions(_environment(request.info))
        except HostError as error:
            _refuse(context, error)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=found.name, version=found.version)
                for found in distributions
                if request.transitiveDependencies or not found.required
            ]
        )


def _refuse(context: grpc.ServicerContext, error: HostError) -> NoReturn:
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    raise AssertionError  # abort() always raises


def _folders(info: language_pb2.ProgramInfo) -> tuple[Path, Path]:
    return Path(info.root_directory), Path(info.program_directory)


def _options(info: language_pb2.ProgramInfo) -> RuntimeOptions:
    options: dict[str, Any] = MessageToDict(info.options)
    return RuntimeOptions.parse(options)


def _environment(info: language_pb2.ProgramInfo) -> PythonEnvironment:
    root, program = _folders(info)
    return find_environment(root, program, _options(info), os.environ)


def _parameterization(found: Parameterization | None) -> plugin_pb2.PackageParameterization | None:
    if found is None:
        return None
    return plugin_pb2.PackageParameterization(name=found.name, version=found.version, value=found.value)


def _python_version(environment: PythonEnvironment, context: grpc.ServicerContext) -> str:
    try:
        done = subprocess.run(
            [environment.python, "-c", "import platform; print(platform.python_version())"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _refuse(context, HostError(f"{environment.python} does not run: {error}"))
    return done.stdout.strip()
