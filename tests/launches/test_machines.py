"""The seed case, and the same for AWS and GCP: the emulated machine is a real one of this host, which answers."""

import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from automation.weights import Target, push
from provider.local import network, tiny_llama
from provider.local import storage as local_storage
from provider.storage import Bucket, Storage
from tests.clouds.fixtures import Clouds

from .conftest import PLACES, Site, site_of
from .machines import Machines
from .test_clouds import STAGES

pytestmark = pytest.mark.machine

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture
def machine_site(tmp_path: Path, clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A desk at emulated clouds whose machines are real, with the tiny model in a bucket that they reach."""
    monkeypatch.setenv("LIFTOFF_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LIFTOFF_KEYS", str(tmp_path / "keys"))
    holder, prefix = f"test-{secrets.token_hex(3)}", f"test-{secrets.token_hex(4)}"
    network.hold_bridge(holder)
    held = local_storage.acquire(holder, "nspawn")
    storage = Storage(
        endpoint=held.endpoint,
        region=held.region,
        bucket=held.bucket,
        access_key_id=held.access_key_id,
        secret_access_key=held.secret_access_key,
        ca_certificate=held.ca_certificate,
    )
    model, authority = tmp_path / "model", tmp_path / "ca.pem"
    tiny_llama.write(model)
    authority.write_text(held.ca_certificate)
    target = Target(held.endpoint, held.region, held.access_key_id, held.secret_access_key, str(authority))
    push(model, f"s3://{held.bucket}/{prefix}", target, lambda _: None)
    machines = Machines(holder)
    world = clouds.world
    try:
        for made in site_of(tmp_path, clouds, storage, f"s3://{held.bucket}/{prefix}"):
            world.on_address = machines.address
            world.on_vm, world.on_vm_deleted = machines.boot, machines.delete
            yield made
    finally:
        machines.close()
        Bucket(storage).delete_below(prefix)
        local_storage.release(holder)
        network.release_bridge(holder)


@pytest.mark.parametrize("provider", ["azure", "aws", "gcp"])
def test_a_machine_of_a_cloud_boots_and_answers_a_completion(machine_site: Site, provider: str) -> None:
    desk = machine_site.desk
    launched = machine_site.launch(provider=provider, bootDeadlineSeconds="240", **PLACES[provider])
    assert launched.code == 0, launched.text
    seen = [record["stage"] for record in launched.records if record["type"] == "status"]
    assert list(dict.fromkeys(seen)) == STAGES

    outputs = desk.outputs()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=outputs["certificate"])
    headers = {"Authorization": f"Bearer {outputs['apiKey']}"}
    with httpx.Client(verify=context, base_url=outputs["endpoint"], timeout=60, trust_env=False) as client:
        asked = {"model": MODEL, "prompt": "Hello", "max_tokens": 4}
        assert client.post("/v1/completions", json=asked).status_code == httpx.codes.UNAUTHORIZED
        answer = client.post("/v1/completions", json=asked, headers=headers)
    assert answer.json()["usage"]["completion_tokens"] > 0

    done = desk.run("destroy", "--stack", desk.stack, "--yes")
    assert done.code == 0, done.text
    assert machine_site.clouds.truth.find() == []
