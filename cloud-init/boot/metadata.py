"""The cloud's metadata service, as a machine reaches it: plain HTTP to an address that never leaves its host."""

from __future__ import annotations

import dataclasses
import http.client
import urllib.parse

_LONGEST_ANSWER = 64 << 10


class MetadataSilent(Exception):
    """The service can't be reached, or its answer is none. The text says why."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the service said: the HTTP status, the text, and the version of what was asked for (empty where none)."""

    status: int
    text: str
    etag: str


class Metadata:
    """One service; each question has a connection of its own, so that several threads may ask."""

    def __init__(self, url: str) -> None:
        self._host = urllib.parse.urlsplit(url).netloc

    def get(self, path: str, headers: dict[str, str], seconds: float) -> Answer:
        """Ask for something; wait so many seconds for each part of the answer.

        Raises:
            MetadataSilent: there was no answer.
        """
        return self._ask("GET", path, headers, seconds)

    def put(self, path: str, headers: dict[str, str], seconds: float) -> Answer:
        """Ask with PUT, as for a token; see `get`."""
        return self._ask("PUT", path, headers, seconds)

    def _ask(self, method: str, path: str, headers: dict[str, str], seconds: float) -> Answer:
        # Unlike urllib, this knows nothing of proxies: through one, another machine's metadata would answer.
        connection = http.client.HTTPConnection(self._host, timeout=seconds)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            text = response.read(_LONGEST_ANSWER).decode(errors="replace")
            return Answer(response.status, text, response.headers.get("ETag", ""))
        except (OSError, http.client.HTTPException) as error:
            raise MetadataSilent(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
