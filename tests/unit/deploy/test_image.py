"""The image: what it is built from is there, pinned and enough; and the container ends when its engines have."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
DEADLINE_SECONDS = 60.0


def copied() -> list[str]:
    """Return what is copied into the image from the project."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_the_dockerfile_passes_hadolint() -> None:
    found = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([found, "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_everything_that_is_copied_exists_and_is_let_in() -> None:
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert set(copied()) == let_in


def test_images_are_pinned_by_version() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert images
    assert [image for image in images if not re.search(r":\d+\.\d+\.\d+", image)] == []


def test_it_is_built_with_the_same_uv_as_the_project() -> None:
    (uv,) = re.findall(r"astral-sh/uv:(\S+)", DOCKERFILE)
    assert f"UV_VERSION := {uv}\n" in (ROOT / "Makefile").read_text()


def test_it_runs_as_somebody_without_rights_and_holds_no_secret() -> None:
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users[-1] == "10001:10001"
    assert not re.search(r"(PASSWORD|TOKEN|SECRET|ACCESS_KEY|PASSPHRASE)\w*=", DOCKERFILE)


def test_its_health_is_asked_at_the_port_that_is_served() -> None:
    assert "EXPOSE 8080 3000" in DOCKERFILE
    assert "http://127.0.0.1:8080/healthz" in DOCKERFILE


def test_what_is_copied_is_enough_to_serve_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    for source in copied():
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target)
    ports = [str(port) for port in _free_ports(2)]
    own = {f"LIFTOFF_{name}": str(tmp_path / "var" / name) for name in ("STATE", "KEYS", "CACHE")}
    arguments = ["serve", "--host", "127.0.0.1", "--port", ports[0], "--page-port", ports[1]]
    served = subprocess.Popen(
        [sys.executable, "deploy/first_process.py", sys.executable, "-m", "automation", *arguments],
        cwd=tmp_path,
        env={**os.environ, **own, "LIFTOFF_TRUSTED_PROXY": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _until_healthy(served, f"http://127.0.0.1:{ports[0]}/healthz")
        code = "import control_plane; print(control_plane.__file__)"
        told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert told.stdout.startswith(str(tmp_path))
    finally:
        served.send_signal(signal.SIGTERM)
        out, _ = served.communicate(timeout=DEADLINE_SECONDS)
    assert served.returncode == 0, out
    assert f"Page: http://localhost:{ports[1]}/launch\n" in out


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _until_healthy(served: "subprocess.Popen[str]", url: str) -> None:
    limit = time.monotonic() + DEADLINE_SECONDS
    with httpx.Client(trust_env=False) as client:
        while served.poll() is None and time.monotonic() < limit:
            try:
                if client.get(url).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    served.kill()
    pytest.fail(f"it never served: {served.communicate()[0]}")


_SERVER = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("serving", flush=True)
signal.sigwait([signal.SIGTERM])
sys.exit(7)
"""
_ENGINE = "import sys, time; time.sleep(0.5); print('finished what was in flight', flush=True)"


def test_the_container_ends_only_when_what_the_server_left_has_finished() -> None:
    command = [sys.executable, str(DEPLOY / "first_process.py"), sys.executable, "-c", _SERVER, _ENGINE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "serving\n"
        first.send_signal(signal.SIGTERM)
        assert first.wait(DEADLINE_SECONDS) == 7
        assert first.stdout.read() == "finished what was in flight\n"
