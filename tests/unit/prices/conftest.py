"""The clouds' APIs on this machine: moto for Amazon, small HTTP servers for the lists of Azure and Google."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests

from automation.cloud_api.gcp import Gcp

Answers = Callable[[str, dict[str, str]], Any]
"""Returns what a GET of a path with a query is answered: JSON, or a status alone."""


class Api:
    """An HTTP server that answers GET with JSON, and remembers what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                api.asked.append((url.path, query))
                answer = answers(url.path, query)
                status, body = (answer, {}) if isinstance(answer, int) else (200, answer)
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *values: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], Api]]:
    made: list[Api] = []

    def start(answers: Answers) -> Api:
        made.append(Api(answers))
        return made[-1]

    yield start
    for api in made:
        api.close()


class _Rerouted:
    """Sends what is meant for Google to a server of a test."""

    def __init__(self, url: str) -> None:
        self._url = url

    def request(self, method: str, url: str, **options: Any) -> Any:
        parts = urlsplit(url)
        return requests.request(method, url.replace(f"{parts.scheme}://{parts.netloc}", self._url), **options)


def google(api: Api) -> Gcp:
    return Gcp("a-project", _Rerouted(api.url))


@pytest.fixture(scope="session")
def _moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def amazon(_moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Amazon's API as moto knows it; its prices are all 0.00001 USD/hour."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", _moto)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return _moto


@pytest.fixture(autouse=True)
def _nobody_has_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("home")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "GOOGLE_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "config"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(empty))
    monkeypatch.setenv("LIFTOFF_STATE", str(empty / "state"))
    monkeypatch.delenv("LIFTOFF_CATALOG_PRICES", raising=False)
