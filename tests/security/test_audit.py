"""What is locked can be audited, and an audit that could not be made is none."""

import http.server
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import audit


def test_everything_that_is_locked_is_audited_by_its_hash(tmp_path: Path) -> None:
    lock = tomllib.loads((audit.ROOT / "uv.lock").read_text())
    others = [package for package in lock["package"] if package["name"] != "liftoff"]
    assert len(others) > 100
    for package in others:
        assert package["source"] == {"registry": "https://pypi.org/simple"}, package["name"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
    export, of_lock, *of_nodes = audit.commands("uv", tmp_path)
    assert export[export.index("--output-file") + 1] == of_lock[-1]
    assert "--require-hashes" in of_lock
    assert [Path(command[-1]).name for command in of_nodes] == list(audit.ON_NODES)
    # Else what can't be looked up would pass.
    assert all("--strict" in command for command in (of_lock, *of_nodes))


@pytest.mark.parametrize("name", audit.ON_NODES)
def test_everything_that_a_node_installs_has_one_version(name: str) -> None:
    lines = [line for line in (audit.ROOT / "images" / name).read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 100
    assert [line for line in lines if line.count("==") != 1] == []


@contextmanager
def _database(status: int, body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{{name}}/{{version}}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b'{"vulnerabilities": []}', ""),
        (200, b'{"info": {}}', "answers 200, but not as an advisory database does"),
        (404, b"not here", "answers 404, but not as an advisory database does"),
        (200, b"<html>", "can't be reached: JSONDecodeError"),
    ],
)
def test_without_an_advisory_database_nothing_counts_as_audited(
    status: int, body: bytes, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _database(status, body) as url:
        told = audit.why_not(url)
    assert told.endswith(reason)
    assert bool(told) == bool(reason)
    if reason:
        monkeypatch.setattr(audit, "why_not", lambda: told)
        assert audit.main() == 1
        assert "nothing was audited" in capsys.readouterr().err


def test_ci_audits_what_is_locked() -> None:
    jobs = yaml.safe_load((audit.ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    assert jobs["audit"]["steps"][-1]["run"] == "make audit"
    assert "tests.security.audit" in (audit.ROOT / "Makefile").read_text()
