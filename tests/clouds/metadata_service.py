"""The clouds' metadata services as their machines see them: tokens, headers, requests that hang, and what goes wrong.

AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html.
Azure: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service.
GCP: https://cloud.google.com/compute/docs/metadata/querying-metadata.
"""

import http.server
import json
import secrets
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

_HANG_SECONDS: Final = 30.0


@dataclass
class MetadataService:
    """What one machine is told.

    Attributes:
        url: where it answers.
        action: what EC2 serves at `spot/instance-action`; None for a 404.
        rebalance: what EC2 serves at `events/recommendations/rebalance`; None for a 404.
        events: Azure's scheduled events; a text is served as it is.
        preempted: what Compute Engine serves at `instance/preempted`.
        faults: what goes wrong with the next requests, one each: an HTTP status, or `hang`.
        asked: method, path and query of each request.
    """

    url: str = ""
    action: str | None = None
    rebalance: str | None = None
    events: list[dict[str, Any]] | str = field(default_factory=list)
    preempted: str = "FALSE"
    faults: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _etag: int = 0
    _closed: threading.Event = field(default_factory=threading.Event)

    def interrupt_aws(self, seconds: float = 120.0) -> None:
        """Announce that EC2 terminates the machine."""
        self.action = json.dumps({"action": "terminate", "time": _rfc3339(time.time() + seconds)})

    def recommend_rebalance(self) -> None:
        """Recommend, as EC2 does, to move elsewhere."""
        self.rebalance = json.dumps({"noticeTime": _rfc3339(time.time())})

    def preempt_azure(self, seconds: float = 30.0) -> None:
        """Announce that Azure evicts the machine."""
        begins = format_datetime(datetime.fromtimestamp(time.time() + seconds, UTC), usegmt=True)
        self.events = [event("Preempt", begins)]

    def preempt_gcp(self) -> None:
        """Preempt the machine, as Compute Engine does."""
        self.set_preempted("TRUE")

    def set_preempted(self, text: str) -> None:
        """Change the value; who waits for that is answered."""
        with self._changed:
            self.preempted = text
            self._etag += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Answer those who wait."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def _answer(self, method: str, target: str, headers: Any) -> tuple[int, str, dict[str, str]]:
        path, _, query = target.partition("?")
        self.asked.append((method, target))
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "hang":
            self._closed.wait(_HANG_SECONDS)
            return 503, "", {}
        if fault:
            return int(fault), "", {}
        if path.startswith("/latest/"):
            return self._aws(method, path, headers)
        if method == "GET" and path == "/metadata/scheduledevents":
            return self._azure(query, headers)
        if method == "GET" and path == "/computeMetadata/v1/instance/preempted":
            return self._gcp(query, headers)
        return 404, "", {}

    def _aws(self, method: str, path: str, headers: Any) -> tuple[int, str, dict[str, str]]:
        if path == "/latest/api/token":
            ttl = headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if method != "PUT" or headers.get("X-Forwarded-For") or not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                return 400, "", {}
            token = secrets.token_urlsafe(40)
            self.tokens.add(token)
            return 200, token, {}
        if headers.get("X-aws-ec2-metadata-token") not in self.tokens:
            return 401, "", {}
        known = {
            "/latest/meta-data/spot/instance-action": self.action,
            "/latest/meta-data/events/recommendations/rebalance": self.rebalance,
        }
        text = known.get(path)
        return (404, "", {}) if text is None else (200, text, {})

    def _azure(self, query: str, headers: Any) -> tuple[int, str, dict[str, str]]:
        version = urllib.parse.parse_qs(query).get("api-version")
        if headers.get("Metadata", "").lower() != "true" or version != ["2020-07-01"]:
            return 400, "", {}
        if isinstance(self.events, str):
            return 200, self.events, {}
        return 200, json.dumps({"DocumentIncarnation": len(self.events), "Events": self.events}), {}

    def _gcp(self, query: str, headers: Any) -> tuple[int, str, dict[str, str]]:
        if headers.get("Metadata-Flavor") != "Google":
            return 403, "", {}
        given = {name: values[0] for name, values in urllib.parse.parse_qs(query).items()}
        with self._changed:
            if given.get("wait_for_change") == "true":
                last, seconds = given.get("last_etag", str(self._etag)), float(given.get("timeout_sec", _HANG_SECONDS))
                self._changed.wait_for(lambda: str(self._etag) != last or self._closed.is_set(), seconds)
            return 200, self.preempted, {"ETag": str(self._etag), "Metadata-Flavor": "Google"}


def event(kind: str, not_before: str, status: str = "Scheduled") -> dict[str, Any]:
    """Return one scheduled event of Azure's."""
    return {
        "EventId": "A123BC45-1234-5678-AB90-ABCDEF123456",
        "EventStatus": status,
        "EventType": kind,
        "ResourceType": "VirtualMachine",
        "Resources": ["node-machine"],
        "NotBefore": not_before,
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }


@contextmanager
def served(address: str = "127.0.0.1") -> Iterator[MetadataService]:
    """Yield a service that answers at an address of this host, on a port of its own."""
    service = MetadataService()
    with http.server.ThreadingHTTPServer((address, 0), _handler(service)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        service.url = f"http://{address}:{server.server_port}"
        try:
            yield service
        finally:
            service.close()
            server.shutdown()
            thread.join()


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _handler(service: MetadataService) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text, headers = service._answer(self.command, self.path, self.headers)
            body = text.encode()
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                # Who asked has given up.
                self.close_connection = True

        do_PUT = do_GET  # noqa: N815 - the library calls it so

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
