"""The control plane under load, over the emulated clouds: how quick its answers are, and what many launches cost.

    LAUNCHES=100 .venv/bin/pytest -s -p no:cacheprovider benchmarks/control_plane.py

16 launches stand still in their boot while their status is asked for; then they go on. `beside the engines` compares
the time of many launches with what the processor seconds that one alone takes for its engine allow on these cores.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.control_plane.conftest import World, storage, world
from tests.control_plane.server import Server

__all__ = ["storage", "world"]

RUNNING: Final = 16
RATE: Final = 500
SECONDS: Final = 10
LAUNCHES: Final = int(os.environ.get("LAUNCHES", "20"))
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


def test_answers_while_launches_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with _served(world, "answers", RUNNING) as server:
        _measure_answers(world, server, capsys)


def _measure_answers(world: World, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    submits: list[float] = []
    ids: list[str] = []
    with ExitStack() as held:
        for _ in range(RUNNING):
            began = time.perf_counter()
            ids.append(server.launch(**world.request()))
            submits.append(time.perf_counter() - began)
            held.enter_context(world.gates.closed(f"{ids[-1]}/install"))
        _all_reach(server, ids, "Installing dependencies")
        asked = asyncio.run(_ask(server, ids))
    delays = asyncio.run(_delays(server, ids[0]))
    for launch_id in ids:
        assert server.ended(launch_id)["status"] == "succeeded"
    memory = _memory_mib(server.pid)
    with capsys.disabled():
        print(f"\nsubmit, {RUNNING} launches: {_shares(submits)}")
        print(f"status, {len(asked) / SECONDS:.0f} requests/s beside {RUNNING} running launches: {_shares(asked)}")
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


async def _ask(server: Server, ids: list[str]) -> list[float]:
    """Ask for the launches' status at a fixed rate, and return how long each answer took, its waiting included."""
    took: list[float] = []
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(
        base_url=server.url, headers=server.headers, limits=limits, timeout=30, trust_env=False
    ) as client:

        async def one(at: float, launch_id: str) -> None:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            answer = await client.get("/admin/instances/status", params={"job_id": launch_id})
            assert answer.is_success
            took.append(time.perf_counter() - at)

        began = time.perf_counter() + 0.5
        number = RATE * SECONDS
        await asyncio.gather(*(one(began + index / RATE, ids[index % len(ids)]) for index in range(number)))
    return took


async def _delays(server: Server, launch_id: str) -> list[float]:
    """Return how late each event of a launch that goes on comes to a client, after the server has noted it."""
    found: list[float] = []
    since = time.time()
    async with (
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
    """Return the processor seconds of the processes that a process has started and waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # cutime and cstime, https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return (int(fields[13]) + int(fields[14])) / _TICKS
