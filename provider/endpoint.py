"""A node's OpenAI-compatible endpoint, as a client sees it."""

import json
from typing import Final

import httpx

from provider.node_client import NodeClient, NodeSilent
from provider.status import printable

_TIMEOUT_SECONDS: Final = 60.0
_MOST_BYTES: Final = 64 << 10
_SHOWN: Final = 200


class EndpointSilent(Exception):  # noqa: N818 - a state, not a mistake
    """The endpoint gave no completion. The text says why, without the key, and is fit for a terminal."""


class Endpoint:
    """One node's endpoint."""

    def __init__(self, url: str, certificate: str, api_key: str) -> None:
        self._node = NodeClient(url, certificate, api_key)

    def complete(self, model: str) -> str:
        """Return the text of a one-token completion; only this proves that the model serves (`/health` does not).

        Raises:
            EndpointSilent: there was no connection, no answer in time, or an answer that is no completion.
        """
        body = {"model": model, "prompt": "Hello", "max_tokens": 1}
        try:
            answer = self._node.ask(
                "POST", "/v1/completions", seconds=_TIMEOUT_SECONDS, most_bytes=_MOST_BYTES, body=body
            )
        except NodeSilent as silent:
            raise EndpointSilent(str(silent)) from silent
        shown = printable(answer.text[:_SHOWN])
        if answer.status != httpx.codes.OK:
            raise EndpointSilent(f"HTTP {answer.status}: {shown}")
        try:
            return str(json.loads(answer.text)["choices"][0]["text"])
        except (ValueError, LookupError, TypeError) as error:
            raise EndpointSilent(f"no completion in the answer: {shown}") from error
