"""How vLLM and the proxy are kept running: as systemd units on a machine, as child processes elsewhere."""

from __future__ import annotations

import collections
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from boot.failure import BootFailed
from boot.proxy import FOLDER, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from boot.settings import Settings

DRAIN_SECONDS = 90
"""How long requests in flight may take when the node is told to stop."""

_STOP_SECONDS = DRAIN_SECONDS + 15
_ENVIRONMENT = "/etc/liftoff/vllm.env"
_LINES = 2000
"""How many lines are kept for whoever looks next: after the boot nobody does, and the node lives for days."""

_HARDENED = """NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
PrivateMounts=yes
ProtectProc=invisible
KeyringMode=private
# What the cloud tells this machine, user data and its keys included, is for root: no URL that vLLM fetches gets it.
IPAddressDeny={metadata}
UMask=0077
"""

_METADATA = (
    # All clouds' metadata services: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    "169.254.0.0/16",
    # AWS over IPv6
    "fd00:ec2::254",
    # GCP over IPv6: https://cloud.google.com/compute/docs/metadata/querying-metadata
    "fd20:ce::254",
    # Azure's host: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16",
)

_VLLM_UNIT = """[Unit]
Description=vLLM, the model server of Liftoff
After=network-online.target
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=exec
ExecStart={command}
EnvironmentFile={environment}
DynamicUser=yes
StateDirectory=liftoff-vllm
WorkingDirectory=/var/lib/liftoff-vllm
Environment=HOME=/var/lib/liftoff-vllm XDG_CACHE_HOME=/var/lib/liftoff-vllm
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStopSec={stop}
LimitNOFILE=65536
OOMPolicy=stop
CapabilityBoundingSet=
# Compilers need memory that is written and executed; the GPU's devices come and go with its driver's modules.
SystemCallFilter=@system-service pidfd_getfd
SystemCallFilter=~@privileged
{hardened}
[Install]
WantedBy=multi-user.target
"""

_PROXY_UNIT = """[Unit]
Description=The TLS proxy of Liftoff
After=network-online.target
# Stopped before vLLM, so that no request comes in while the last ones are answered.
After=liftoff-vllm.service

[Service]
Type=exec
ExecStartPre=/usr/sbin/nginx -t -q -c {config}
ExecStart=/usr/sbin/nginx -c {config} -g "daemon off;"
ExecReload=/bin/kill -HUP $MAINPID
KillSignal=SIGQUIT
KillMode=mixed
TimeoutStopSec={stop}
RuntimeDirectory=liftoff-proxy
Restart=on-failure
RestartSec=2
LimitNOFILE=65536
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_CHOWN CAP_DAC_OVERRIDE
PrivateDevices=yes
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
{hardened}
[Install]
WantedBy=multi-user.target
"""


