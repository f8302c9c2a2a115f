"""What became of the faults, run by run, and by kind: the table of docs/reliability.md."""

import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from tests.campaign.schedule import Fault

_COLUMNS: Final = ("injected", "lived through", "failed, and said so", "cancelled", "invariants broken")
_OUTCOMES: Final[Mapping[str, str]] = dict(zip(("succeeded", "failed", "cancelled"), _COLUMNS[1:4], strict=True))


class Entry(BaseModel):
    """A run that has ended: the faults that happened in it, how many machines it made, and how its launch ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    number: int
    faults: frozenset[Fault]
    machines: int
    status: str
    broken: int


class Ledger:
    """The entries of a campaign; in a file, of as many as were written into it."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        lines = file.read_text().splitlines() if file is not None and file.exists() else []
        self.entries = [Entry.model_validate_json(line) for line in lines]

    def note(self, entry: Entry) -> None:
        """Keep what became of a run."""
        with self._lock:
            self.entries.append(entry)
            if self._file is not None:
                with self._file.open("a") as file:
                    file.write(f"{entry.model_dump_json()}\n")

    def has(self, seed: int, number: int) -> bool:
        """Tell whether a run has ended."""
        return any((entry.seed, entry.number) == (seed, number) for entry in self.entries)

    def summary(self) -> str:
        """Return how much there was."""
        seeds = Counter(entry.seed for entry in self.entries)
        runs = ", ".join(f"{runs} runs of seed {seed}" for seed, runs in sorted(seeds.items())) or "no run"
        broken = sum(bool(entry.broken) for entry in self.entries)
        return f"{runs}: {sum(entry.machines for entry in self.entries)} machines, {broken} broke an invariant"

    def table(self) -> str:
        """Return the table in Markdown."""
        counts: dict[Fault, Counter[str]] = {fault: Counter() for fault in Fault}
        for entry in self.entries:
            for fault in entry.faults:
                outcome = _OUTCOMES.get(entry.status, entry.status)
                counts[fault].update({_COLUMNS[0]: 1, outcome: 1, _COLUMNS[-1]: entry.broken})
        rows = [f"| fault | {' | '.join(_COLUMNS)} |", "|---|" + "---|" * len(_COLUMNS)]
        for fault, count in counts.items():
            rows.append(f"| {fault} | {' | '.join(str(count[column]) for column in _COLUMNS)} |")
        return "\n".join(rows)
