"""A node's OpenAI-compatible endpoint, as a client sees it: the node's own certificate pinned, and its API key."""

import ssl
from typing import Final

import httpx

_TIMEOUT_SECONDS: Final = 60.0


class EndpointSilent(Exception):  # noqa: N818 - a state, not a mistake
    """The endpoint gave no completion. The text says why, without the key."""


class Endpoint:
    """One node's endpoint."""

    def __init__(self, url: str, certificate: str, api_key: str) -> None:
        self._url = url
        self._key = api_key
        # Only this very certificate is trusted, so that nobody between can answer in the node's place.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_verify_locations(cadata=certificate)

    def complete(self, model: str) -> str:
        """Return the text of a one-token completion; only this proves that the model serves (`/health` does not).

        Raises:
            EndpointSilent: there was no connection, no answer in time, or an answer that is no completion.
        """
        try:
            # No proxy of ours may see the key: the environment's settings are left out.
            with httpx.Client(verify=self._context, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                response = client.post(
                    f"{self._url}/v1/completions",
                    headers={"Authorization": f"Bearer {self._key}"},
                    json={"model": model, "prompt": "Hello", "max_tokens": 1},
                )
        except httpx.HTTPError as error:
            raise EndpointSilent(f"{type(error).__name__}: {error}") from error
        if response.status_code != httpx.codes.OK:
            raise EndpointSilent(f"HTTP {response.status_code}: {response.text[:200]}")
        try:
            return str(response.json()["choices"][0]["text"])
        except (ValueError, LookupError, TypeError) as error:
            raise EndpointSilent(f"no completion in the answer: {response.text[:200]}") from error
