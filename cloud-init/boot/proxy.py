"""The TLS proxy before vLLM (nginx): lets OpenAI's routes, /health and /metrics through, each only with the API key.

vLLM's own `--api-key` leaves routes such as /tokenize and /invocations open
(https://docs.vllm.ai/en/latest/usage/security/), so that it is not enough by itself.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boot.settings import Settings

FOLDER = "/etc/liftoff/proxy"
WITHDRAWN = "/run/liftoff/withdrawn"
"""While this file exists, every new request is answered 503; a reboot forgets it."""

_RETRY_AFTER_SECONDS = 30

ROUTES = (
    "models(/[^/]+(/[^/]+)?)?",
    "completions",
    "chat/completions",
    "embeddings",
    "responses(/[^/]+(/cancel)?)?",
    "audio/(transcriptions|translations)",
    "score",
    "rerank",
    "moderations",
)
"""What is let through below /v1/; a pattern each."""

_CONFIG = """# Written by the boot program.
{user}
worker_processes auto;
pid {run}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    server_tokens off;
    # Nothing that a client sends is written down: prompts are private, and headers hold the key.
    access_log off;
    default_type application/json;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    client_max_body_size 64m;
    keepalive_timeout 75s;
    include {folder}/key.conf;
    upstream vllm {{ server 127.0.0.1:{backend}; keepalive 64; }}
    server {{
        listen {listen}:{port} ssl;
        http2 on;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:1m;
        add_header Strict-Transport-Security "max-age=31536000" always;
        error_page 401 @unauthorized;
        error_page 404 @not_found;
        error_page 418 = @withdrawn;
        error_page 502 503 504 @starting;
        location @unauthorized {{ return 401 '{unauthorized}'; }}
        location @not_found {{ return 404 '{not_found}'; }}
        location @starting {{ return 503 '{starting}'; }}
        location @withdrawn {{
            # With 0 nginx sends `Connection: close`: the client has to look where else the model is.
            keepalive_timeout 0;
            add_header Retry-After {retry} always;
            # Where a location adds a header, those of the server are not inherited.
            add_header Strict-Transport-Security "max-age=31536000" always;
            return 503 '{withdrawn}';
        }}
        location / {{ return 404; }}
        location ~ ^(/health|/metrics|/v1/({routes}))$ {{
            if ($liftoff_allowed = 0) {{ return 401; }}
            # Looked up for each request, so that those in flight and their connections go on as they are.
            if (-f "{flag}") {{ return 418; }}
            proxy_pass http://vllm;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            # Tokens go out as they come.
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 3600s;
            proxy_send_timeout 3600s;
        }}
    }}
}}
"""


def render(settings: Settings, backend: int, *, modern: bool = False) -> str:
    """Return nginx's configuration."""
    config = _CONFIG.format(
        user=_user(settings),
        run=settings.at("/run/liftoff-proxy"),
        folder=settings.at(FOLDER),
        backend=backend,
        # Plain processes share the host's addresses: they are for this host alone.
        listen="0.0.0.0" if settings.on_machine else "127.0.0.1",
        port=settings.port,
        routes="|".join(ROUTES),
        unauthorized=_error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        not_found=_error("This route is not served.", "invalid_request_error", "unknown_url"),
        flag=settings.at(WITHDRAWN),
        retry=_RETRY_AFTER_SECONDS,
        withdrawn=_error("The cloud takes this machine back.", "server_error", "interrupted"),
        starting=_error("The model is not ready.", "server_error", "not_ready"),
    )
    # `http2 on` came with nginx 1.25.1; before, it stands with `listen`.
    return config if modern else config.replace("        http2 on;\n", "").replace(" ssl;\n", " ssl http2;\n", 1)


def _user(settings: Settings) -> str:
    """Return as whom nginx's workers run: they have to see the flag below `root`, which is for its owner alone."""
    if settings.on_machine:
        return "user www-data;"
    return "user root;" if os.geteuid() == 0 else ""


def _error(message: str, kind: str, code: str) -> str:
    """Return an error in the shape that OpenAI's clients understand."""
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def render_key(api_key: str) -> str:
    """Return the map that knows the key: as a pattern, since nginx ignores the case of plain texts in a map."""
    return f'map $http_authorization $liftoff_allowed {{ default 0; "~^Bearer {re.escape(api_key)}$" 1; }}\n'


def withdraw(settings: Settings) -> None:
    """Let the proxy answer 503 to every new request from now on; those in flight go on."""
    flag = settings.at(WITHDRAWN)
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.touch()


def write(settings: Settings, backend: int) -> None:
    """Write configuration, key and certificate; only root may read them. What was withdrawn is served again."""
    settings.at(WITHDRAWN).unlink(missing_ok=True)
    folder = settings.at(FOLDER)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.at("/run/liftoff-proxy").mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("nginx.conf", render(settings, backend)),
        ("key.conf", render_key(settings.api_key)),
        ("certificate.pem", settings.tls_certificate),
        ("key.pem", settings.tls_key),
    ):
        write_private(folder / name, text)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
