"""The campaign by hand: `python -m tests.campaign --seed 1 --runs 100`; `--only 7` replays a run with its story."""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.campaign.campaign import carry_out
from tests.campaign.execution import SETTLE_SECONDS
from tests.campaign.ledger import Ledger
from tests.campaign.load import Samples, runs_until, sample
from tests.campaign.schedule import Run, schedule
from tests.campaign.serve import SWITCHES
from tests.campaign.world import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

_BEGIN: Final = "<!-- the campaign's table -->"
_END: Final = "<!-- end of the table -->"


def main() -> int:
    """Carry a campaign out; return 1 where an invariant is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", type=int, action="append", help="replay this run; repeatable")
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--at-once", type=int, default=8, help="runs at once")
    parser.add_argument("--engines", type=int, default=4, help="engines at once")
    parser.add_argument("--quick", action="store_true", help="none of the faults that take minutes")
    parser.add_argument("--without", choices=("token", "lease", *SWITCHES), help="switch a safeguard off")
    parser.add_argument(
        "--load", type=float, default=0.0, metavar="MINUTES", help="measure a server under load instead"
    )
    parser.add_argument("--ledger", type=Path, help="keep what became of each run here, and go on after the last")
    parser.add_argument("--table", type=Path, help="write the table of faults into this file, between its marks")
    given = parser.parse_args()
    ledger = Ledger(given.ledger)
    numbers = given.only or range(given.first, given.first + given.runs)
    left = [number for number in numbers if not ledger.has(given.seed, number)]
    runs: Iterable[Run] = (schedule(given.seed, number, quick=given.quick) for number in left)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    samples, ended, began = Samples(), threading.Event(), time.monotonic()
    with opened(given.engines) as world:
        world.leases = given.without != "lease"
        world.clouds.world.tokens = given.without != "token"
        if given.without in SWITCHES:
            world.serve_without(given.without)
        if given.load:
            runs = runs_until(given.seed, time.monotonic() + given.load * 60)
            threading.Thread(target=sample, args=(world, samples, ended), daemon=True).start()
        # What is refused ten times over is asked again as often as there is room for it.
        settle = SETTLE_SECONDS * (2 if given.load else 1)
        tell = partial(print, flush=True)
        report = carry_out(world, runs, given.at_once, tell, ledger=ledger, settle_seconds=settle)
        ended.set()
        if report.broken or report.leases:
            kept = Path(tempfile.mkdtemp(prefix="liftoff-campaign-kept-"))
            for name in ("control-plane.sqlite", "control-plane.sqlite-wal", "pulumi", "launches"):
                source = world.state / name
                if source.is_dir():
                    shutil.copytree(source, kept / name, ignore_dangling_symlinks=True)
                elif source.exists():
                    shutil.copy(source, kept)
            shutil.copy(world.server.log, kept)
            print(f"kept: {kept}")
    if given.only:
        for outcome in report.outcomes:
            print(outcome.story)
    if samples.found:
        print(samples.table())
    print(ledger.table())
    if given.table:
        write_table(given.table, ledger.table())
    print(ledger.summary())
    print(
        f"of those now: {len(report.outcomes)} runs in {time.monotonic() - began:.0f} s, {len(report.broken)} broke "
        f"an invariant; {world.restarts} restarts; left after their leases: {report.leases or 'none'}"
    )
    grown = samples.grown() if samples.found else []
    if grown:
        print(f"not flat: {'; '.join(grown)}")
    return 1 if report.broken or report.leases or grown else 0


def write_table(path: Path, table: str) -> None:
    """Put a table between the marks of a document."""
    before, mark, rest = path.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert mark
    assert end
    path.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}")


def _end(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # However it ends, servers, file systems and leases of it must not stay.
    signal.signal(signal.SIGTERM, _end)
    code = 130
    try:
        code = main()
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        sys.stdout.flush()
        # Threads of runs that were interrupted are not waited for.
        os._exit(code)
