"""What became of the faults, by kind: the table of docs/reliability.md."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.campaign.schedule import Fault

_COLUMNS: Final = ("injected", "lived through", "failed, and said so", "cancelled", "invariants broken")


@dataclass
class Ledger:
    """Counts of a campaign."""

    runs: int = 0
    machines: int = 0
    seconds: float = 0.0
    restarts: int = 0
    counts: dict[Fault, Counter[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, faults: Iterable[Fault], outcome: str, broken: int) -> None:
        """Count a run: the faults that happened in it, and the status that its launch ended with."""
        column = {"succeeded": _COLUMNS[1], "failed": _COLUMNS[2], "cancelled": _COLUMNS[3]}.get(outcome, outcome)
        with self._lock:
            self.runs += 1
            for fault in set(faults):
                count = self.counts.setdefault(fault, Counter())
                count.update({_COLUMNS[0]: 1, column: 1, _COLUMNS[4]: broken})

    def add(self, other: "Ledger") -> None:
        """Count another campaign, too."""
        self.runs += other.runs
        self.machines += other.machines
        self.seconds += other.seconds
        self.restarts += other.restarts
        for fault, count in other.counts.items():
            self.counts.setdefault(fault, Counter()).update(count)

    def table(self) -> str:
        """Return the table in Markdown."""
        rows = [f"| fault | {' | '.join(_COLUMNS)} |", "|---|" + "---|" * len(_COLUMNS)]
        for fault in Fault:
            count = self.counts.get(fault, Counter())
            rows.append(f"| {fault} | {' | '.join(str(count[column]) for column in _COLUMNS)} |")
        return "\n".join(rows)
