"""`liftoff serve` as a process of its own, with folders and ports of its own; it can be killed and started again."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

import httpx

from provider.local import network
from tests.page.scripted_server import free_port

ROOT: Final = Path(__file__).parents[2]
_LIFTOFF: Final = ROOT / ".venv" / "bin" / "liftoff"
_PAGE: Final = re.compile(r"^Page: (\S+)", re.MULTILINE)
_START_SECONDS: Final = 60.0


class RealServer:
    """One server; what it knows is in its folder and outlives it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.port, self.page_port = free_port(), free_port()
        self._log = folder / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None
        unwanted = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
        self._environment = {name: value for name, value in os.environ.items() if name not in unwanted} | {
            "LIFTOFF_STATE": str(self.state),
            "LIFTOFF_KEYS": str(folder / "keys"),
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def start(self) -> str:
        """Start it, wait until it says so, and return its page's address, with a token at the first start."""
        begin = self._log.stat().st_size if self._log.exists() else 0
        command = ["serve", "--stack", "dev", "--catalog-prices", "--host", "localhost"]
        command += ["--port", str(self.port), "--page-port", str(self.page_port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_LIFTOFF, *command],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while (found := _PAGE.search(self._log.read_bytes()[begin:].decode())) is None:
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            threading.Event().wait(0.05)
        if begin:
            return found[1]
        return f"{found[1]}#token={self._token()}"

    def kill(self) -> None:
        """End it as a crash would: the engines that it had begun go on by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, seconds: float = 30) -> None:
        """Ask it to end, and wait until it has."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {seconds} s of SIGTERM:\n{self.said()}") from None

    def clear(self, seconds: float = 240) -> None:
        """Take down what a test that failed has left."""
        self.stop()
        self.start()
        headers = {"X-Admin-Token": self._token()}
        with httpx.Client(base_url=f"http://localhost:{self.port}/admin", headers=headers) as client:
            for launch in client.get("/instances").json()["items"]:
                client.post("/instances/destroy", params={"job_id": launch["job_id"]})
        deadline = time.monotonic() + seconds
        while self.left() and time.monotonic() < deadline:
            threading.Event().wait(0.5)

    def _token(self) -> str:
        made = subprocess.run(
            [_LIFTOFF, "token", "create", "tests"],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return made.stdout.strip()

    def said(self) -> str:
        """Return what it has written, without tokens."""
        return re.sub(r"lo_[\w-]+", "lo_…", self._log.read_text())

    def left(self) -> list[str]:
        """Return what its launches have left on this host: folders, machines, networks, leases."""
        kinds = ("launch-projects", "machines", "storage/leases")
        launched = [path.name for path in (self.state / "launches").glob("launch-*")]
        # Networks are the host's, and a machine's name is the beginning of its launch's.
        networks = [name for name in network.names() if any(launch.startswith(name) for launch in launched)]
        return networks + [
            f"{kind}/{path.name}"
            for kind in kinds
            for path in (self.state / kind).glob("*")
            if not path.name.startswith(".")
        ]
