"""Real machines of this host for the machines of the emulated clouds: real cloud-init runs the very user data.

What such a machine lacks is a GPU. Its vendor data, which a cloud's image may bring along, stands in for what the image
has: a program nvidia-smi, and the serving environment, which is vLLM's CPU build with the arguments that it takes.
"""

import gzip
import hashlib
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from automation.weights import Target, push
from components.cuda import requirements
from components.local import REQUIREMENTS
from provider.local import machine, network, tiny_llama
from provider.local import storage as local_storage
from provider.storage import Bucket, Storage
from tests.clouds.fixtures import Clouds

from .conftest import Site, site_of
from .node import told

_MARKER = "/opt/liftoff/venv/liftoff-requirements.sha256"
_PYTHON = "/opt/liftoff/venv/bin/python"
_GPU = {"grid": "NVIDIA A10-24Q, 570.211.01, 24512 MiB", "datacenter": "NVIDIA L4, 580.65.06, 23034 MiB"}

_WRAPPER = """#!/bin/sh
# The CPU build computes in float32, and the tiny model has a context of its own.
set -- "$@" --enforce-eager
case " $* " in *" vllm.entrypoints"*) ;; *) exec {python}3 "$@" ;; esac
count=$#
while [ "$count" -gt 0 ]; do
    word=$1; shift; count=$((count - 1))
    case "$word" in
    --dtype) shift; count=$((count - 1)); set -- "$@" --dtype float32 ;;
    --max-model-len) shift; count=$((count - 1)); set -- "$@" --max-model-len 512 ;;
    *) set -- "$@" "$word" ;;
    esac
done
VLLM_CPU_KVCACHE_SPACE=1 exec {python}3 "$@"
"""


def vendor_data(gpu_driver: str, cuda: str) -> str:
    """Return a script that cloud-init runs before the user's."""
    digest = hashlib.sha256(requirements(cuda).encode()).hexdigest()
    wrapper = _WRAPPER.format(python=_PYTHON)
    files = {
        "/usr/local/bin/nvidia-smi": f"#!/bin/sh\necho {shlex.quote(_GPU[gpu_driver])}\n",
        _PYTHON: wrapper,
        _MARKER: digest + "\n",
    }
    lines = ["#!/bin/sh", "set -eu"]
    for path, content in files.items():
        lines.append(f"rm -f {path}; printf %s {shlex.quote(content)} > {path}; chmod 755 {path}")
    return "\n".join(lines) + "\n"


class Machines:
    """Networks and machines of this host, one pair for each address that a cloud gives."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._names: dict[str, str] = {}
        self._made = 0
        self.machines: dict[str, str] = {}

    def address(self, provider: str, inputs: Mapping[str, Any]) -> str:
        """Make a network, and return its address."""
        self._made += 1
        name = f"{self._prefix}-{self._made}"
        address = network.create(name, "nspawn").address
        self._names[address] = name
        return address

    def boot(self, provider: str, inputs: Any, user_data: bytes, outputs: Any) -> None:
        """Boot the machine that the user data tells the address of."""
        settings = told(user_data)
        document = gzip.decompress(user_data) if user_data[:2] == b"\x1f\x8b" else user_data
        name = self._names[settings["server_name"]]
        made = network.create(name, "nspawn")
        instance = {"aws": "id", "azure-native": "vmId", "gcp": "instanceId"}[provider]
        self.machines[str(outputs["id"])] = name
        machine.boot(
            machine.MachineSpec(
                name=name,
                user_data=document.decode(),
                isolation="nspawn",
                namespace=made.namespace,
                address=made.address,
                gateway=made.gateway,
                image="baked",
                requirements=REQUIREMENTS.read_text(),
                memory_bytes=8 << 30,
                cpus=2,
                vendor_data=vendor_data(settings["gpu_driver"], "12.8" if settings["gpu_driver"] == "grid" else "13.0"),
                instance_id=str(outputs[instance]),
            ),
            lambda _: None,
        )

    def redirect_metadata(self, address: str, service: str) -> None:
        """Let a machine find a service, `ADDRESS:PORT`, at the address of its cloud's metadata service.

        The rule is in the network namespace of the machine alone, and goes with it.
        """
        rules = f"""table ip metadata {{
            chain output {{
                type nat hook output priority -100;
                ip daddr 169.254.169.254 tcp dport 80 dnat to {service}
            }}
        }}"""
        namespace = network.create(self._names[address], "nspawn").namespace
        subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=rules, text=True, check=True)

    def delete(self, machine_id: str) -> None:
        """Power a machine off."""
        if machine_id in self.machines:
            machine.delete(self.machines.pop(machine_id), lambda _: None)

    def close(self) -> None:
        """Remove all that is left."""
        for machine_id in list(self.machines):
            self.delete(machine_id)
        for name in self._names.values():
            network.delete(name)


@pytest.fixture
def host_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """Machines of this host, which go at the end of a test, and the bridge that they are reached by."""
    monkeypatch.setenv("LIFTOFF_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LIFTOFF_KEYS", str(tmp_path / "keys"))
    holder = f"test-{secrets.token_hex(3)}"
    network.hold_bridge(holder)
    machines = Machines(holder)
    try:
        yield machines
    finally:
        machines.close()
        network.release_bridge(holder)


@pytest.fixture
def machine_site(tmp_path: Path, clouds: Clouds, host_machines: Machines) -> Iterator[Site]:
    """A desk at emulated clouds whose machines are real, with the tiny model in a bucket that they reach."""
    holder, prefix = f"test-{secrets.token_hex(3)}", f"test-{secrets.token_hex(4)}"
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
    world = clouds.world
    try:
        for made in site_of(tmp_path, clouds, storage, f"s3://{held.bucket}/{prefix}"):
            world.on_address = host_machines.address
            world.on_vm, world.on_vm_deleted = host_machines.boot, host_machines.delete
            yield made
    finally:
        Bucket(storage).delete_below(prefix)
        local_storage.release(holder)
