"""A cloud takes a node back: at its notice another one is launched elsewhere; the time without an endpoint is told."""

import json
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from provider.local.network import GATEWAY
from tests.clouds.metadata_service import MetadataService, served
from tests.launches.conftest import Site, clouds
from tests.launches.machines import Machines, host_machines, machine_site
from tests.launches.node import told

from .conftest import MODEL, Gates, World, _prepared, storage, world
from .server import Server, until

__all__ = ["clouds", "host_machines", "machine_site", "storage", "world"]


@contextmanager
def running(world: World, name: str) -> Iterator[Server]:
    server = world.server(name)
    try:
        server.start()
        yield server
    finally:
        server.close()


def in_its_place(server: Server, node_id: str) -> dict[str, Any] | None:
    """Return the node that stands in another one's place."""
    nodes = server.get("/admin/nodes")["items"]
    found = [node for node in nodes if node["replaces"] and node["replaces"]["node_id"] == node_id]
    return dict(found[0]) if found else None


def place(node: dict[str, Any]) -> tuple[str, str, str, str]:
    return node["provider"], node["region"], node["zone"], node["instance_type"]


@pytest.mark.engine
def test_at_the_notice_another_node_is_launched_elsewhere_while_the_old_one_answers_what_it_has_begun(
    world: World,
) -> None:
    with running(world, "notice") as server:
        launch_id = server.launch(**world.request("aws", region=None, keep=True))
        old = server.ended(launch_id)["node"]
        (machine,) = world.machines(launch_id)
        node = world.site.nodes[machine.id]

        node.interrupt()
        new = until(lambda: in_its_place(server, old["id"]), "another node stands in its place", 240)
        # The machine is there for as long as it answers; its launch did not wait for its end.
        assert world.machines(launch_id) != []
        assert place(new) != place(old)
        then = server.get(f"/admin/nodes/{old['id']}")
        assert then["state"] == "interrupted"
        assert then["interruption"]["relaunch_job_id"] == new["job_id"]
        outage = new["replaces"]["seconds_without_endpoint"]
        assert 0 < outage < 120
        assert then["interruption"]["seconds_without_endpoint"] == outage

        again = server.status(new["job_id"])
        tried = [attempt for attempt in again["attempts"] if attempt["state"] == "succeeded"]
        assert [place(attempt["offer"]) for attempt in tried] == [place(new)]
        passed_over = [attempt for attempt in again["attempts"] if place(attempt["offer"]) == place(old)]
        assert all("spot_interrupted" in attempt["reason"] for attempt in passed_over)

        node.drain()
        gone = server.gone(launch_id)
        assert gone["interruption"]["restored_at"] is not None
        assert world.left(launch_id) == []
        server.destroy(new["job_id"])
        server.gone(new["job_id"])


@pytest.mark.engine
def test_a_machine_that_is_taken_back_in_the_middle_of_its_boot_is_no_failed_launch(world: World) -> None:
    with running(world, "boot") as server:
        launch_id = server.launch(**world.request("aws", region=None))
        world.fails[launch_id] = "spot_interrupted"
        (first,) = until(lambda: _failed(server.status(launch_id)), "the first offer has failed")
        world.fails.pop(launch_id)
        assert (first["error"]["kind"], first["error"]["code"]) == ("capacity", "spot_interrupted")
        found = server.ended(launch_id)
        assert found["status"] == "succeeded", found
        assert place(found["attempts"][-1]["offer"]) != place(first["offer"])
        assert len(world.machines(launch_id)) == 1
        server.destroy(launch_id)
        server.gone(launch_id)


def _failed(launch: dict[str, Any]) -> list[dict[str, Any]]:
    return [attempt for attempt in launch["attempts"] if attempt["state"] == "failed"]


@dataclass
class Host:
    """A control plane at an emulated cloud: its first machine is a real one of this host, with a metadata service."""

    world: World
    service: MetadataService
    machine: str = ""


