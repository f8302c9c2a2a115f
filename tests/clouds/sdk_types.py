"""What the clouds' SDKs say of each resource and function, read from the installed packages by reflection.

The real plugins check inputs against the schema that these packages are generated from; the schema is not in them.
"""

import enum
import functools
import importlib
import inspect
import json
import re
import sys
import threading
import types
import typing
import warnings
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Union

import pulumi
from pulumi import _types
from pulumi.runtime import rpc

from tests.clouds.properties import DEFAULTS, UNKNOWN, Path, Values, shown

PACKAGES: Final = {"aws": "pulumi_aws", "azure-native": "pulumi_azure_native", "gcp": "pulumi_gcp"}

_NEW: Final = re.compile(
    r"forces? (a )?new|forces? replacement|creates? a new resource|requires replacement", re.IGNORECASE
)
_WIRE_NAME: Final = re.compile(r"__args__\['(\w+)'\] = (\w+)")
_HOST_KEYS: Final = frozenset(
    {"version", "pluginDownloadURL", "pluginChecksums", "name", "parameterization", "__internal"}
)

_LOCK: Final = threading.RLock()
"""The SDKs import their modules lazily and not thread-safely."""


class UnknownToken(Exception):  # noqa: N818 - named after the decision
    """The SDK has no such resource or function. The text names it."""


@dataclass(frozen=True)
class Problem:
    """One refused property: its path in the engine's syntax, and why."""

    path: str
    reason: str

    @property
    def property(self) -> str:
        """The top-level property, which is what the engine shows."""
        return re.split(r"[.\[]", self.path)[0]


@dataclass(frozen=True)
class Shape:
    """The properties of an object.

    Attributes:
        types: each property's name on the wire with its type.
        required: those that must be given.
    """

    types: Mapping[str, Any]
    required: frozenset[str]


@dataclass(frozen=True)
class ResourceType:
    """A resource as the SDK has it.

    Attributes:
        token: its type token.
        inputs: what may and must be given.
        outputs: the names on the wire of all properties that it has when it exists.
        forces_new: the inputs whose documentation says that a change makes a new resource.
    """

    token: str
    inputs: Shape
    outputs: frozenset[str]
    forces_new: tuple[str, ...]


def provider_of(token: str) -> str:
    """Return the provider's name in a token."""
    return token.split(":", maxsplit=1)[0]


def _import(name: str) -> types.ModuleType:
    """Import a module of an SDK without the warnings that some of them give out when they are only imported."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def _member(module: str, name: str) -> Any:
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(module), name)


@functools.cache
def _modules(provider: str) -> Mapping[str, tuple[str, str]]:
    """Return each resource's token with its Python module and class name."""
    _import(PACKAGES[provider])
    return {
        token: (module.mod_info["fqn"], name)  # type: ignore[attr-defined]
        for key, modules in rpc._RESOURCE_MODULES.items()
        if key.split(":")[0] == provider
        for module in modules
        for token, name in module.mod_info["classes"].items()  # type: ignore[attr-defined]
    }


def resource_type(token: str) -> ResourceType:
    """Return what the SDK says of a resource.

    Raises:
        UnknownToken: the SDK has no such resource.
    """
    with _LOCK:
        return _resource_type(token)


@functools.cache
def _resource_type(token: str) -> ResourceType:
    provider = provider_of(token)
    if provider not in PACKAGES or token not in _modules(provider):
        raise UnknownToken(f"the SDK has no resource {token!r}")
    module_name, name = _modules(provider)[token]
    cls = _member(module_name, name)
    module = sys.modules[cls.__module__]
    arguments = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    inputs = shape(arguments)
    wire_names = _types.resource_py_to_pulumi_names(cls)
    documented = {wire: getattr(arguments, python, None) for python, wire in wire_names.items()}
    return ResourceType(
        token=token,
        inputs=inputs,
        outputs=frozenset(wire_names.values()) - {"id", "urn"},
        forces_new=tuple(
            wire for wire in sorted(inputs.types) if _NEW.search(inspect.getdoc(documented.get(wire)) or "")
        ),
    )


@functools.cache
def provider_shape(provider: str) -> Shape:
    """Return what the SDK says of a provider's own configuration."""
    with _LOCK:
        _import(PACKAGES[provider])
        return shape(_import(f"{PACKAGES[provider]}.provider").ProviderArgs)


@functools.cache
def shape(arguments: type) -> Shape:
    """Return the properties of an input type."""
    wire_names = _types.input_type_py_to_pulumi_names(arguments)
    hints = _hints(arguments.__init__, sys.modules[arguments.__module__])  # type: ignore[misc]
    parameters = inspect.signature(arguments.__init__).parameters  # type: ignore[misc]
    return Shape(
        types={wire: hints[python] for python, wire in wire_names.items() if python in hints},
        required=frozenset(
            wire
            for python, wire in wire_names.items()
            if python in parameters and parameters[python].default is inspect.Parameter.empty
        ),
    )


def _hints(function: Any, module: types.ModuleType) -> dict[str, Any]:
    # `pulumi.Input` names `Output` as text, which the SDKs' modules do not import.
    return typing.get_type_hints(function, vars(module), {"Output": pulumi.Output, "T": type(None)})


