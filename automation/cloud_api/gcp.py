"""Google's APIs over HTTP, with the credentials that the provider `gcp` uses."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

from automation.cloud_api.refused import Refused

COMPUTE: Final = "https://compute.googleapis.com/compute/v1"
RESOURCE_MANAGER: Final = "https://cloudresourcemanager.googleapis.com/v1"
SERVICE_DISABLED: Final = "SERVICE_DISABLED"
"""The code of a refusal because the API is not enabled in the project: https://cloud.google.com/apis/design/errors#error_info."""
_ENDPOINTS: Final = {
    # The provider's own settings, and gcloud's: https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference#custom-endpoints,
    # https://cloud.google.com/sdk/gcloud/reference/topic/configurations (section api_endpoint_overrides).
    COMPUTE: ("GOOGLE_COMPUTE_CUSTOM_ENDPOINT", "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"),
    RESOURCE_MANAGER: (
        "GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER",
    ),
}
_KEYS: Final = ("GOOGLE_CREDENTIALS", "GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON")
_PROJECTS: Final = ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
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
        account: whose credentials they are; empty where they do not tell.
    """

    def __init__(self, project: str, http: Http, endpoints: Mapping[str, str] | None = None, account: str = "") -> None:
        self.project = project
        self.account = account
        self._http = http
        self._endpoints = endpoints or {}

    @classmethod
    def connect(cls, project: str = "", environment: Mapping[str, str] | None = None) -> Self:
        """Return the project that is named, or that the environment or the credentials name.

        Raises:
            Refused: there are no credentials, or no project.
        """
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession

        given = os.environ if environment is None else environment
        try:
            credentials, own = _credentials(given)
        except GoogleAuthError as error:
            raise Refused("no_credentials", str(error).splitlines()[0]) from error
        found = project or next((given[name] for name in _PROJECTS if given.get(name)), "") or own
        if not found:
            raise Refused("no_project", "no project is named: pulumi config set gcp:project PROJECT")
        endpoints = {
            api: given[name].rstrip("/") for api, names in _ENDPOINTS.items() for name in names if given.get(name)
        }
        account = str(getattr(credentials, "service_account_email", "") or getattr(credentials, "account", "") or "")
        return cls(found, AuthorizedSession(credentials), endpoints, account)

    def granted(self, permissions: Sequence[str]) -> list[str]:
        """Return which of these permissions the credentials have on the project.

        https://cloud.google.com/resource-manager/reference/rest/v1/projects/testIamPermissions; it takes 100 at a time.

        Raises:
            Refused: Google refused, or could not be asked.
        """
        root = self._endpoints.get(RESOURCE_MANAGER, RESOURCE_MANAGER)
        body = {"permissions": list(permissions)}
        return list(self.post(f"{root}/projects/{self.project}:testIamPermissions", body).get("permissions", ()))

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

    def delete(self, url: str) -> None:
        """Ask for a DELETE, which may go on after its answer; `url` as for `get`.

        Raises:
            Refused: Google refused, or could not be asked.
        """
        self._ask("DELETE", self._full(url))

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
        if "://" in url:
            return url
        return f"{self._endpoints.get(COMPUTE, COMPUTE)}/projects/{self.project}/{url}".rstrip("/")

    def _ask(self, method: str, url: str, **options: object) -> dict[str, Any]:
        import requests
        from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError

        try:
            answer = self._http.request(method, url, timeout=_TIMEOUT_SECONDS, **options)
        except TransportError as error:
            raise Refused("unreachable", type(error).__name__) from error
        except RefreshError as error:
            raise Refused("invalid_grant", str(error.args[0] if error.args else "").splitlines()[0], 401) from error
        except GoogleAuthError as error:
            raise Refused("no_credentials", str(error).splitlines()[0]) from error
        except requests.RequestException as error:
            raise Refused("unreachable", f"{type(error).__name__} at {urlsplit(url).hostname}") from error
        if not answer.ok:
            raise _refused(answer.status_code, answer.text)
        try:
            return dict(answer.json()) if answer.content else {}
        except ValueError as error:
            raise Refused("unreachable", f"{urlsplit(url).hostname} does not answer as Google does") from error


def _credentials(given: Mapping[str, str]) -> tuple[Any, str]:
    """Return the credentials in the order in which the provider looks for them, and the project that they name.

    https://www.pulumi.com/registry/packages/gcp/installation-configuration/

    Raises:
        Refused: a key is none.
        GoogleAuthError: there are none.
    """
    import google.auth
    import google.oauth2.credentials

    key = next((given[name] for name in _KEYS if given.get(name)), "")
    if key:
        try:
            text = key if key.lstrip().startswith("{") else Path(key).read_text(encoding="utf-8")
            found: tuple[Any, str] = google.auth.load_credentials_from_dict(json.loads(text), scopes=_SCOPES)
        except (OSError, ValueError) as error:
            # What was given may be a key with a typing error: it is not repeated.
            raise Refused("no_credentials", f"{_KEYS[0]} is neither a key nor a file with one") from error
        return found
    if given.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        return google.oauth2.credentials.Credentials(given["GOOGLE_OAUTH_ACCESS_TOKEN"]), ""
    credentials, project = google.auth.default(scopes=_SCOPES)
    return credentials, project or ""


def _refused(status: int, text: str) -> Refused:
    try:
        told = json.loads(text)["error"]
        reasons = {item.get("reason") for item in (*told.get("details", ()), *told.get("errors", ()))}
        disabled = bool(reasons & {"SERVICE_DISABLED", "accessNotConfigured"})
        code = SERVICE_DISABLED if disabled else str(told.get("status") or told["code"])
        return Refused(code, str(told["message"]), status)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refused(f"HTTP {status}", text[:500], status)
