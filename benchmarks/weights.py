"""Our download against s5cmd and boto3's transfer: the same file, the same S3 server on this host, TLS, one run.

    uv run --group bench python -m benchmarks.weights --gib 4

Each downloader runs as a process of its own; throughput is of the whole process, memory of it and
its children together, sampled ten times a second.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from automation.weights import PART_BYTES, Target, push
from provider.local import storage as local_storage
from provider.manifest import Manifest
from provider.storage import Bucket, Storage

_PREFIX: Final = "benchmark-weights"
_NAME: Final = "model.safetensors"
_CHECKED: Final = "s5cmd, then sha256sum"


@dataclass(frozen=True)
class Run:
    """One download: seconds of wall time and of processor time, and peak memory in bytes."""

    wall: float
    cpu: float
    peak: int


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", choices=["ours", "boto3"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        _child(asked.child, json.load(sys.stdin))
        return
    size = int(asked.gib * (1 << 30))
    with _pushed(size) as (storage, manifest, folder):
        runs: dict[str, list[Run]] = {"ours": [], "s5cmd": [], _CHECKED: [], "boto3": []}
        # In turn, so that a machine whose speed drifts does so for all.
        for _ in range(asked.runs):
            for name, done in runs.items():
                done.append(_measure(name, storage, manifest, folder))
        _print(size, runs)


@contextmanager
def _pushed(size: int) -> Iterator[tuple[Storage, Manifest, Path]]:
    held = local_storage.acquire("benchmark", "process")
    with tempfile.TemporaryDirectory(dir=Path.home() / ".cache") as name:
        folder = Path(name)
        (folder / "ca.pem").write_text(held.ca_certificate)
        source = folder / "source"
        source.mkdir()
        (source / "config.json").write_text("{}")
        with (source / _NAME).open("wb") as file:
            for left in range(size, 0, -(1 << 24)):
                file.write(os.urandom(min(left, 1 << 24)))
        target = Target(held.endpoint, held.region, held.access_key_id, held.secret_access_key, str(folder / "ca.pem"))
        storage = Storage(
            endpoint=held.endpoint,
            region=held.region,
            bucket=held.bucket,
            access_key_id=held.access_key_id,
            secret_access_key=held.secret_access_key,
            ca_certificate=held.ca_certificate,
        )
        try:
            pushed = push(source, f"s3://{held.bucket}/{_PREFIX}", target, lambda _: None)
            (source / _NAME).unlink()
            yield storage, pushed.manifest, folder
        finally:
            Bucket(storage).delete_below(_PREFIX)
            local_storage.release("benchmark")


def _measure(name: str, storage: Storage, manifest: Manifest, folder: Path) -> Run:
    goal = folder / "goal"
    key = f"{_PREFIX}/{_NAME}"
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": storage.access_key_id,
        "AWS_SECRET_ACCESS_KEY": storage.secret_access_key,
        "AWS_REGION": storage.region,
        "AWS_CA_BUNDLE": str(folder / "ca.pem"),
        "SSL_CERT_FILE": str(folder / "ca.pem"),
    }
    given = ""
    s5cmd = ["s5cmd", "--endpoint-url", storage.endpoint, "cp", f"s3://{storage.bucket}/{key}", str(goal)]
    if name == "s5cmd":
        command = s5cmd
    elif name == _CHECKED:
        command = ["sh", "-c", f'{shlex.join(s5cmd)} && sha256sum "{goal}"']
    else:
        command = [sys.executable, "-m", "benchmarks.weights", "--child", name]
        files = [
            {**file.model_dump(mode="json"), "url": Bucket(storage).url("GET", f"{_PREFIX}/{file.path}", 3600)}
            for file in manifest.files
        ]
        session = {"part_bytes": manifest.part_bytes, "files": files, "requirements": "", "program": {}}
        given = json.dumps(
            {"session": session, "goal": str(goal), "ca": storage.ca_certificate, "key": key}
            | {"endpoint": storage.endpoint, "bucket": storage.bucket}
        )
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, text=True, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(given)
    process.stdin.close()
    over = threading.Event()
    with ThreadPoolExecutor(1) as watcher:
        peak = watcher.submit(_peak, process.pid, over)
        _, status, usage = os.wait4(process.pid, 0)
        over.set()
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"{name} failed with {process.returncode}")
    _check(goal, manifest)
    subprocess.run(["rm", "-rf", goal], check=True)
    return Run(wall, usage.ru_utime + usage.ru_stime, peak.result())


def _peak(session: int, over: threading.Event) -> int:
    """Return the most memory in bytes that the processes of a session had together, each page counted once."""
    peak = 0
    while not over.wait(0.1):
        total = 0
        for process in Path("/proc").glob("[0-9]*"):
            # A process may end while it is looked at.
            with suppress(OSError, IndexError):
                if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                    found = re.search(r"^Pss: +(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
                    total += int(found[1]) * 1024 if found else 0
        peak = max(peak, total)
    return peak


def _check(goal: Path, manifest: Manifest) -> None:
    """Hold every downloader to the same bytes."""
    path = goal / _NAME if goal.is_dir() else goal
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in {file.sha256 for file in manifest.files}:
        sys.exit(f"{path} is not what was pushed")


def _child(name: str, given: dict[str, str]) -> None:
    if name == "ours":
        sys.path.insert(0, str(Path(__file__).parent.parent / "cloud-init"))
        from boot import weights
        from boot.board import Board

        session = weights.parse(json.dumps(given["session"]).encode())
        weights.Download(session, Path(given["goal"]), given["ca"], Board("b", [], 0.0), threading.Event()).run()
    else:
        import boto3
        from boto3.s3.transfer import TransferConfig

        client = boto3.client("s3", endpoint_url=given["endpoint"])
        config = TransferConfig(max_concurrency=16, multipart_chunksize=PART_BYTES)
        client.download_file(given["bucket"], given["key"], given["goal"], Config=config)


def _print(size: int, runs: dict[str, list[Run]]) -> None:
    print(f"{size / (1 << 30):.1f} GiB, {os.cpu_count()} processors, median of {len(runs['ours'])} runs in turn\n")
    print("| downloader | checks what it got | MB/s | against ours | processor seconds | peak memory (MiB) |")
    print("|---|---|---|---|---|---|")
    ours = statistics.median(run.wall for run in runs["ours"])
    for name, each in runs.items():
        wall = statistics.median(run.wall for run in each)
        checks = {"ours": "each part, as it comes", _CHECKED: "the file, afterwards"}.get(name, "no")
        print(
            f"| {name} | {checks} | {size / wall / 1e6:.0f} | {ours / wall:.2f} "
            f"| {statistics.median(run.cpu for run in each):.1f} "
            f"| {statistics.median(run.peak for run in each) / (1 << 20):.0f} |"
        )


if __name__ == "__main__":
    main()