@pytest.fixture
def host(machine_site: Site, host_machines: Machines, tmp_path: Path) -> Iterator[Host]:
    cloud = machine_site.clouds.world
    # Other nodes of these tests are threads: vLLM takes longer to start.
    machine_site.config["bootDeadlineSeconds"] = "300"
    boot, remove = cloud.on_vm, cloud.on_vm_deleted
    assert boot is not None
    assert remove is not None
    with served(GATEWAY) as service:
        made = Host(_prepared(World(machine_site, Gates(), tmp_path)), service)
        start_in_this_process = cloud.on_vm
        assert start_in_this_process is not None
        addresses = iter([""])

        def on_address(provider: str, inputs: Any) -> str:
            if next(addresses, None) is None:
                return f"127.8.{secrets.randbelow(250) + 1}.1"
            made.machine = host_machines.address(provider, inputs)
            host_machines.redirect_metadata(made.machine, service.url.removeprefix("http://"))
            return made.machine

        def on_vm(provider: str, inputs: Any, user_data: bytes, outputs: Any) -> Any:
            is_machine = told(user_data)["server_name"] == made.machine
            return (boot if is_machine else start_in_this_process)(provider, inputs, user_data, outputs)

        def on_vm_deleted(machine: str) -> None:
            remove(machine)
            if machine in machine_site.nodes:
                machine_site.nodes.pop(machine).end()

        cloud.on_address, cloud.on_vm, cloud.on_vm_deleted = on_address, on_vm, on_vm_deleted
        yield made


@pytest.mark.machine
def test_a_machine_that_gcp_preempts_ends_its_answer_turns_others_away_and_another_node_takes_its_place(
    host: Host,
) -> None:
    with running(host.world, "machine") as server:
        launch_id = server.launch(**host.world.request("gcp", region=None, keep=True))
        found = server.ended(launch_id, 400)
        assert found["status"] == "succeeded", f"{found}\n{server.told()}"
        old = found["node"]
        assert host.machine in old["endpoint"]

        access = server.get(f"/admin/nodes/{old['id']}/access")
        context = ssl.create_default_context(cadata=access["certificate"])
        headers = {"Authorization": f"Bearer {access['api_key']}"}
        asked = {"model": MODEL, "prompt": "Hello", "max_tokens": 400, "ignore_eos": True, "n": 2, "stream": True}
        with (
            httpx.Client(
                base_url=old["endpoint"], verify=context, headers=headers, timeout=60, trust_env=False
            ) as client,
            client.stream("POST", "/v1/completions", json=asked) as answer,
        ):
            parts = answer.iter_bytes()
            first = next(parts)
            assert first.startswith(b"data: ")
            host.service.preempt_gcp()
            noticed = time.time()
            refused = until(lambda: _refused(client), "new requests are turned away", 10)
            assert refused.headers["Retry-After"] == "30"
            assert refused.headers["Connection"] == "close"
            # The model's words may hold any character but this one.
            lines = b"".join([first, *parts]).split(b"\n")
            ended = time.time()
        tokens = [json.loads(line[6:])["choices"] for line in lines if line.startswith(b"data: {")]
        finished = [choice for choices in tokens for choice in choices if choice["finish_reason"] == "length"]
        assert len(finished) == asked["n"], "every answer that was begun came to its end"
        assert ended > noticed

        new = until(lambda: in_its_place(server, old["id"]), "another node stands in its place", 240)
        assert place(new) != place(old)
        outage = new["replaces"]["seconds_without_endpoint"]
        assert 0 < outage < time.time() - noticed + 5
        gone = server.gone(launch_id)
        assert gone["interruption"]["seconds_without_endpoint"] == outage
        assert host.world.machines(launch_id) == []
        server.destroy(new["job_id"])
        server.gone(new["job_id"])


def _refused(client: httpx.Client) -> httpx.Response | None:
    asked = {"model": MODEL, "prompt": "Hello", "max_tokens": 1}
    answer = client.post("/v1/completions", json=asked)
    return answer if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else None
