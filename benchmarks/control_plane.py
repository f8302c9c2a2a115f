"""The control plane under load, over the emulated clouds: how quick its answers are, and what many launches cost.

    LAUNCHES=100 .venv/bin/pytest -s -p no:cacheprovider benchmarks/control_plane.py

16 launches stand still in their boot while their status is asked for; then they go on. `beside the engines` compares
the time of many launches with what the processor seconds that one alone takes for its engine allow on these cores.
"""

import asyncio
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from provider import places
from tests.control_plane.conftest import World, storage, world
from tests.control_plane.server import Server

__all__ = ["storage", "world"]

RUNNING: Final = 16
RATE: Final = 500
SECONDS: Final = 10
LAUNCHES: Final = int(os.environ.get("LAUNCHES", "20"))
VEGETA: Final = "github.com/tsenart/vegeta/v12"
VEGETA_VERSION: Final = "v12.12.0"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def _served(world: World, name: str, engines: int) -> Iterator[Server]:
    """Yield a server whose launches may stand still for as long as the measurement takes."""
    stack = world.site.desk.stack
    done = world.site.desk.pulumi("config", "set", "liftoff:bootDeadlineSeconds", "900", "--stack", stack)
    assert done.code == 0, done.text
    server = world.server(name, "--engines", str(engines), "--token-rate", "0", "--address-rate", "0")
    try:
        server.start()
        yield server
    finally:
        server.close()


def test_answers_while_launches_run(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _served(world, "answers", RUNNING) as server:
        _measure_answers(world, server, tmp_path, capsys)


def _measure_answers(world: World, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submits: list[float] = []
    ids: list[str] = []
    with ExitStack() as held:
        for _ in range(RUNNING):
            began = time.perf_counter()
            ids.append(server.launch(**world.request()))
            submits.append(time.perf_counter() - began)
            held.enter_context(world.gates.closed(f"{ids[-1]}/install"))
        _all_reach(server, ids, "Installing dependencies")
        asked = _ask(server, ids, tmp_path)
    delays = asyncio.run(_delays(server, ids[0]))
    for launch_id in ids:
        assert server.ended(launch_id)["status"] == "succeeded"
    memory = _memory_mib(server.pid)
    with capsys.disabled():
        print(f"\nsubmit, {RUNNING} launches: {_shares(submits)}")
        times = {name: asked["latencies"][name] / 1e6 for name in ("50th", "99th")}
        told = f"median {times['50th']:.1f} ms, p99 {times['99th']:.1f} ms, of {asked['requests']}"
        print(f"status, {asked['rate']:.0f} requests/s beside {RUNNING} running launches: {told}")
        print(f"event to client: {_shares(delays)}")
        print(f"memory of the server: {memory:.0f} MiB")


def test_many_launches_against_one_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with _served(world, "many", 2 * (os.cpu_count() or 1)) as server:
        alone, processor = _round(server, world, 1)
        together, _ = _round(server, world, LAUNCHES)
    allowed = LAUNCHES * processor / (os.cpu_count() or 1)
    with capsys.disabled():
        print(f"\none launch alone: {alone:.1f} s, of which {processor:.1f} s of processors")
        print(f"{LAUNCHES} launches: {together:.1f} s; the engines' own time allows {allowed:.1f} s")
        print(f"beside the engines: {together / allowed:.2f}")


def _round(server: Server, world: World, number: int) -> tuple[float, float]:
    """Return how many seconds so many launches take together, and how many of processors their processes."""
    before, began = _children_seconds(server.pid), time.perf_counter()
    ids = [server.launch(**world.request()) for _ in range(number)]
    for launch_id in ids:
        assert server.ended(launch_id, 1200)["status"] == "succeeded"
    return time.perf_counter() - began, _children_seconds(server.pid) - before


def _all_reach(server: Server, ids: list[str], stage: str) -> None:
    limit = time.monotonic() + 300
    while any(server.status(launch_id)["stage"] != stage for launch_id in ids):
        assert time.monotonic() < limit, [server.status(launch_id)["stage"] for launch_id in ids]
        time.sleep(0.2)


def _ask(server: Server, ids: list[str], folder: Path) -> dict[str, Any]:
    """Ask for the launches' status at a fixed rate; return vegeta's report, whose times include the waiting."""
    targets = folder / "targets"
    targets.touch(mode=0o600)
    (token,) = server.headers.items()
    asked = [f"GET {server.url}/admin/instances/status?job_id={one}\n{': '.join(token)}\n\n" for one in ids]
    targets.write_text("".join(asked))
    rate = (f"-rate={RATE}", f"-duration={SECONDS}s", f"-targets={targets}", "-timeout=30s")
    attack = subprocess.run([_vegeta(), "attack", *rate], check=True, capture_output=True)
    report = subprocess.run([_vegeta(), "report", "-type=json"], input=attack.stdout, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(report.stdout)
    assert found["success"] == 1, found
    return found


def _vegeta() -> Path:
    """Return the pinned load generator; build it if need be."""
    path = places.cache_folder() / "vegeta" / VEGETA_VERSION / "vegeta"
    if not path.exists():
        environment = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-buildvcs=false"}
        subprocess.run(["go", "install", f"{VEGETA}@{VEGETA_VERSION}"], env=environment, check=True)
    return path


async def _delays(server: Server, launch_id: str) -> list[float]:
    """Return how late each event of a launch that goes on comes to a client, after the server has noted it."""
    found: list[float] = []
    since = time.time()
    async with (
        asyncio.timeout(120),
        httpx.AsyncClient(base_url=server.url, headers=server.headers, timeout=120, trust_env=False) as client,
        client.stream("GET", "/admin/instances/events", params={"job_id": launch_id}) as answer,
    ):
        async for line in answer.aiter_lines():
            if line == "event: end":
                break
            if line.startswith("data: "):
                data: dict[str, Any] = json.loads(line.removeprefix("data: "))
                at = datetime.fromisoformat(data["at"]).timestamp() if "at" in data else 0.0
                if at > since:
                    found.append(time.time() - at)
    return found


def _shares(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    if not ordered:
        return "none"
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"median {statistics.median(ordered) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, of {len(ordered)}"


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def _children_seconds(pid: int) -> float:
    """Return the processor seconds of the processes that a server, and what it forks workers from, have waited for."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(_waited_seconds, (pid, *map(int, children))))


def _waited_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # cutime and cstime, https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return (int(fields[13]) + int(fields[14])) / _TICKS
