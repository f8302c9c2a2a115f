"""`kill -9` of the server under a launch on a real machine of this host: the node comes, answers, and goes."""

import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ROOT, _environment

from .server import Server, until

pytestmark = pytest.mark.machine

MODEL = "tiny-llama"


@pytest.fixture
def local_server(tmp_path: Path) -> Iterator[Server]:
    """A server whose launches are machines of this host."""
    template = f"test-{secrets.token_hex(3)}"
    path = ROOT / f"Pulumi.{template}.yaml"
    path.write_text((ROOT / "Pulumi.dev.yaml").read_text())
    made = Server(_environment(tmp_path), tmp_path / "server.log", "--stack", template, "--name", "one")
    try:
        made.start()
        yield made
    finally:
        made.close()
        path.unlink()


def test_a_machine_that_starts_vllm_when_the_server_is_killed_answers_and_goes(
    local_server: Server, tmp_path: Path
) -> None:
    server = local_server
    launch_id = server.launch(model_name=MODEL, provider="local")
    try:
        until(lambda: server.status(launch_id)["stage"] == "Starting vLLM", "vLLM is being started", 300)
        server.kill()
        server.start()
        found = server.ended(launch_id, 400)
        assert found["status"] == "succeeded", found
        stages = [span["stage"] for span in found["timeline"]]
        assert len(stages) == len(set(stages))
        (attempt,) = found["attempts"]
        assert attempt["state"] == "succeeded"

        access = server.get(f"/admin/nodes/{found['node']['id']}/access")
        context = ssl.create_default_context(cadata=access["certificate"])
        with httpx.Client(verify=context, timeout=60, trust_env=False) as client:
            answer = client.post(
                f"{access['endpoint']}/v1/completions",
                json={"model": access["model"], "prompt": "Hello", "max_tokens": 4},
                headers={"Authorization": f"Bearer {access['api_key']}"},
            )
        assert answer.json()["usage"]["completion_tokens"] > 0
    finally:
        server.destroy(launch_id)
        until(lambda: not (tmp_path / "state" / "launch-projects" / launch_id).exists(), "nothing is left of it", 200)
    assert server.gone(launch_id)["state_reason"] == "taken down"
    assert list((tmp_path / "state" / "pulumi" / ".pulumi" / "stacks").rglob(f"{launch_id}*.json")) == []
