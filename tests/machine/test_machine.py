"""A machine of this host: booted with real cloud-init, found again, resized, and removed without a trace."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provider import places
from provider.local import cgroup, machine, network
from provider.resource import Refused

pytestmark = pytest.mark.machine

NAME = "test-machine"
USER_DATA = "#cloud-config\nruncmd:\n- [sh, -c, 'hostname > /root/said']\n"


def _quiet(_: str) -> None:
    return None


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[machine.MachineSpec]:
    monkeypatch.setenv("LIFTOFF_STATE", str(tmp_path))
    made = network.create(NAME, "nspawn")
    yield machine.MachineSpec(
        name=NAME,
        user_data=USER_DATA,
        isolation="nspawn",
        namespace=made.namespace,
        address=made.address,
        gateway=made.gateway,
        image="base",
        requirements="",
        memory_bytes=2 << 30,
        cpus=1,
    )
    machine.delete(NAME, _quiet)
    network.delete(NAME)


def _inside(path: str) -> Path:
    return places.state_folder() / "machines" / NAME / "merged" / path


def _await(path: Path, seconds: float = 30) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path.name} did not appear in {seconds} s"
        time.sleep(0.1)
    return path.read_text().strip()


def test_cloud_init_runs_what_user_data_says(spec: machine.MachineSpec) -> None:
    booted = machine.boot(spec, _quiet)
    assert _await(_inside("root/said")) == NAME
    assert machine.find(NAME) == booted


def test_booting_it_again_finds_the_same_machine(spec: machine.MachineSpec) -> None:
    assert machine.boot(spec, _quiet) == machine.boot(spec, _quiet)


def test_another_machine_of_the_same_name_is_refused(spec: machine.MachineSpec) -> None:
    machine.boot(spec, _quiet)
    with pytest.raises(Refused, match="is running on this host from other user data"):
        machine.boot(replace(spec, user_data="#cloud-config\n{}\n"), _quiet)


def test_it_is_resized_while_it_runs(spec: machine.MachineSpec) -> None:
    machine.boot(spec, _quiet)
    machine.resize(NAME, memory_bytes=3 << 30, cpus=2)
    limits = [
        path.read_text().strip()
        for folder in cgroup.folders(NAME)
        for path in (folder / "memory.limit_in_bytes", folder / "memory.max")
        if path.exists()
    ]
    assert limits == [str(3 << 30)]


def test_a_machine_that_was_killed_has_gone(spec: machine.MachineSpec) -> None:
    booted = machine.boot(spec, _quiet)
    os.kill(booted.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while machine.find(NAME) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert machine.find(NAME) is None


def test_deleting_it_leaves_no_mount_no_process_no_group_and_no_file(spec: machine.MachineSpec) -> None:
    machine.boot(spec, _quiet)
    _await(_inside("root/said"))
    machine.delete(NAME, _quiet)
    assert not (places.state_folder() / "machines" / NAME).exists()
    assert str(places.state_folder()) not in Path("/proc/self/mounts").read_text()
    assert not any(folder.exists() for folder in cgroup.folders(NAME))
    processes = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert str(places.state_folder()) not in processes
    machine.delete(NAME, _quiet)


def test_the_last_network_takes_the_bridge_along_and_puts_forwarding_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if network.names() or Path("/sys/class/net/liftoff0").exists():
        pytest.skip("another machine, or the storage of one, is on this host")
    monkeypatch.setenv("LIFTOFF_STATE", str(tmp_path))
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    first, second = network.create("test-a", "nspawn"), network.create("test-b", "nspawn")
    assert first.address != second.address
    assert network.create("test-a", "nspawn") == first
    network.delete("test-a")
    assert Path("/sys/class/net/liftoff0").exists()
    network.delete("test-b")
    assert not Path("/sys/class/net/liftoff0").exists()
    assert forwarding.read_text() == before
