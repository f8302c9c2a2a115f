"""A stack's outputs, and how to talk to its endpoint without the key being seen in the list of processes."""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from automation import backend
from automation.errors import Kind, Stopped
from provider import places

WITHOUT_NODE: Final = frozenset({"stack_missing", "no_node"})
"""Codes with which a stack is refused that has no node, or no more."""


def read(project: Path, stack: str, name: str | None = None, *, show_secrets: bool) -> dict[str, Any]:
    """Return the outputs of the last update; without `show_secrets` each secret is `[secret]`.

    Raises:
        Stopped: there is no such stack, node or output, or the state can't be read.
    """
    command = [str(backend.engine_folder() / "pulumi"), "--non-interactive", "stack", "output", "--json"]
    command += ["--stack", stack, *(["--show-secrets"] if show_secrets else [])]
    environment = {**os.environ, **backend.environment(os.environ)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        _require(found, stack, name)
        return found
    text = done.stderr.strip().removeprefix("error: ")
    missing = "no stack named" in text
    raise Stopped(
        Kind.CONFIGURATION if missing else Kind.UNKNOWN,
        "stack_missing" if missing else "state_unreadable",
        f"the outputs of stack {stack!r} can't be read: {text}",
        f"launch it first: liftoff launch --stack {stack}" if missing else "see what the text says",
    )


def _require(found: Mapping[str, Any], stack: str, name: str | None) -> None:
    if "endpoint" not in found:
        raise Stopped(
            Kind.CONFIGURATION,
            "no_node",
            f"stack {stack!r} has no node",
            f"launch it first: liftoff launch --stack {stack}",
        )
    if name is not None and name not in found:
        raise Stopped(
            Kind.CONFIGURATION,
            "output_unknown",
            f"given output {name!r}; allowed: {', '.join(sorted(found))}",
            "correct the name",
        )


def certificate_file(stack: str, outputs: Mapping[str, Any]) -> Path | None:
    """Write the node's certificate to a file that clients can pin, and return its path."""
    certificate = outputs.get("certificate")
    if not isinstance(certificate, str):
        return None
    folder = places.state_folder() / "certificates"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{stack.replace('/', '.')}.pem"
    if not path.exists() or path.read_text() != certificate:
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(certificate)
        partial.replace(path)
    return path


def curl_config(outputs: Mapping[str, Any], certificate: Path | None) -> str:
    """Return a config file for curl: the pinned certificate and the key, which so is in no process's arguments."""
    lines = ['header = "Content-Type: application/json"', f'header = "Authorization: Bearer {outputs["apiKey"]}"']
    if certificate is not None:
        lines.append(f'cacert = "{certificate}"')
    return "\n".join(lines)


def curl_command(stack: str, outputs: Mapping[str, Any]) -> str:
    """Return the command that asks the endpoint for a completion, for any POSIX shell."""
    body = json.dumps({"model": outputs.get("model"), "prompt": "Hello", "max_tokens": 16})
    return (
        f"liftoff outputs --stack {shlex.quote(stack)} --curl | "
        f"curl --config - {shlex.quote(str(outputs.get('endpoint')) + '/v1/completions')} --data {shlex.quote(body)}"
    )


def python_lines(stack: str, outputs: Mapping[str, Any], certificate: Path | None) -> str:
    """Return how an OpenAI client is pointed at the endpoint."""
    key = f"$(liftoff outputs apiKey --stack {shlex.quote(stack)} --show-secrets)"
    trusted = f" SSL_CERT_FILE={shlex.quote(str(certificate))}" if certificate is not None else ""
    return (
        f'export OPENAI_BASE_URL={shlex.quote(str(outputs.get("endpoint")) + "/v1")} OPENAI_API_KEY="{key}"{trusted}\n'
        f"python -c 'from openai import OpenAI; "
        f'print(OpenAI().completions.create(model="{outputs.get("model")}", prompt="Hello"))\''
    )
