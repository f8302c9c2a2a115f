"""The campaign by hand: `python -m tests.campaign --seed 1 --runs 100`; `--only 7` replays one run and tells its story."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.campaign.campaign import carry_out
from tests.campaign.schedule import schedule
from tests.campaign.world import opened


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
    parser.add_argument("--without", default="", choices=("", "token", "recovery", "sweep", "lease"))
    given = parser.parse_args()
    numbers = given.only or range(given.first, given.first + given.runs)
    runs = [schedule(given.seed, number, quick=given.quick) for number in numbers]
    with opened(given.without, given.engines) as world:
        report = carry_out(world, runs, given.at_once, lambda text: print(text, flush=True))
        if report.broken or report.leases:
            kept = Path(tempfile.mkdtemp(prefix="liftoff-campaign-kept-"))
            for name in ("control-plane.sqlite", "pulumi", "launches"):
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
    print(report.ledger.table())
    print(
        f"{report.ledger.runs} runs, {report.ledger.machines} machines, {report.ledger.restarts} restarts of the server "
        f"in {report.ledger.seconds:.0f} s; {len(report.broken)} runs broke an invariant; "
        f"left after their leases: {report.leases or 'none'}"
    )
    return 1 if report.broken or report.leases else 0


if __name__ == "__main__":
    sys.exit(main())
