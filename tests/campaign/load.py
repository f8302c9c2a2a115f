"""Many launches at a time for a while, with faults: the server's memory, handles and threads have to stay flat."""

import itertools
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.campaign.schedule import SLOW, Fault, Run, schedule
from tests.campaign.world import World

_SAMPLE_SECONDS: Final = 5.0
_LITTLE: Final = {"memory": 8.0, "handles": 8.0, "threads": 4.0}
_ENDS: Final = frozenset({Fault.SERVER_KILLED, Fault.HOST_CRASHED})
"""A server that is started again has new memory: these are none of this measurement's faults."""


@dataclass(frozen=True)
class Sample:
    """The server at a moment: seconds since the beginning, MiB, open file handles, threads, MiB of its state folder."""

    at: float
    memory: float
    handles: int
    threads: int
    disk: float


@dataclass
class Samples:
    """What was measured; `first` and `last` are medians over a quarter of the time, once the server is warm."""

    found: list[Sample] = field(default_factory=list)

    def table(self) -> str:
        """Return what stands at the beginning and at the end, in Markdown."""
        rows = ["| | second quarter | last quarter | most |", "|---|---|---|---|"]
        for name, unit in (("memory", "MiB"), ("handles", ""), ("threads", ""), ("disk", "MiB")):
            told = " | ".join(f"{value:.0f} {unit}".rstrip() for value in self._shares(name))
            rows.append(f"| {name} | {told} |")
        return "\n".join(rows)

    def grown(self) -> list[str]:
        """Return what is not flat: by the end it is more than a tenth, and than a little, above what it was."""
        found = []
        for name, little in _LITTLE.items():
            first, last, _ = self._shares(name)
            if last > first * 1.1 + little:
                found.append(f"{name}: {first:.0f}, then {last:.0f}")
        return found

    def _shares(self, name: str) -> tuple[float, float, float]:
        """Return the medians of the second and of the last quarter of the time, and the most."""
        warm = [sample for sample in self.found if sample.at > self.found[-1].at / 4]
        quarter = max(1, len(warm) // 3)
        values = [float(getattr(sample, name)) for sample in warm]
        return statistics.median(values[:quarter]), statistics.median(values[-quarter:]), max(values)


def runs_until(seed: int, end: float) -> Iterator[Run]:
    """Yield runs without the faults that end the server, until a moment of the monotonic clock."""
    for number in itertools.count():
        if time.monotonic() > end:
            return
        run = schedule(seed, number)
        if not run.has(*_ENDS, *SLOW):
            yield Run(run.seed, run.number, run.provider, run.injections)


def sample(world: World, samples: Samples, ended: threading.Event) -> None:
    """Measure the server until told to end."""
    began = time.monotonic()
    while not ended.wait(_SAMPLE_SECONDS):
        try:
            samples.found.append(_sample(world, time.monotonic() - began))
        except (OSError, AssertionError):
            # It ends just now.
            continue


def _sample(world: World, at: float) -> Sample:
    process = Path("/proc") / str(world.server.pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    handles = sum(1 for _ in (process / "fd").iterdir())
    disk = sum(path.stat().st_size for path in world.state.rglob("*") if path.is_file()) / (1 << 20)
    return Sample(at, int(status["VmRSS"].split()[0]) / 1024, handles, int(status["Threads"]), disk)
