"""What a launch costs on top of the critical path of its resources, from the events of real launches.

    uv run python -m benchmarks.overhead --runs 3

The critical path of the local stack is its whole chain: network, storage, session, machine, readiness.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

from provider import places

_LIFTOFF = Path(__file__).parent.parent / ".venv" / "bin" / "liftoff"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    rows = [_launch() for _ in range(asked.runs)]
    total, critical = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"median of {asked.runs} launches\n")
    print("| launch (s) | critical path of its resources (s) | on top (s) | ratio |")
    print("|---|---|---|---|")
    print(f"| {total:.1f} | {critical:.1f} | {total - critical:.1f} | {total / critical:.2f} |")


def _launch() -> tuple[float, float]:
    """Return the seconds of one launch from the command's start to its end, and those of its resources."""
    known = set(_journals())
    began = time.monotonic()
    subprocess.run([_LIFTOFF, "launch", "--stack", "dev", "--yes"], check=True, stdout=subprocess.DEVNULL)
    total = time.monotonic() - began
    (journal,) = [path for path in _journals() if path not in known and '"op":"create"' in path.read_text()]
    subprocess.run([_LIFTOFF, "destroy", "--stack", "dev", "--yes"], check=True, stdout=subprocess.DEVNULL)
    return total, critical_path(journal)


def critical_path(journal: Path) -> float:
    """Return the seconds in which a resource, the component and the stack aside, was being made."""
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    events = [record["event"] for record in records if "event" in record]
    began: dict[str, float] = {}
    spans: list[tuple[float, float]] = []
    for event in events:
        if event.get("op") != "create" or event["type"] in ("pulumi:pulumi:Stack", "liftoff:index:ModelNode"):
            continue
        if event["kind"] == "pre":
            began[event["urn"]] = event["time"]
        elif event["kind"] == "outputs":
            spans.append((began[event["urn"]], event["time"]))
    covered, end = 0.0, 0.0
    for first, last in sorted(spans):
        covered += max(0.0, last - max(first, end))
        end = max(end, last)
    return covered


def _journals() -> list[Path]:
    return sorted((places.state_folder() / "launches").glob("*/events.jsonl"))


if __name__ == "__main__":
    main()
