"""HTTPS to the storage, and to nothing else: presigned URLs, certificates checked, no other scheme."""

from __future__ import annotations

import http.client
import ssl
import urllib.parse

_TIMEOUT_SECONDS = 30


def context(authority: str | None) -> ssl.SSLContext:
    """Return what certificates are checked with: the system's authorities, and one more where given (PEM)."""
    trusted = ssl.create_default_context()
    if authority:
        trusted.load_verify_locations(cadata=authority)
    return trusted


class Connection:
    """One connection that is used again for requests to the same host; not for several threads at once."""

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._host = ""
        self._connection: http.client.HTTPSConnection | None = None

    def request(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send a request and return the response, its body not read yet.

        Raises:
            ValueError: the URL is not https.
            OSError: the host can't be reached, or its certificate is not trusted.
            http.client.HTTPException: the answer is no HTTP.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" or not parts.netloc:
            raise ValueError("only https:// URLs are used")
        try:
            if self._connection is None or self._host != parts.netloc:
                self.close()
                self._connection = http.client.HTTPSConnection(
                    parts.netloc, timeout=_TIMEOUT_SECONDS, context=self._trusted
                )
                self._host = parts.netloc
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            self._connection.request(method, path, body, headers or {})
            return self._connection.getresponse()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
