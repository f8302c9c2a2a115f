"""A server's API from the other side: each answer as docs/api.md describes it, each error as a reason to stop."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final, Self, TypeVar

import httpx

from automation import errors
from automation.errors import Kind, Stopped
from control_plane import told_events
from control_plane.told_events import Told

_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 45.0
"""A stream says something every 15 seconds: after three times that its connection is dead."""
_AGAIN_SECONDS: Final = 60.0
"""For how long a request whose answer was lost is sent again."""
_PAUSE_SECONDS: Final = 1.0
_AWAY: Final = frozenset({502, 503, 504})
"""What a proxy answers while the server behind it is away."""
_TOO_OFTEN: Final = "too_many_requests"
"""What a server answers that will answer later; wrong tokens have another code."""
_KINDS: Final = {
    "unauthorized": Kind.CREDENTIALS,
    "forbidden": Kind.CREDENTIALS,
    "not_found": Kind.CONFIGURATION,
    "not_allowed": Kind.CONFIGURATION,
    "conflict": Kind.CONFIGURATION,
}
"""The kinds that only the API has."""
_HINTS: Final = {"launch_unknown": "list them: liftoff status", "node_unknown": "list them: liftoff nodes"}
"""What to do at a command line, where the API tells of its routes."""

_Result = TypeVar("_Result")


class Silent(Exception):  # noqa: N818 - named after what happened
    """The server does not answer now; it may later."""


class Unreachable(Silent):
    """The server was not reached: it can't have done anything."""


class Server:
    """One server, asked with one token.

    Args:
        url: where it is, without a path of its own or with the one that a proxy gives it.
        token: goes into a header, and into no message.
        again_seconds: for how long a request whose answer was lost is sent again.
    """

    def __init__(self, url: str, token: str, again_seconds: float = _AGAIN_SECONDS) -> None:
        self._url = _checked(url)
        self._again_seconds = again_seconds
        self._client = httpx.Client(
            base_url=self._url,
            headers={"X-Admin-Token": token},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return self._url

    @property
    def option(self) -> str:
        """The option that a command needs to work against this server."""
        return f" --server {self.url}"

    def launch(self, asked: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Ask for a launch; the same key gives the same launch, however often the answer is lost."""
        return self._object("POST", "/admin/instances/launch", json=dict(asked), headers={"Idempotency-Key": key})

    def status(self, job_id: str) -> dict[str, Any]:
        """Return everything about a launch."""
        return self._object("GET", "/admin/instances/status", params={"job_id": job_id})

    def page(self, status: str | None, limit: int, after: str | None) -> dict[str, Any]:
        """Return launches in short, newest first, and where the next page begins."""
        given = {"status": status, "limit": limit, "cursor": after}
        return self._object("GET", "/admin/instances", params=_without_none(given))

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask for the end of a launch, and return it."""
        return self._object("POST", "/admin/instances/cancel", params={"job_id": job_id})

    def destroy(self, job_id: str) -> dict[str, Any]:
        """Ask for a launch's node to be taken down, and return the launch."""
        return self._object("POST", "/admin/instances/destroy", params={"job_id": job_id})

    def nodes(self, state: str | None) -> list[dict[str, Any]]:
        """Return the nodes, newest first."""
        found = self._object("GET", "/admin/nodes", params=_without_none({"state": state}))["items"]
        return list(found)

    def access(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return how a node is asked, its key included."""
        return self._object("GET", f"/admin/nodes/{node['id']}/access")

    def events(self, job_id: str, after: int) -> Iterator[Told]:
        """Yield the events of a launch after one, as they happen, over one connection; `open` when it stands.

        Raises:
            Silent: the connection was lost.
            Stopped: the server refuses.
        """
        headers = {"Last-Event-ID": str(after)} if after else {}
        timeout = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
        path, params = "/admin/instances/events", {"job_id": job_id}
        with (
            self._reaching(),
            self._client.stream("GET", path, params=params, headers=headers, timeout=timeout) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                answer.read()
                self._refuse(answer)
            yield Told(after, told_events.OPEN, {})
            yield from told_events.read(answer.iter_lines(), after)

    def silent(self, lost: Silent) -> Stopped:
        """Return the reason to stop where the server does not answer."""
        return Stopped(
            Kind.UNKNOWN,
            "server_silent",
            f"{self.url} does not answer: {lost}",
            "look whether `liftoff serve` runs there, and whether the URL is right",
        )

    def _object(self, method: str, path: str, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
        def ask() -> dict[str, Any]:
            with self._reaching():
                answer = self._client.request(method, path, **given)
                if not answer.is_success:
                    self._refuse(answer)
                return self._json(answer)

        try:
            return ask()
        except Unreachable as lost:
            # Nothing was done, and nothing is under way that would be worth waiting for.
            raise self.silent(lost) from lost
        except Silent:
            # Every route may be asked twice: a launch by its key, the rest by what it does.
            return self._again(ask)

    def _again(self, ask: Callable[[], _Result]) -> _Result:
        limit = time.monotonic() + self._again_seconds
        while True:
            time.sleep(_PAUSE_SECONDS)
            try:
                return ask()
            except Silent as lost:
                if time.monotonic() > limit:
                    raise self.silent(lost) from lost

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Stopped(
                Kind.CONFIGURATION,
                "not_a_server",
                f"--server: given {self.url!r}, which answers, but not as a `liftoff serve` does",
                "correct the URL",
            )
        return found

    def _refuse(self, answer: httpx.Response) -> None:
        try:
            problem = json.loads(answer.text)
            title, code, detail = str(problem["title"]), str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            if answer.status_code in _AWAY:
                raise Silent(f"HTTP {answer.status_code}") from None
            raise Stopped(
                Kind.CONFIGURATION if answer.is_client_error or answer.is_redirect else Kind.UNKNOWN,
                "not_a_server",
                f"--server: given {self.url!r}, which answers HTTP {answer.status_code} and no problem of Liftoff's",
                "correct the URL, or look into the server's log",
            ) from None
        if answer.status_code in _AWAY or code == _TOO_OFTEN:
            raise Silent(detail)
        hint = _HINTS.get(code) or str(problem.get("hint") or "look into the server's log")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            hint += "; give it in LIFTOFF_TOKEN or with --token-file"
        raise Stopped(_KINDS.get(title) or errors.kind_of(title), code, detail, hint)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        except httpx.TransportError as error:
            raise Silent(str(error) or type(error).__name__) from error


def _checked(url: str) -> str:
    try:
        given = httpx.URL(url)
    except httpx.InvalidURL:
        given = httpx.URL("")
    if given.scheme not in {"http", "https"} or not given.host or given.query or given.userinfo:
        raise Stopped(
            Kind.CONFIGURATION,
            "server_url",
            f"--server: given {given.host or url!r}; allowed: http(s)://HOST[:PORT], without user or query",
            "correct the URL",
        )
    if given.scheme == "http" and not _is_this_host(given.host):
        text = f"The token goes to {given.host} in plain text: put TLS in front of the server (docs/deployment.md)"
        print(text, file=sys.stderr)
    return url.rstrip("/")


def _is_this_host(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _without_none(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