def function_shape(token: str) -> Shape:
    """Return the arguments of a function. The SDK does not say which of them must be given.

    Raises:
        UnknownToken: the SDK has no such function.
    """
    with _LOCK:
        return _function_shape(token)


@functools.cache
def _function_shape(token: str) -> Shape:
    provider, path, name = token.split(":")
    folder = path.split("/")[0]
    python = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    parent = PACKAGES[provider] if folder == "index" else f"{PACKAGES[provider]}.{folder}"
    try:
        function = _member(parent, python)
    except (ImportError, AttributeError):
        raise UnknownToken(f"the SDK has no function {token!r}") from None
    hints = _hints(function, sys.modules[function.__module__])
    wire_names = {python: wire for wire, python in _WIRE_NAME.findall(inspect.getsource(function))}
    return Shape({wire: hints[python] for python, wire in wire_names.items() if python in hints}, frozenset())


def problems(given: Values, expected: Shape, path: Path = ()) -> Iterator[Problem]:
    """Yield what in a set of properties the SDK would not let through; unknown values pass."""
    for name in sorted(expected.required - given.keys()):
        yield Problem(shown((*path, name)), f"Missing required property '{name}'")
    for name, value in given.items():
        if name == DEFAULTS:
            continue
        if name not in expected.types:
            allowed = ", ".join(sorted(expected.types))
            yield Problem(shown((*path, name)), f"Unknown property '{name}'; allowed are: {allowed}")
        else:
            yield from _wrong(value, expected.types[name], (*path, name))


def configuration_problems(provider: str, given: Values) -> Iterator[Problem]:
    """Yield what in a provider's configuration the SDK would not let through. All but texts travel there as JSON."""
    decoded: Values = {}
    expected = provider_shape(provider)
    for name, value in given.items():
        if name in _HOST_KEYS:
            continue
        decoded[name] = value
        if isinstance(value, str) and value != UNKNOWN and str not in _alternatives(expected.types.get(name, Any)):
            try:
                decoded[name] = json.loads(value)
            except ValueError:
                decoded[name] = value
    yield from problems(decoded, expected)


def _wrong(value: Any, hint: Any, path: Path) -> list[Problem]:
    """Return why a value is none of a hint's types; the alternative that comes nearest speaks."""
    if value == UNKNOWN or value is None:
        return []
    found: list[list[Problem]] = []
    for kind in _alternatives(hint):
        of_kind = list(_wrong_for(value, kind, path))
        if not of_kind:
            return []
        found.append(of_kind)
    # An object that has the right form but a wrong property says more than "must be a text".
    return max(found, key=lambda reasons: len(reasons[0].path), default=[])


def _alternatives(hint: Any) -> list[Any]:
    """Return the plain types of a hint: without Optional, Awaitable, Output, and the SDK's doubles of one object."""
    if typing.get_origin(hint) in {Union, types.UnionType}:
        parts = [part for member in typing.get_args(hint) for part in _alternatives(member)]
        objects = [part for part in parts if isinstance(part, type) and _types.is_input_type(part)]
        if objects:
            parts = [part for part in parts if not _is_double(part)]
        return parts
    if hint is type(None) or typing.get_origin(hint) in {Awaitable, pulumi.Output} or hint is pulumi.Output:
        return []
    return [hint]


def _is_double(kind: Any) -> bool:
    return isinstance(kind, type) and (_types.is_output_type(kind) or typing.is_typeddict(kind))


def _wrong_for(value: Any, kind: Any, path: Path) -> Iterator[Problem]:
    origin = typing.get_origin(kind)
    if kind is str:
        yield from _unless(isinstance(value, str), value, "a text", path)
    elif kind is bool:
        yield from _unless(isinstance(value, bool), value, "true or false", path)
    elif kind is int:
        whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        yield from _unless(whole, value, "a whole number", path)
    elif kind is float:
        yield from _unless(isinstance(value, int | float) and not isinstance(value, bool), value, "a number", path)
    elif origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _unless(isinstance(value, dict), value, "a map", path)
        if isinstance(value, dict):
            for name, item in value.items():
                yield from _wrong(item, typing.get_args(kind)[1], (*path, name))
    elif origin is not None and isinstance(origin, type) and issubclass(origin, Sequence):
        yield from _unless(isinstance(value, list), value, "a list", path)
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _wrong(item, typing.get_args(kind)[0], (*path, index))
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        allowed = [member.value for member in kind]
        yield from _unless(value in allowed, value, f"one of {allowed}", path)
    elif isinstance(kind, type) and _types.is_input_type(kind):
        yield from _unless(isinstance(value, dict), value, "an object", path)
        if isinstance(value, dict):
            yield from problems(value, shape(kind), path)
    # What is left (Any, assets, resources) travels in forms that no annotation describes.


def _unless(fits: bool, value: Any, wanted: str, path: Path) -> Iterator[Problem]:
    if not fits:
        yield Problem(shown(path), f"must be {wanted}; given: {value!r}")
