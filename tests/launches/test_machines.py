"""The seed case, and the same for AWS and GCP: the emulated machine is a real one of this host, which answers."""

import ssl

import httpx
import pytest

from .conftest import PLACES, Site
from .machines import host_machines, machine_site
from .test_clouds import STAGES

__all__ = ["host_machines", "machine_site"]

pytestmark = pytest.mark.machine

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


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
