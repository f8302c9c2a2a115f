"""vLLM behind a TLS proxy: started, followed until it answers a completion, and drained when it is stopped."""

from __future__ import annotations

import json
import re
import ssl
import time
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING

from boot import proxy, services
from boot.failure import BootFailed

if TYPE_CHECKING:
    from boot.board import Board
    from boot.settings import Settings

BACKEND_PORT = 8000
_ASK_SECONDS = 0.5
_LOOK_SECONDS = 0.2

# What vLLM's log says on its way, in order (vllm 0.32: v1/engine/core.py, model_executor/model_loader, entrypoints).
MILESTONES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("vLLM has been imported", re.compile(r"vLLM server version|vLLM API server version|version \d+\.\d+")),
    ("engine is starting", re.compile(r"Initializing a V\d LLM engine")),
    ("weights are being loaded", re.compile(r"Starting to load model|Loading (safetensors|weights)")),
    ("weights are loaded", re.compile(r"Loading weights took|Model loading took")),
    ("KV cache is ready", re.compile(r"KV cache size|Maximum concurrency")),
    ("engine is ready", re.compile(r"init engine .* took|Application startup complete|Started server process")),
    ("server is listening", re.compile(r"Application startup complete|Uvicorn running")),
)
_SHARDS = re.compile(r"checkpoint shards:\s+(\d+)% Completed \| (\d+)/(\d+)")


class Progress:
    """How far vLLM's start is, read from its log."""

    def __init__(self) -> None:
        self.reached = 0
        self.message = "vLLM is being imported"

    @property
    def total(self) -> int:
        """The number of steps: the milestones and the first completion."""
        return len(MILESTONES) + 1

    def read(self, line: str) -> bool:
        """Take a line of the log; return whether it said something new."""
        if match := _SHARDS.search(line):
            self.message = f"{match[2]} of {match[3]} shards loaded"
            return True
        for index, (message, pattern) in reversed(list(enumerate(MILESTONES))):
            if index >= self.reached and pattern.search(line):
                self.reached, self.message = index + 1, message
                return True
        return False


def command(settings: Settings, weights: Path, python: Path) -> list[str]:
    """Return how vLLM's server is started."""
    # The module and not the `vllm` command: the CPU build's wheel lacks the metadata that the command looks for.
    arguments = [str(python), "-m", "vllm.entrypoints.openai.api_server"]
    arguments += ["--model", str(weights), "--served-model-name", settings.model]
    arguments += ["--host", "127.0.0.1", "--port", str(BACKEND_PORT)]
    arguments += ["--shutdown-timeout", str(services.DRAIN_SECONDS), "--disable-access-log-for-endpoints", "/health"]
    if settings.max_model_len:
        arguments += ["--max-model-len", str(settings.max_model_len)]
    return [*arguments, *settings.vllm_arguments]


def environment(settings: Settings) -> dict[str, str]:
    """Return vLLM's environment: no hub, no usage statistics, and the key that the proxy asks for as well."""
    return {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        **settings.vllm_environment,
        "VLLM_API_KEY": settings.api_key,
    }


def run(settings: Settings, weights: Path, board: Board, control: services.Services) -> None:
    """Start vLLM and the proxy, and return when a completion has been answered through both.

    Raises:
        BootFailed: vLLM or the proxy ended, or the answer was no completion.
    """
    progress = Progress()
    board.begin("serve", progress.total, "steps", progress.message)
    python = settings.at("/opt/liftoff/venv/bin/python")
    proxy.write(settings, BACKEND_PORT)
    control.start_vllm(command(settings, weights, python), environment(settings))
    control.start_proxy()
    asked = 0.0
    while True:
        for line in control.new_lines():
            board.say(f"vllm: {line}")
            if progress.read(line):
                board.advance("serve", progress.reached, progress.message)
        if reason := control.ended():
            for line in control.new_lines():
                board.say(f"vllm: {line}")
            raise BootFailed(
                "serve_failed",
                "serve",
                f"{reason}",
                "look at its last lines; vllmArguments and maxModelLen are yours, memory is the instance type's",
            )
        listening = progress.reached >= len(MILESTONES)
        if listening and time.monotonic() - asked > _ASK_SECONDS:
            asked = time.monotonic()
            refusal = complete(settings)
            if refusal is None:
                break
            board.say(f"boot: no completion yet: {refusal}")
        time.sleep(_LOOK_SECONDS)
    board.finish("serve", "a completion was answered")


def complete(settings: Settings) -> str | None:
    """Ask for one token through the proxy; return why there was none, or None.

    Raises:
        BootFailed: vLLM answered that it can't, which it will not take back.
    """
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(cadata=settings.tls_certificate)
    trusted.check_hostname = False  # asked on the loopback address, which is not in the certificate
    connection = HTTPSConnection("127.0.0.1", settings.port, timeout=60, context=trusted)
    body = json.dumps({"model": settings.model, "prompt": "Hello", "max_tokens": 1})
    headers = {"Authorization": f"Bearer {settings.api_key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/completions", body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
    if response.status in (502, 503, 504):
        return f"HTTP {response.status}"
    try:
        if response.status == 200 and isinstance(json.loads(answer)["choices"][0]["text"], str):
            return None
    except (ValueError, LookupError, TypeError):
        pass
    raise BootFailed(
        "serve_failed",
        "serve",
        f"vLLM listens, but gave no completion: HTTP {response.status}: {answer[:300].decode(errors='replace')}",
        "the model may be none that completes text, or it does not fit: look at vLLM's last lines",
    )
