"""Prints the distributions installed for the Python that runs it, with their Pulumi plugins, as JSON.

The language host hands this text to the program's Python, which may be another one than its own: it may
import nothing but the standard library.
"""

import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path
from typing import Any


def _plugin(module: str) -> dict[str, Any] | None:
    """Return the `pulumi-plugin.json` of the top-level package `module`, or None."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    for location in (spec.submodule_search_locations or []) if spec else []:
        path = Path(location) / "pulumi-plugin.json"
        if path.is_file():
            plugin: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return plugin
    return None


def _listing() -> list[dict[str, Any]]:
    required: set[str] = set()
    found: dict[str, dict[str, Any]] = {}
    for distribution in importlib.metadata.distributions():
        raw = distribution.metadata["Name"]
        if not raw:
            continue
        name = re.sub(r"[-_.]+", "-", raw).lower()  # PEP 503
        for requirement in distribution.requires or []:
            if "extra ==" not in requirement:
                head = re.match(r"[A-Za-z0-9._-]+", requirement)
                if head:
                    required.add(re.sub(r"[-_.]+", "-", head.group()).lower())
        # The first one on sys.path is the one that an import gets.
        found.setdefault(
            name, {"name": name, "version": distribution.version, "plugin": _plugin(raw.replace("-", "_"))}
        )
    return [{**entry, "required": entry["name"] in required} for _, entry in sorted(found.items())]


if __name__ == "__main__":
    print(json.dumps(_listing()))
