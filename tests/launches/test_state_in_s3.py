"""A stack whose state is in S3 (this host's own server): two drivers at once, and the lock of one that is dead."""

import json
import secrets
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provider import places
from provider.local import storage as local_storage
from provider.storage import Bucket, Storage
from tests.clouds.fixtures import Clouds

from .conftest import PLACES, Site, last, site_of

pytestmark = pytest.mark.engine

STALE = {"pid": 4711, "username": "runner", "hostname": "a-machine-that-is-gone", "timestamp": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Team:
    """A desk whose state is in a bucket that others use, too."""

    site: Site
    bucket: Bucket
    prefix: str

    def locks(self) -> list[str]:
        """Return the names of the locks of the desk's stack, as the server keeps them."""
        folder = places.cache_folder() / "storage" / "data" / local_storage.BUCKET / self.prefix / ".pulumi" / "locks"
        return [path.name for path in folder.rglob("*.json")]


@pytest.fixture
def team(tmp_path: Path, clouds: Clouds, storage: Storage, weights: str) -> Iterator[Team]:
    authority = tmp_path / "storage.pem"
    authority.write_text(storage.ca_certificate or "")
    prefix = f"state-{secrets.token_hex(3)}"
    options = f"endpoint={storage.endpoint}&region={storage.region}&s3ForcePathStyle=true"
    environment = {
        "PULUMI_BACKEND_URL": f"s3://{storage.bucket}/{prefix}?{options}",
        "AWS_ACCESS_KEY_ID": storage.access_key_id,
        "AWS_SECRET_ACCESS_KEY": storage.secret_access_key,
        "AWS_CA_BUNDLE": str(authority),
    }
    bucket = Bucket(storage)
    for site in site_of(tmp_path, clouds, storage, weights, environment):
        yield Team(site, bucket, prefix)
    bucket.delete_below(prefix)


def test_of_two_drivers_the_second_is_refused_and_a_dead_ones_lock_is_told_with_what_releases_it(team: Team) -> None:
    site, world = team.site, team.site.clouds.world
    arrived, go_on = threading.Event(), threading.Event()
    boot = world.on_vm
    assert boot is not None

    def held(provider: str, inputs: Any, user_data: bytes, outputs: Any) -> Any:
        arrived.set()
        assert go_on.wait(120)
        return boot(provider, inputs, user_data, outputs)

    world.on_vm = held
    first = site.desk.start(*site.launch_arguments(provider="gcp", **PLACES["gcp"]))
    try:
        assert arrived.wait(120), first.communicate(timeout=10)
        second = site.launch(provider="gcp", **PLACES["gcp"])
        assert (second.code, last(second, "error")["code"]) == (13, "stack_locked"), second.text
        assert f"stack '{site.desk.stack}' is locked by process" in last(second, "error")["message"]
        assert len(team.locks()) == 1
    finally:
        go_on.set()
        out, err = first.communicate(timeout=300)
    assert first.returncode == 0, out + err
    assert (team.locks(), len(site.machines("gcp"))) == ([], 1)

    stale = f"{team.prefix}/.pulumi/locks/organization/liftoff/{site.desk.stack}/{secrets.token_hex(8)}.json"
    team.bucket.put(stale, json.dumps(STALE).encode())
    refused = site.desk.run("destroy", "--stack", site.desk.stack, "--yes", "--json")
    error = last(refused, "error")
    assert (refused.code, error["code"]) == (13, "stack_locked"), refused.text
    assert "process 4711 of runner on a-machine-that-is-gone, since 2026-01-01T00:00:00" in error["message"]
    command = error["hint"].rpartition("dead: ")[2]
    released = subprocess.run(
        ["bash", "-c", f'PATH=.venv/bin:"$PATH"; {command}'],
        cwd=Path(__file__).parents[2],
        env=site.desk.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (released.returncode, team.locks()) == (0, []), released.stdout + released.stderr
    # The desk's end destroys the stack: it is free again.
