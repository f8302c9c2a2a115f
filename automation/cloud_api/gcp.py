"""Google's APIs over HTTP, with the credentials that the provider `gcp` uses."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self

from automation.cloud_api.refused import Refused

COMPUTE: Final = "https://compute.googleapis.com/compute/v1"
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT_SECONDS: Final = 30


class Http(Protocol):
    """What sends requests with credentials: an AuthorizedSession."""

    def request(self, method: str, url: str, **options: Any) -> Any:  # noqa: ANN401 - requests' own
        """Send one request."""


class Gcp:
    """One project.

    Attributes:
        project: its id.
    """

    def __init__(self, project: str, http: Http) -> None:
        self.project = project
        self._http = http

    @classmethod
    def connect(cls, project: str = "", environment: Mapping[str, str] | None = None) -> Self:
        """Return the project that is named, or that the environment or the credentials name.

        Raises:
            Refused: there are no credentials, or no project.
        """
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession

        given = os.environ if environment is None else environment
        try:
            # The provider takes the key itself or its file here: https://www.pulumi.com/registry/packages/gcp/installation-configuration/
            key = given.get("GOOGLE_CREDENTIALS", "")
            if key:
                text = key if key.lstrip().startswith("{") else Path(key).read_text(encoding="utf-8")
                credentials, own = google.auth.load_credentials_from_dict(json.loads(text), scopes=_SCOPES)
            else:
                credentials, own = google.auth.default(scopes=_SCOPES)
        except (GoogleAuthError, OSError, ValueError) as error:
            raise Refused("no_credentials", str(error)) from error
        found = project or given.get("GOOGLE_PROJECT") or given.get("CLOUDSDK_CORE_PROJECT") or own
        if not found:
            raise Refused("no_project", "no project is named: pulumi config set gcp:project PROJECT")
        return cls(found, AuthorizedSession(credentials))

    def get(self, url: str, **parameters: str) -> dict[str, Any]:
        """Return what a GET answers; `url` begins at the project in Compute Engine where it has no scheme.

        Raises:
            Refused: Google refused, or could not be asked.
        """
        return self._ask("GET", self._full(url), params=parameters)

    def post(self, url: str, body: object) -> dict[str, Any]:
        """Return what a POST answers; `url` as for `get`.

        Raises:
            Refused: Google refused, or could not be asked.
        """
        return self._ask("POST", self._full(url), json=body)

    def items(self, url: str, name: str = "items", **parameters: str) -> Iterator[dict[str, Any]]:
        """Return the items of a list, page after page; `name` is the list's field.

        Raises:
            Refused: Google refused, or could not be asked.
        """
        token = ""
        while True:
            page = self.get(url, **parameters, **({"pageToken": token} if token else {}))
            yield from page.get(name, ())
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _full(self, url: str) -> str:
        return url if "://" in url else f"{COMPUTE}/projects/{self.project}/{url}"

    def _ask(self, method: str, url: str, **options: object) -> dict[str, Any]:
        import requests
        from google.auth.exceptions import GoogleAuthError

        try:
            answer = self._http.request(method, url, timeout=_TIMEOUT_SECONDS, **options)
        except GoogleAuthError as error:
            raise Refused("no_credentials", str(error)) from error
        except requests.RequestException as error:
            raise Refused("unreachable", str(error)) from error
        if answer.ok:
            return dict(answer.json()) if answer.content else {}
        raise _refused(answer.status_code, answer.text)


def _refused(status: int, text: str) -> Refused:
    try:
        told = json.loads(text)["error"]
        return Refused(str(told.get("status") or told["code"]), str(told["message"]), status)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refused(f"HTTP {status}", text[:500], status)
