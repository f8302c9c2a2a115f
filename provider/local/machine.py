"""A machine on this host: booted, found again, resized, and removed without a trace."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from provider import places
from provider.local import cgroup, image, plain_process, process
from provider.local.host import locked, run
from provider.local.network import Isolation
from provider.resource import Refused

Say = Callable[[str], None]

_LEADER_SECONDS: Final = 20.0
_SHUTDOWN_SECONDS: Final = 15.0
_POWER_OFF: Final = signal.SIGRTMIN + 4
"""What a machine's init takes as an order to power off (systemd(1), "Signals")."""


@dataclass(frozen=True)
class MachineSpec:
    """What a machine is made from.

    Attributes:
        name: its name, unique on this host.
        user_data: the cloud-config document; it holds the node's keys.
        isolation: a real machine, or plain processes.
        namespace: the network namespace that `network.create` made.
        address: its IPv4 address.
        gateway: this host's address as it sees it.
        image: `baked` with the serving environment, `base` without.
        requirements: what the baked layer is made from.
        memory_bytes: its memory limit in bytes.
        cpus: its share of this host's processors.
        vendor_data: what the provider of an image adds to a user's own data, for cloud-init; may be empty.
        instance_id: the machine's id as cloud-init finds it; empty makes one of the name and the rest.
    """

    name: str
    user_data: str = field(repr=False)
    isolation: Isolation
    namespace: str
    address: str
    gateway: str
    image: Literal["baked", "base"]
    requirements: str = field(repr=False)
    memory_bytes: int
    cpus: float
    vendor_data: str = field(default="", repr=False)
    instance_id: str = ""

    def digest(self) -> str:
        """Return what tells two machines of one name apart; memory and processors can be changed and don't count."""
        fixed = replace(self, memory_bytes=0, cpus=0)
        return hashlib.sha256(json.dumps(asdict(fixed), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Machine:
    """A machine that is running.

    Attributes:
        machine_id: its name.
        pid: this host's number of its first process.
        booted_at: when it was started, in seconds since 1970.
        isolation: a real machine, or plain processes.
    """

    machine_id: str
    pid: int
    booted_at: float
    isolation: Isolation


def boot(spec: MachineSpec, say: Say) -> Machine:
    """Boot a machine; one that runs already under this name and from this spec is returned as it is.

    Raises:
        Refused: another machine has the name, or it did not start.
    """
    folder = _folder(spec.name)
    with locked(_machines() / f".{spec.name}.lock"):
        running = find(spec.name)
        if running is not None:
            if _record(spec.name)["digest"] == spec.digest():
                return running
            raise Refused(
                "configuration",
                "name_taken",
                f"a machine {spec.name!r} is running on this host from other user data",
                hint=f"destroy its stack, or remove it: liftoff local remove {spec.name}",
            )
        _remove(spec.name)
        folder.mkdir(parents=True, mode=0o700)
        _write_seed(folder / "seed", spec)
        record = {"digest": spec.digest(), "isolation": spec.isolation, "booted_at": time.time()}
        if spec.isolation == "process":
            say("Starting the boot program as plain processes")
            identity = plain_process.start(folder, spec.user_data)
        else:
            identity = _boot_nspawn(folder, spec, say)
        _write_record(spec.name, {**record, "pid": identity.pid, "started": identity.started})
    return Machine(spec.name, identity.pid, float(record["booted_at"]), spec.isolation)  # type: ignore[arg-type]


def find(machine_id: str) -> Machine | None:
    """Return a machine that is running, or None."""
    record = _record(machine_id)
    if not record or not process.is_alive(process.Identity(record["pid"], record["started"])):
        return None
    return Machine(machine_id, record["pid"], record["booted_at"], record["isolation"])


def listing() -> list[tuple[str, Machine | None]]:
    """Return every machine that has a folder here, with None for one that has died."""
    if not _machines().exists():
        return []
    names = sorted(path.name for path in _machines().iterdir() if path.is_dir())
    return [(name, find(name)) for name in names]


def resize(machine_id: str, *, memory_bytes: int, cpus: float) -> None:
    """Change a running machine's memory, in bytes, and processors; plain processes have no limits."""
    machine = find(machine_id)
    if machine is not None and machine.isolation == "nspawn":
        cgroup.limit(machine_id, memory_bytes, cpus)


def delete(machine_id: str, say: Say) -> None:
    """Power a machine off and remove every trace of it.

    Raises:
        Refused: something is left; the message names it.
    """
    with locked(_machines() / f".{machine_id}.lock"):
        machine = find(machine_id)
        if machine is not None:
            say("Powering off")
            identity = process.identify(machine.pid)
            if machine.isolation == "nspawn":
                process.end([identity], _POWER_OFF, seconds=_SHUTDOWN_SECONDS)
            else:
                plain_process.end(identity, _SHUTDOWN_SECONDS)
        _remove(machine_id)
    (_machines() / f".{machine_id}.lock").unlink(missing_ok=True)


def _boot_nspawn(folder: Path, spec: MachineSpec, say: Say) -> process.Identity:
    layers = [image.ensure_root(say)]
    if spec.image == "baked":
        layers.insert(0, image.ensure_baked(spec.requirements, say))
    for part in ("upper", "work", "merged"):
        (folder / part).mkdir()
    # The upper layer's mode is that of the machine's root folder, which all of its users pass through.
    (folder / "upper").chmod(0o755)
    image.mount_overlay(folder / "merged", folder / "upper", folder / "work", layers)
    groups = cgroup.make(spec.name)
    cgroup.limit(spec.name, spec.memory_bytes, spec.cpus)
    say("Booting")
    # The shell enters the control group before it becomes nspawn, so that no process is ever outside.
    enter = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done; shift; exec "$@"'
    with (folder / "console.log").open("ab") as console:
        supervisor = subprocess.Popen(
            ["sh", "-c", enter, "sh", *map(str, groups), "--", *_nspawn_command(folder, spec)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            umask=0o022,
            cwd="/",
            env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "SYSTEMD_LOG_LEVEL": "warning"},
        )
    deadline = time.monotonic() + _LEADER_SECONDS
    # nspawn's own children come and go before the machine's init is there.
    while not (leaders := [pid for pid in cgroup.members(spec.name) if process.is_first_of_namespace(pid)]):
        if supervisor.poll() is not None or time.monotonic() > deadline:
            words = (folder / "console.log").read_text(errors="replace").strip().splitlines()[-5:]
            _remove(spec.name)
            raise Refused(
                "boot",
                "machine_not_started",
                f"systemd-nspawn did not start {spec.name!r}: {' | '.join(words) or 'it said nothing'}",
                hint="look at its words; if it names a mount or a namespace, run: liftoff local sweep",
            )
        time.sleep(0.02)
    process.detached(supervisor)
    return process.identify(leaders[0])


def _nspawn_command(folder: Path, spec: MachineSpec) -> list[str]:
    return [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--boot",
        "--console=pipe",
        f"--machine={spec.name}",
        f"--directory={folder / 'merged'}",
        f"--bind-ro={folder / 'seed'}:/var/lib/cloud/seed/nocloud",
        f"--network-namespace-path=/run/netns/{spec.namespace}",
        "--capability=CAP_NET_ADMIN",
        f"--bind-ro={folder / 'resolv.conf'}:/etc/resolv.conf",
        "--resolv-conf=off",
    ]


def _write_seed(seed: Path, spec: MachineSpec) -> None:
    seed.mkdir(mode=0o700)
    _write_secret(seed / "user-data", spec.user_data)
    # cloud-init runs its per-instance parts again when the instance id changes, as for a new machine.
    instance = spec.instance_id or f"{spec.name}-{spec.digest()[:12]}"
    if spec.vendor_data:
        _write_secret(seed / "vendor-data", spec.vendor_data)
    _write_secret(seed / "meta-data", json.dumps({"instance-id": instance, "local-hostname": spec.name}))
    (seed.parent / "resolv.conf").write_text(_resolvers())


def _resolvers() -> str:
    """Return resolv.conf for a machine: this host's, unless it asks a resolver that only this host can reach."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if path.exists() and (text := path.read_text()) and "nameserver 127." not in text:
            return text
    return "nameserver 1.1.1.1\nnameserver 9.9.9.9\n"


def _remove(machine_id: str) -> None:
    """Remove what is left of a machine that does not run: processes, mounts, control group, folder."""
    folder = _folder(machine_id)
    left = [process.identify(pid) for pid in cgroup.members(machine_id) if Path(f"/proc/{pid}").exists()]
    process.end(left, signal.SIGKILL, seconds=5)
    if folder.exists():
        plain_process.sweep(folder)
        for mount in reversed(_mounts_below(folder)):
            run(["umount", mount], check=False)
        for mount in reversed(_mounts_below(folder)):
            run(["umount", "--lazy", mount], check=False)
        if not _mounts_below(folder):
            run(["rm", "-rf", "--one-file-system", folder])
    cgroup.remove(machine_id)
    left_over = [*_mounts_below(folder), *(f"process {pid}" for pid in cgroup.members(machine_id))]
    if left_over or folder.exists():
        raise Refused(
            "unknown",
            "machine_not_removed",
            f"of the machine {machine_id!r} there is left: {', '.join(left_over) or folder}",
            hint="run: liftoff local sweep",
        )


def _mounts_below(folder: Path) -> list[str]:
    mounts = [line.split()[1].encode().decode("unicode_escape") for line in _mount_lines()]
    return [mount for mount in mounts if Path(mount).is_relative_to(folder)]


def _mount_lines() -> list[str]:
    return Path("/proc/self/mounts").read_text().splitlines() if Path("/proc/self/mounts").exists() else []


def _machines() -> Path:
    return places.state_folder() / "machines"


def _folder(machine_id: str) -> Path:
    return _machines() / machine_id


def _record(machine_id: str) -> dict[str, Any]:
    try:
        return dict(json.loads((_folder(machine_id) / "machine.json").read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def _write_record(machine_id: str, record: dict[str, object]) -> None:
    partial = _folder(machine_id) / "machine.json.new"
    partial.write_text(json.dumps(record))
    partial.rename(partial.with_suffix(""))


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)
