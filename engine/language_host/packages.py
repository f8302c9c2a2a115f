"""Which Pulumi packages and plugins a program's Python environment brings."""

from __future__ import annotations

import base64
import importlib.resources
import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import HostError

if TYPE_CHECKING:
    from .environments import PythonEnvironment

LISTING_SECONDS = 60.0

# Packages named like a provider's that have no plugin and say so nowhere (pulumi/pulumi#5863).
_WITHOUT_PLUGIN = frozenset({"pulumi-policy", "pulumi-esc-sdk"})

# https://peps.python.org/pep-0440/ without epochs, which no plugin version can express.
_VERSION = re.compile(
    r"(?P<release>\d+(?:\.\d+)*)(?:(?P<kind>a|b|rc)(?P<pre>\d+))?(?:\.post(?P<post>\d+))?(?:\.dev(?P<dev>\d+))?"
)
_PRE_RELEASES = {"a": "alpha", "b": "beta", "rc": "rc"}


@dataclass(frozen=True)
class Distribution:
    """An installed distribution; `plugin` is its pulumi-plugin.json, `required` if another one needs it."""

    name: str
    version: str
    plugin: dict[str, Any] | None
    required: bool


@dataclass(frozen=True)
class Parameterization:
    """How a base plugin becomes a package; `value` is opaque to all but the plugin."""

    name: str
    version: str
    value: bytes


@dataclass(frozen=True)
class PluginDependency:
    """A resource plugin that a program needs; `server` is empty for Pulumi's own."""

    name: str
    version: str
    server: str = ""
    parameterization: Parameterization | None = None
    extension: Parameterization | None = None


def list_distributions(environment: PythonEnvironment) -> list[Distribution]:
    """List what is installed for the program's Python, by name.

    Raises:
        HostError: that Python does not run, or takes longer than `LISTING_SECONDS`.
    """
    script = importlib.resources.files(__package__).joinpath("installed.py").read_text(encoding="utf-8")
    try:
        done = subprocess.run(
            [environment.python, "-c", script],
            env=environment.variables(os.environ),
            capture_output=True,
            check=True,
            timeout=LISTING_SECONDS,
        )
    except OSError as error:
        message = f"{environment.python} does not run: {error}. Run `make setup` to make the environment again."
        raise HostError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{environment.python} did not list its packages within {LISTING_SECONDS:.0f} s"
        raise HostError(message) from error
    except subprocess.CalledProcessError as error:
        detail = error.stderr.decode(errors="replace").strip()
        message = f"{environment.python} could not list its packages (exit {error.returncode}): {detail}"
        raise HostError(message) from error
    return [Distribution(**entry) for entry in json.loads(done.stdout)]


def required_plugins(distributions: list[Distribution]) -> list[PluginDependency]:
    """Return the resource plugins that the installed Pulumi packages stand for."""
    found = (plugin_of(distribution) for distribution in distributions)
    return [plugin for plugin in found if plugin is not None]


def plugin_of(distribution: Distribution) -> PluginDependency | None:
    """Return the plugin of one distribution, or None where it has none.

    The rules are those of Pulumi's own host: pulumi-plugin.json decides; without one, a name that starts with
    `pulumi-` does, and the version is derived from the distribution's.
    """
    plugin = distribution.plugin
    if distribution.name in _WITHOUT_PLUGIN:
        return None
    if plugin is None:
        if not distribution.name.startswith("pulumi-"):
            return None
        plugin = {"resource": True}
    if not plugin.get("resource"):
        return None
    version = plugin.get("version") or plugin_version(distribution.version)
    if not version:
        return None
    return PluginDependency(
        name=plugin.get("name") or distribution.name.removeprefix("pulumi-"),
        version=version if version.startswith("v") else f"v{version}",
        server=plugin.get("server") or "",
        parameterization=_parameterization(plugin.get("parameterization")),
        extension=_parameterization(plugin.get("extensionParameterization")),
    )


def plugin_version(version: str) -> str | None:
    """Turn a Python version into a plugin's (`1.2a3` into `1.2.0-alpha.3`); None if it has no such form."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    release = match["release"].split(".")
    parts = [".".join(release + ["0"] * (3 - len(release)))]
    if match["kind"]:
        parts.append(f"-{_PRE_RELEASES[match['kind']]}.{match['pre']}")
    build = "".join(f"{word}{match[word]}" for word in ("post", "dev") if match[word])
    if build:
        parts.append(f"+{build}")
    return "".join(parts)


def _parameterization(raw: dict[str, str] | None) -> Parameterization | None:
    if not raw:
        return None
    return Parameterization(raw["name"], raw["version"], base64.b64decode(raw["value"]))
