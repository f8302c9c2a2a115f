"""A real server of `liftoff serve`, which a test may kill and start again, and a client of its API."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from tests.e2e.conftest import LIFTOFF, ROOT

ENDED: Final = ("succeeded", "failed", "cancelled")
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05
_Found = TypeVar("_Found")


def until(look: Callable[[], _Found | None], what: str, seconds: float = 120.0) -> _Found:
    """Return what `look` finds as soon as it is something; fail once the time is over."""
    limit = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < limit, f"{what}: not within {seconds:.0f} s"
        time.sleep(_LOOK_SECONDS)
    return found


class Server:
    """One server: the same settings, ports and name each time that it is started."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        *options: str,
        program: Sequence[str | Path] = (LIFTOFF, "serve"),
    ) -> None:
        self.environment = dict(environment)
        self._program = program
        self.log = log
        self._ports = (_free_port(), _free_port())
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{self._ports[0]}", timeout=30, trust_env=False, follow_redirects=False
        )

    @property
    def url(self) -> str:
        """The API's own."""
        return str(self._http.base_url)

    @property
    def headers(self) -> dict[str, str]:
        """What a request has to carry."""
        return {"X-Admin-Token": self._token}

    @property
    def runs(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self, options: Sequence[str] = ()) -> None:
        """Start it, with some more options this time, and wait until it answers."""
        ports = ("--port", str(self._ports[0]), "--page-port", str(self._ports[1]))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, *ports, "--catalog-prices", *self._options, *options],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._answers, "the server answers", _START_SECONDS)
        if not self._token:
            self._token = self._issue()
            self._http.headers["X-Admin-Token"] = self._token

    def kill(self) -> None:
        """End the server's own process at once, as `kill -9` does; what it has started learns of it by itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def crash(self) -> None:
        """End the server and everything that it has started at once, as a host does that loses its power."""
        assert self._process is not None
        family = [self.pid, *_below(self.pid)]
        for pid in family:
            _signal(pid, signal.SIGSTOP)
        # What was started between the look and the stop is stopped by now, or below one that is.
        for pid in dict.fromkeys([*family, *_below(self.pid)]):
            _signal(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Let the server's process stand still; what it has started goes on."""
        os.kill(self.pid, signal.SIGSTOP)

    def workers(self) -> list[int]:
        """Return the processes that the server has started and that still run."""
        return _below(self.pid)

    def stop(self) -> None:
        """End it as an operator does, if it runs."""
        if self._process is not None:
            _signal(self.pid, signal.SIGCONT)
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        """End it, and the client."""
        try:
            self.stop()
        finally:
            if self._process is not None:
                self.crash()
            self._http.close()

    def launch(self, **asked: Any) -> str:
        """Ask for a launch, and return its id."""
        return str(self.post("/admin/instances/launch", asked)["job_id"])

    def status(self, launch_id: str) -> dict[str, Any]:
        """Return everything about a launch."""
        return self.get("/admin/instances/status", job_id=launch_id)

    def ended(self, launch_id: str, seconds: float = 180.0) -> dict[str, Any]:
        """Return a launch once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.status(launch_id)
            return found if found["status"] in ENDED else None

        try:
            return until(look, f"{launch_id} has ended", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.status(launch_id)}\n{self.told()}") from error

    def cancel(self, launch_id: str) -> dict[str, Any]:
        """Cancel a launch."""
        return self.post("/admin/instances/cancel", None, job_id=launch_id)

    def destroy(self, launch_id: str) -> dict[str, Any]:
        """Take down what a launch has made."""
        return self.post("/admin/instances/destroy", None, job_id=launch_id)

    def node_of(self, launch_id: str) -> dict[str, Any] | None:
        """Return the node of a launch; there is at most one."""
        found = [node for node in self.get("/admin/nodes")["items"] if node["job_id"] == launch_id]
        assert len(found) <= 1, found
        return dict(found[0]) if found else None

    def gone(self, launch_id: str, seconds: float = 180.0) -> dict[str, Any]:
        """Return the node of a launch once it has gone."""

        def look() -> dict[str, Any] | None:
            node = self.node_of(launch_id)
            return node if node is not None and node["state"] == "gone" else None

        try:
            return until(look, f"the node of {launch_id} has gone", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.status(launch_id)}\n{self.told()}") from error

    def events(self, launch_id: str) -> list[tuple[int, str, dict[str, Any]]]:
        """Return the events of a launch that has ended, as they are streamed, without the last one."""
        found: list[tuple[int, str, dict[str, Any]]] = []
        fields: dict[str, str] = {}
        with self._http.stream("GET", "/admin/instances/events", params={"job_id": launch_id}) as answer:
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif fields:
                    if fields.get("event") == "end":
                        return found
                    found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                    fields = {}
        raise AssertionError("the stream ended without its end")

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return what a GET answers."""
        return _body(self._http.get(path, params=parameters))

    def post(self, path: str, body: object, **parameters: str) -> dict[str, Any]:
        """Return what a POST answers."""
        return _body(self._http.post(path, params=parameters, json=body))

    def delete(self, path: str) -> dict[str, Any]:
        """Return what a DELETE answers."""
        return _body(self._http.delete(path))

    def told(self) -> str:
        """Return the end of the server's log."""
        return self.log.read_text(errors="replace")[-6000:]

    def _issue(self) -> str:
        database = [
            part
            for name, value in zip(self._options, self._options[1:], strict=False)
            if name == "--database"
            for part in (name, value)
        ]
        done = subprocess.run(
            [LIFTOFF, "token", "create", "test", "--json", *database],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["token"])

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.told()
        try:
            return self._http.get("/healthz").is_success
        except httpx.HTTPError:
            return False


def _body(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _below(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold spaces.
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(path.parent.name))
    found = list(children.get(pid, ()))
    for one in found:
        found.extend(children.get(one, ()))
    return found
