"""How long a plan takes from one offer's refusal to the next offer's requests, at clouds that answer at once.

    .venv/bin/pytest -s -p no:cacheprovider benchmarks/failover.py

The first offer is refused for capacity. `next request` is the first thing that any cloud is asked after that, `next
machine` the request for the next machine; the cloud's own time is zero in both.
"""

import time

import pytest

from tests.clouds import errors
from tests.clouds.properties import Values
from tests.launches.conftest import MACHINES, NATIVE, PLACES, Site, clouds, last, site, storage, weights

__all__ = ["clouds", "site", "storage", "weights"]

CASES = {
    "aws": ("us-east-1", "us-east-2"),
    "azure": ("eastus", "westus2"),
    "gcp": ("us-central1",),
}


@pytest.mark.parametrize("provider", CASES)
def test_failover(site: Site, provider: str, capsys: pytest.CaptureFixture[str]) -> None:
    native, machine = NATIVE[provider], MACHINES[provider]
    asked: list[float] = []
    refused: list[float] = []

    def note(_inputs: Values) -> bool:
        asked.append(time.time())
        return False

    def first(_inputs: Values) -> bool:
        refused.append(time.time())
        return len(refused) == 1

    kind = "capacity_allocation" if provider == "azure" else "capacity"
    site.clouds.faults.add(native, machine, error=errors.text(native, kind), when=first, times=9)
    for method in ("Create", "Update", "Delete"):
        site.clouds.faults.add(native, "", method, when=note)
    regions = [part for region in CASES[provider] for part in ("--region", region)]
    choice = ("--provider", provider, "--instance-type", PLACES[provider]["instanceType"])
    launched = site.launch(*choice, *regions)
    assert launched.code == 0, launched.text
    failed, *_, worked = last(launched, "plan")["attempts"]
    assert failed["failure"]["kind"] == "capacity"
    same = failed["offer"]["region"] == worked["offer"]["region"]
    # The request that was refused is noted with its answer.
    after = next(at for at in asked if at > refused[0] + 0.05)
    with capsys.disabled():
        print(
            f"\n{provider}: next request {after - refused[0]:.2f} s, next machine {refused[1] - refused[0]:.2f} s "
            f"({'same' if same else 'another'} region)"
        )
