"""Asks a node over TLS with its own certificate pinned, and believes no more than it has to: a thief may have the node.

However slowly an answer comes, it ends in time; however long it is, only so much of it is read.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from provider.status import printable


@dataclass(frozen=True)
class Answer:
    """What a node answered: the HTTP status, and the body as text."""

    status: int
    text: str


class NodeSilent(Exception):  # noqa: N818 - a state, not a mistake
    """The node gave no answer that could be used. The text says why, without the key, and is fit for a terminal."""


class NodeClient:
    """One node's address, certificate (PEM) and API key."""

    def __init__(self, url: str, certificate: str, api_key: str) -> None:
        self._url = url
        self._key = api_key
        # Only this very certificate is trusted, so that nobody between can answer in the node's place.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_verify_locations(cadata=certificate)

    def ask(
        self, method: str, path: str, *, seconds: float, most_bytes: int, body: Mapping[str, object] | None = None
    ) -> Answer:
        """Return the answer to one request, on a connection of its own.

        Args:
            method: of HTTP.
            path: below the node's address.
            seconds: in which the whole answer has to be there.
            most_bytes: of an answer; a longer one is none.
            body: sent as JSON.

        Raises:
            NodeSilent: no connection, another certificate, no answer in time, or one that is too long.
        """
        # A limit for all of it is asyncio's; in a thread of its own, since whoever asks may have a loop that runs.
        try:
            with ThreadPoolExecutor(1, "node-client") as thread:
                return thread.submit(asyncio.run, self._ask(method, path, seconds, most_bytes, body)).result()
        except TimeoutError as error:
            raise NodeSilent(f"no whole answer in {seconds:.0f} s") from error
        except httpx.HTTPError as error:
            raise NodeSilent(printable(f"{type(error).__name__}: {error}")) from error

    async def _ask(
        self, method: str, path: str, seconds: float, most_bytes: int, body: Mapping[str, object] | None
    ) -> Answer:
        # Not compressed: a few bytes could become more than there is memory.
        headers = {"Authorization": f"Bearer {self._key}", "Accept-Encoding": "identity"}
        content = None
        if body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(body)
        # A limit of the client's would begin anew with each byte. No proxy of ours may see the key.
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(verify=self._context, timeout=None, trust_env=False) as client,  # noqa: S113
            client.stream(method, f"{self._url}{path}", headers=headers, content=content) as response,
        ):
            found = bytearray()
            async for part in response.aiter_raw():
                found += part
                if len(found) > most_bytes:
                    raise NodeSilent(f"the answer has more than {most_bytes} bytes")
            return Answer(response.status_code, found.decode(errors="replace"))
