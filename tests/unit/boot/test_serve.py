"""vLLM is started as told, followed by its own log, and reached only through the proxy with the key."""

import datetime as dt
import http.client
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from boot import proxy, serve, services, settings

from provider import certificate

KEY = "sk-liftoff-0123456789ABCDEF"


def settings_of(pair: certificate.KeyPair, root: Path, port: int) -> settings.Settings:
    return settings.Settings(
        run_id="run",
        mailbox_url="https://x/m",
        session_url="https://x/s",
        session_sha256="0" * 64,
        storage_ca=None,
        provider="local",
        gpu_driver=None,
        model="org/model",
        max_model_len=512,
        vllm_arguments=("--dtype", "float32"),
        vllm_environment={"VLLM_CPU_KVCACHE_SPACE": "1"},
        packages=(),
        boot_deadline_seconds=60,
        expires_at="2030-01-01T00:00:00Z",
        port=port,
        server_name="127.0.0.1",
        api_key=KEY,
        tls_certificate=pair.certificate,
        tls_key=pair.key,
        root=str(root),
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"choices": [{"text": "!"}], "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the library calls it so

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[settings.Settings]:
    """A real nginx with our configuration before a backend that answers everything."""
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.fail("nginx is not installed: make packages")
    pair = certificate.self_signed(("127.0.0.1",), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    given = settings_of(pair, tmp_path_factory.mktemp("root"), free_port())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as backend:
        thread = threading.Thread(target=backend.serve_forever, args=(0.02,))
        thread.start()
        proxy.write(given, backend.server_port)
        children = services.Children(given)
        children.start_proxy()
        while _status(given, "GET", "/health", KEY) == 0:
            assert children.ended() is None
        yield given
        children.stop()
        backend.shutdown()
        thread.join()


def _status(given: settings.Settings, method: str, path: str, key: str | None, scheme: str = "Bearer") -> int:
    context = ssl.create_default_context(cadata=given.tls_certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", given.port, context=context, timeout=5)
    headers = {"Authorization": f"{scheme} {key}"} if key else {}
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


OPEN = [
    "/health",
    "/metrics",
    "/v1/models",
    "/v1/models/org/model",
    "/v1/completions",
    "/v1/chat/completions",
    "/v1/embeddings",
]


@pytest.mark.parametrize("path", OPEN)
def test_openais_routes_answer_with_the_key(served: settings.Settings, path: str) -> None:
    assert _status(served, "POST", path, KEY) == 200


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("key", [None, "", "wrong", KEY.lower(), KEY[:-1], KEY + "x", f"{KEY} {KEY}"])
def test_no_route_answers_without_exactly_the_key(served: settings.Settings, path: str, key: str | None) -> None:
    assert _status(served, "GET", path, key) == 401


def test_another_scheme_is_no_bearer(served: settings.Settings) -> None:
    assert _status(served, "GET", "/v1/models", KEY, "Basic") == 401


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/tokenize",
        "/invocations",
        "/pause",
        "/v1",
        "/v1/",
        "/v1/load_lora_adapter",
        "/docs",
        "/ping",
        "/v1/models/../../tokenize",
        "/v1//../tokenize",
        "/health/../tokenize",
        "/v1/completions/render",
        "//tokenize",
    ],
)
def test_every_other_route_is_closed_even_with_the_key(served: settings.Settings, path: str) -> None:
    assert _status(served, "GET", path, KEY) in (400, 404)


def test_readiness_on_the_node_is_a_completion_through_the_proxy(served: settings.Settings) -> None:
    assert serve.complete(served) is None


def test_without_vllm_behind_it_the_proxy_says_that_it_is_not_ready(served: settings.Settings) -> None:
    assert serve.complete(replace(served, port=free_port())) == "ConnectionRefusedError"


def test_keys_are_readable_by_their_owner_alone(served: settings.Settings) -> None:
    for path in served.at(proxy.FOLDER).iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_the_machines_configuration_is_accepted_by_nginx(tmp_path: Path, served: settings.Settings) -> None:
    config = proxy.render(served, 8000).replace("listen 127.0.0.1", "listen 0.0.0.0")
    (tmp_path / "nginx.conf").write_text(config)
    checked = subprocess.run(
        ["/usr/sbin/nginx", "-t", "-q", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_vllm_listens_on_loopback_alone_and_its_key_is_no_argument(served: settings.Settings) -> None:
    command = serve.command(served, Path("/srv/w"), Path("/venv/bin/python"))
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[-2:] == ["--dtype", "float32"]
    assert KEY not in " ".join(command)
    assert serve.environment(served)["VLLM_API_KEY"] == KEY


@pytest.mark.parametrize("text", ["plain", "with space", 'quote"', "back\\slash", "100%", "$HOME", "a\nb", "%i", "'"])
def test_an_argument_reaches_a_unit_as_it_is(text: str) -> None:
    quoted = services.unit_argument(text)
    assert quoted[0] == quoted[-1] == '"'
    assert "\n" not in quoted
    unquoted = quoted[1:-1].replace("%%", "%").replace("$$", "$")
    assert unquoted.encode().decode("unicode_escape") == text


def test_the_log_of_a_real_start_moves_from_step_to_step() -> None:
    progress = serve.Progress()
    lines = (Path(__file__).parent / "vllm-0.32.log").read_text().splitlines()
    reached = [progress.reached for line in lines if progress.read(line)]
    assert reached == sorted(reached)
    assert reached[-1] == len(serve.MILESTONES)
    assert len(set(reached)) >= 5
