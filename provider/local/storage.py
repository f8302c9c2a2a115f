"""This host's S3 server: versitygw over TLS, alive for as long as somebody holds a lease on it."""

import datetime as dt
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from provider import certificate, places
from provider.local import network, process
from provider.local.host import locked
from provider.resource import Refused

BUCKET: Final = "liftoff"
REGION: Final = "us-east-1"
VERSITYGW: Final = "github.com/versity/versitygw/cmd/versitygw"
VERSITYGW_VERSION: Final = "v1.8.0"
_START_SECONDS: Final = 20.0
_CERTIFICATE_DAYS: Final = 825


@dataclass(frozen=True)
class Storage:
    """Where the server is and what opens it."""

    endpoint: str
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    ca_certificate: str


def server_path() -> Path:
    """Return where the pinned server is kept once `ensure_server` has built it."""
    return places.cache_folder() / "versitygw" / VERSITYGW_VERSION / "versitygw"


def ensure_server() -> Path:
    """Return the server's executable; build the pinned version from its Go module if need be.

    Raises:
        Refused: there is no Go to build it with, or the build failed.
    """
    path = server_path()
    with locked(path.parent.parent / "lock"):
        if path.exists():
            return path
        go = shutil.which("go")
        if go is None:
            raise Refused(
                "configuration",
                "go_missing",
                f"the local S3 server {VERSITYGW}@{VERSITYGW_VERSION} has to be built and there is no go on PATH",
                hint="install Go 1.25 or later (https://go.dev/dl/) and run: liftoff local images",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [go, "install", f"{VERSITYGW}@{VERSITYGW_VERSION}"],
            env={**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-buildvcs=false"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Refused(
                "unknown",
                "build_failed",
                f"building versitygw failed: {done.stderr.strip()[-500:]}",
                hint="check that the Go module proxy can be reached, and run: liftoff local images",
            )
        return path


def acquire(lease: str, isolation: network.Isolation) -> Storage:
    """Take a lease; start the server if it is not running; return how to reach it.

    Raises:
        Refused: the server did not start; the message has its last words.
    """
    holder = f"storage-{_instance()}"
    if isolation == "nspawn":
        network.hold_bridge(holder)
    try:
        with locked(_folder() / "lock"):
            address = network.GATEWAY if isolation == "nspawn" else "127.0.0.1"
            server = _running(isolation) or _start(isolation, address)
            _leases().mkdir(exist_ok=True)
            (_leases() / lease).write_text(isolation)
            storage = _storage(server["port"], address)
            _await_answer(storage, isolation)
            return storage
    except Refused:
        _release_bridge_when_unused(holder)
        raise


def release(lease: str) -> None:
    """Give a lease back; without any other the server is stopped."""
    if not _folder().exists():
        return
    with locked(_folder() / "lock"):
        (_leases() / lease).unlink(missing_ok=True)
        for isolation in ("nspawn", "process"):
            if isolation not in _held():
                _stop(isolation)
    _release_bridge_when_unused(f"storage-{_instance()}")


def leases() -> list[str]:
    """Return who holds a lease."""
    return sorted(path.name for path in _leases().glob("*"))


def _held() -> set[str]:
    return {path.read_text() for path in _leases().glob("*")}


def _release_bridge_when_unused(holder: str) -> None:
    if "nspawn" not in _held():
        network.release_bridge(holder)


def _folder() -> Path:
    return places.state_folder() / "storage"


def _leases() -> Path:
    return _folder() / "leases"


def _instance() -> str:
    """Return a name for the server of this state folder: there may be several on one host."""
    path = _folder() / "instance"
    _folder().mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(secrets.token_hex(4))
    return path.read_text()


def _running(isolation: str) -> dict[str, Any] | None:
    try:
        server: dict[str, Any] = json.loads((_folder() / f"{isolation}.json").read_text())
    except FileNotFoundError:
        return None
    alive = process.is_alive(process.Identity(server["pid"], server["started"]))
    return server if alive else None


def _start(isolation: str, address: str) -> dict[str, Any]:
    program = ensure_server()
    access, secret = _keys()
    pair = _certificate_files()
    data = places.cache_folder() / "storage" / "data"
    (data / BUCKET).mkdir(parents=True, exist_ok=True)
    with socket.create_server((address, 0)) as probe:
        port = probe.getsockname()[1]
    log = _folder() / f"{isolation}.log"
    with log.open("ab") as output:
        started = subprocess.Popen(
            [
                str(program),
                "--port",
                f"{address}:{port}",
                "--cert",
                str(pair[0]),
                "--key",
                str(pair[1]),
                "--region",
                REGION,
                "--quiet",
                "posix",
                "--sidecar",
                str(_sidecar()),
                str(data),
            ],
            env={"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret, "PATH": os.environ.get("PATH", "")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=_folder(),
            start_new_session=True,
        )
    identity = process.detached(started)
    server = {"pid": identity.pid, "started": identity.started, "port": port}
    (_folder() / f"{isolation}.json").write_text(json.dumps(server))
    return server


def _sidecar() -> Path:
    """Return where object metadata is kept; not every file system has the extended attributes it would use instead."""
    folder = places.cache_folder() / "storage" / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stop(isolation: str) -> None:
    server = _running(isolation)
    if server is not None:
        process.end([process.Identity(server["pid"], server["started"])], signal.SIGTERM, seconds=5)
    (_folder() / f"{isolation}.json").unlink(missing_ok=True)


def _await_answer(storage: Storage, isolation: str) -> None:
    authority = _certificate_files()[0]
    client = boto3.client(
        "s3",
        endpoint_url=storage.endpoint,
        region_name=storage.region,
        aws_access_key_id=storage.access_key_id,
        aws_secret_access_key=storage.secret_access_key,
        verify=str(authority),
        config=Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=5, s3={"addressing_style": "path"}),
    )
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.head_bucket(Bucket=BUCKET)
        except (BotoCoreError, ClientError, ssl.SSLError) as error:
            if _running(isolation) is None or time.monotonic() > deadline:
                log = (_folder() / f"{isolation}.log").read_text(errors="replace").strip().splitlines()[-5:]
                raise Refused(
                    "unknown",
                    "local_storage_failed",
                    f"this host's S3 server gave no answer at {storage.endpoint} ({type(error).__name__}): {log}",
                    hint="try again; if it stays, run: liftoff local sweep",
                ) from error
            time.sleep(0.05)
        else:
            return


def _storage(port: int, address: str) -> Storage:
    access, secret = _keys()
    return Storage(f"https://{address}:{port}", REGION, BUCKET, access, secret, _certificate_files()[0].read_text())


def _keys() -> tuple[str, str]:
    path = places.keys_folder() / "local-storage.json"
    if not path.exists():
        made = {"access_key_id": f"LOCAL{secrets.token_hex(8).upper()}", "secret_access_key": secrets.token_urlsafe(32)}
        _write_secret(path, json.dumps(made))
    held = json.loads(path.read_text())
    return held["access_key_id"], held["secret_access_key"]


def _certificate_files() -> tuple[Path, Path]:
    """Return the files of the server's certificate and key; they are made once."""
    folder = places.keys_folder()
    cert, key = folder / "local-storage.pem", folder / "local-storage.key"
    if not cert.exists():
        until = dt.datetime.now(dt.UTC) + dt.timedelta(days=_CERTIFICATE_DAYS)
        pair = certificate.self_signed((network.GATEWAY, "127.0.0.1"), until)
        _write_secret(key, pair.key)
        _write_secret(cert, pair.certificate)
    return cert, key


def _write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