class Services(Protocol):
    """What the boot asks of whatever runs vLLM and the proxy."""

    def start_vllm(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start vLLM; one that runs already is started anew with what is given now."""

    def start_proxy(self) -> None:
        """Start the proxy with the configuration that has been written."""

    def new_lines(self) -> list[str]:
        """Return what vLLM has said since the last call."""

    def ended(self) -> str | None:
        """Return what has ended and how, or None while both run."""


def unit_argument(text: str) -> str:
    """Return an argument as a unit file's ExecStart takes it (systemd.service(5), "Command lines")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def environment_line(name: str, value: str) -> str:
    """Return one line of an EnvironmentFile (systemd.exec(5)); the value is quoted."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f'{name}="{escaped}"\n'


def vllm_unit(command: Sequence[str]) -> str:
    """Return the unit of vLLM, started with these arguments."""
    return _VLLM_UNIT.format(
        command=" ".join(unit_argument(part) for part in command),
        environment=_ENVIRONMENT,
        stop=_STOP_SECONDS,
        hardened=_HARDENED.format(metadata=" ".join(_METADATA)),
    )


def proxy_unit() -> str:
    """Return the unit of the proxy."""
    hardened = _HARDENED.format(metadata=" ".join(_METADATA))
    return _PROXY_UNIT.format(config=f"{FOLDER}/nginx.conf", stop=_STOP_SECONDS, hardened=hardened)


class Systemd:
    """Units of a machine's systemd."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines = LineReader()

    def start_vllm(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """See `Services`."""
        text = "".join(environment_line(name, value) for name, value in environment.items())
        write_private(Path(_ENVIRONMENT), text)
        self._start("liftoff-vllm.service", vllm_unit(command))
        follow = ["journalctl", "--follow", "--output=cat", "--lines=0", "--unit=liftoff-vllm.service"]
        since = ["--since=-10s"]
        self._lines.read(subprocess.Popen([*follow[:-2], *since, *follow[-1:]], stdout=subprocess.PIPE))

    def start_proxy(self) -> None:
        """See `Services`."""
        # Debian starts nginx with its own pages when it is installed; the port is ours.
        subprocess.run(["systemctl", "disable", "--now", "nginx.service"], capture_output=True, check=False)
        self._start("liftoff-proxy.service", proxy_unit())

    def new_lines(self) -> list[str]:
        """See `Services`."""
        return self._lines.take()

    def ended(self) -> str | None:
        """See `Services`."""
        for unit in ("liftoff-vllm.service", "liftoff-proxy.service"):
            done = subprocess.run(
                ["systemctl", "show", "--property=ActiveState,Result,ExecMainStatus,NRestarts", unit],
                capture_output=True,
                text=True,
                check=False,
            )
            state = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
            # A server that has to be started again while it starts for the first time will not get better.
            if state.get("ActiveState") in ("failed", "inactive") or state.get("NRestarts", "0") != "0":
                return f"{unit} ended: {state.get('Result')}, exit status {state.get('ExecMainStatus')}"
        return None

    def _start(self, name: str, unit: str) -> None:
        Path("/etc/systemd/system", name).write_text(unit)
        for step in (["daemon-reload"], ["enable", name], ["restart", name]):
            done = subprocess.run(["systemctl", *step], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BootFailed(
                    "serve_failed",
                    "serve",
                    f"systemctl {' '.join(step)} failed: {done.stderr.strip()}",
                    "look at the node's last lines",
                )


class Children:
    """Child processes of the boot program, which stays with them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines = LineReader()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_vllm(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """See `Services`."""
        home = self._settings.at("/var/lib/liftoff-vllm")
        home.mkdir(parents=True, exist_ok=True)
        inherited = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "XDG_CACHE_HOME": str(home)}
        self._processes["vLLM"] = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**inherited, **environment},
            cwd=home,
        )
        self._lines.read(self._processes["vLLM"])

    def start_proxy(self) -> None:
        """See `Services`."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
        if program is None:
            raise BootFailed(
                "serve_failed", "serve", "nginx is not installed on this host", "install nginx and launch again"
            )
        config = str(self._settings.at(f"{FOLDER}/nginx.conf"))
        self._processes["the proxy"] = subprocess.Popen(
            [program, "-c", config, "-g", "daemon off;"], stdin=subprocess.DEVNULL
        )

    def new_lines(self) -> list[str]:
        """See `Services`."""
        return self._lines.take()

    def ended(self) -> str | None:
        """See `Services`."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                return f"{name} ended with {process.returncode}"
        return None

    def stop(self) -> None:
        """Drain: the proxy takes no more, vLLM answers what it has."""
        for name, number in (("the proxy", signal.SIGQUIT), ("vLLM", signal.SIGTERM)):
            process = self._processes.get(name)
            if process is not None and process.poll() is None:
                process.send_signal(number)
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


class LineReader:
    """Reads the lines of a process in a thread, so that looking never waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: collections.deque[str] = collections.deque(maxlen=_LINES)

    def read(self, process: subprocess.Popen[bytes]) -> None:
        """Begin to read a process's standard output."""
        threading.Thread(target=self._run, args=(process,), daemon=True).start()

    def take(self) -> list[str]:
        """Return the lines that came since the last call."""
        with self._lock:
            lines = list(self._taken)
            self._taken.clear()
        return lines

    def _run(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            # A progress bar overwrites itself: its last state is the one that counts.
            line = raw.decode(errors="replace").rstrip("\n").rsplit("\r", 1)[-1].strip()
            if line:
                with self._lock:
                    self._taken.append(line)
