"""An address on this host for each machine: one bridge, one namespace each, and a way out by NAT."""

import ipaddress
import json
import os
import shutil
import socket
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from provider import places
from provider.local.host import RUNTIME, locked, run
from provider.resource import Refused

Isolation = Literal["nspawn", "process"]

_BRIDGE: Final = "liftoff0"
_SUBNET: Final = ipaddress.IPv4Network("10.213.0.0/24")
GATEWAY: Final = str(next(_SUBNET.hosts()))
"""This host's address on the bridge."""
_FOLDER: Final = RUNTIME / "network"
_FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")
_HTTPS_PORT: Final = 443


@dataclass(frozen=True)
class Network:
    """Where a machine is reached.

    Attributes:
        isolation: what this host can do, or what was asked for.
        reason: why a real machine can't run here; empty where it can.
        namespace: name of the network namespace; empty for a plain process.
        address: IPv4 address of the node.
        gateway: this host's address as the node sees it.
        port: TCP port of the endpoint.
    """

    isolation: Isolation
    reason: str
    namespace: str
    address: str
    gateway: str
    port: int


def obstacle() -> str:
    """Return why this host can't boot a real machine; empty where it can."""
    if os.uname().sysname != "Linux":
        return f"{os.uname().sysname} has no systemd-nspawn"
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    missing = [name for name in ("systemd-nspawn", "ip", "nft") if shutil.which(name) is None]
    return f"missing on this host: {', '.join(missing)}" if missing else ""


def create(name: str, isolation: Literal["auto", "nspawn", "process"]) -> Network:
    """Make the network of a machine, or return the one that it has.

    Raises:
        Refused: a real machine was asked for and can't run here, or no address is free.
    """
    reason = obstacle()
    if isolation == "nspawn" and reason:
        raise Refused(
            "configuration",
            "isolation_unavailable",
            f"isolation: given 'nspawn', but this host can't boot a real machine: {reason}",
            hint="run as root on Linux with systemd-container installed, or set liftoff:isolation to auto or process",
        )
    if isolation == "process" or reason:
        return _for_process(name, reason)
    with locked(_FOLDER / "lock"):
        known = _read(_record(name))
        network = known or Network("nspawn", "", f"liftoff-{name}", _free_address(), GATEWAY, _HTTPS_PORT)
        _record(name).write_text(json.dumps(asdict(network)))
        _raise_bridge()
        _raise_namespace(network)
    return network


def exists(name: str) -> bool:
    """Tell whether a machine has a network."""
    if _read(_process_record(name)) is not None:
        return True
    network = _read(_record(name))
    return network is not None and Path("/run/netns", network.namespace).exists()


def delete(name: str) -> None:
    """Remove a machine's network; the last one takes the bridge along."""
    _process_record(name).unlink(missing_ok=True)
    if not _FOLDER.exists():
        return
    with locked(_FOLDER / "lock"):
        network = _read(_record(name))
        if network is not None:
            run(["ip", "netns", "delete", network.namespace], check=False)
            run(["ip", "link", "delete", _veth(network.namespace)], check=False)
            _record(name).unlink()
        _lower_bridge_when_unused()


def hold_bridge(holder: str) -> None:
    """Keep the bridge up for a holder that is no machine."""
    with locked(_FOLDER / "lock"):
        _holder(holder).parent.mkdir(parents=True, exist_ok=True)
        _holder(holder).touch()
        _raise_bridge()


def release_bridge(holder: str) -> None:
    """Give the bridge up; the last holder or machine takes it down."""
    if not _FOLDER.exists():
        return
    with locked(_FOLDER / "lock"):
        _holder(holder).unlink(missing_ok=True)
        _lower_bridge_when_unused()


def names() -> list[str]:
    """Return the names of the machines that have a network here."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def _for_process(name: str, reason: str) -> Network:
    path = _process_record(name)
    with locked(path.parent / "lock"):
        known = _read(path)
        if known is not None:
            return known
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        network = Network("process", reason or "asked for", "", "127.0.0.1", "127.0.0.1", port)
        path.write_text(json.dumps(asdict(network)))
        return network


def _record(name: str) -> Path:
    return _FOLDER / f"{name}.json"


def _process_record(name: str) -> Path:
    return places.state_folder() / "network" / f"{name}.json"


def _holder(holder: str) -> Path:
    return _FOLDER / "holders" / holder


def _read(path: Path) -> Network | None:
    try:
        return Network(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def _free_address() -> str:
    taken = {GATEWAY} | {network.address for path in _FOLDER.glob("*.json") if (network := _read(path))}
    for address in _SUBNET.hosts():
        if str(address) not in taken:
            return str(address)
    raise Refused(
        "capacity",
        "addresses_exhausted",
        f"all addresses of {_SUBNET} are taken by local machines",
        hint="destroy a stack, or remove what is broken: liftoff local sweep",
    )


def _veth(namespace: str) -> str:
    # An interface's name has at most 15 characters.
    return f"lift{zlib.crc32(namespace.encode()):08x}"


def _raise_bridge() -> None:
    if not Path("/sys/class/net", _BRIDGE).exists():
        run(["ip", "link", "add", _BRIDGE, "type", "bridge"])
        run(["ip", "address", "add", f"{GATEWAY}/{_SUBNET.prefixlen}", "dev", _BRIDGE])
    run(["ip", "link", "set", _BRIDGE, "up"])
    before = _FOLDER / "ip_forward"
    if not before.exists():
        before.write_text(_FORWARDING.read_text())
    _FORWARDING.write_text("1")
    run(["nft", "-f", "-"], text=_rules())


def _rules() -> str:
    """Return the whole table; loading it again replaces it."""
    return f"""
table ip liftoff {{}}
delete table ip liftoff
table ip liftoff {{
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        ip saddr {_SUBNET} oifname != "{_BRIDGE}" masquerade
    }}
}}
"""


def _lower_bridge_when_unused() -> None:
    if names() or any((_FOLDER / "holders").glob("*")):
        return
    run(["ip", "link", "delete", _BRIDGE], check=False)
    run(["nft", "delete", "table", "ip", "liftoff"], check=False)
    before = _FOLDER / "ip_forward"
    if before.exists():
        _FORWARDING.write_text(before.read_text())
        before.unlink()


def _raise_namespace(network: Network) -> None:
    veth = _veth(network.namespace)
    if not Path("/run/netns", network.namespace).exists():
        run(["ip", "netns", "add", network.namespace])
    inside = ["ip", "-n", network.namespace]
    if not Path("/sys/class/net", veth).exists():
        run(["ip", "link", "add", veth, "type", "veth", "peer", "name", "host0", "netns", network.namespace])
        run(["ip", "link", "set", veth, "master", _BRIDGE, "up"])
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "address", "replace", f"{network.address}/{_SUBNET.prefixlen}", "dev", "host0"])
    run([*inside, "link", "set", "host0", "up"])
    run([*inside, "route", "replace", "default", "via", network.gateway])


def address_of(name: str) -> str | None:
    """Return a machine's address, or None when it has no network."""
    network = _read(_record(name)) or _read(_process_record(name))
    return network.address if network else None
