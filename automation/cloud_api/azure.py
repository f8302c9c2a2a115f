"""Azure Resource Manager over HTTP, with the credentials that the provider `azure-native` uses."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import httpx

from automation.cloud_api.refused import Refused

# Without a handler the SDK's warnings go to standard error, and repeat what a login was refused with.
logging.getLogger("azure").addHandler(logging.NullHandler())

_TIMEOUT: Final = httpx.Timeout(30, connect=5)
_METADATA_VERSION: Final = "2022-09-01"
_OTHER_LOGINS: Final = ("ARM_USE_OIDC", "ARM_USE_MSI", "ARM_CLIENT_CERTIFICATE_PATH")


@dataclass(frozen=True)
class Environment:
    """One of Azure's clouds: where it is asked, and where it gives tokens."""

    manager: str
    login: str


PUBLIC: Final = Environment("https://management.azure.com", "https://login.microsoftonline.com")
_NAMED: Final = {
    # The names: https://www.pulumi.com/registry/packages/azure-native/installation-configuration/#configuration-reference.
    # The addresses: https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure.
    "public": PUBLIC,
    "usgovernment": Environment("https://management.usgovcloudapi.net", "https://login.microsoftonline.us"),
    "china": Environment("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
}


class Azure:
    """One subscription.

    Attributes:
        subscription: its id.
    """

    def __init__(self, subscription: str, token: Callable[[], str], endpoint: str = PUBLIC.manager) -> None:
        self.subscription = subscription
        self._token = token
        self._http = httpx.Client(base_url=endpoint, timeout=_TIMEOUT)

    @classmethod
    def connect(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Return the subscription that the environment, or else the command `az`, names.

        Raises:
            Refused: there are no credentials, or the provider's way to log in is not one of ours (`login_not_known`).
        """
        from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
        from azure.identity import AzureCliCredential, ClientSecretCredential, CredentialUnavailableError

        given = os.environ if environment is None else environment
        cloud = _environment(given)
        service = [given.get(f"ARM_{name}", "") for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")]
        if not all(service):
            for name in _OTHER_LOGINS:
                if given.get(name, "").lower() not in ("", "false", "0"):
                    raise Refused("login_not_known", f"{name} is set: the provider logs in in a way that this can't")
        known = cloud in _NAMED.values()
        credential = (
            # A cloud that is not known to everybody is not known to the public directory either.
            ClientSecretCredential(*service, authority=cloud.login, disable_instance_discovery=not known)
            if all(service)
            else AzureCliCredential(tenant_id=given.get("ARM_TENANT_ID", ""))
        )
        scope = f"{cloud.manager}/.default"

        def token() -> str:
            try:
                return credential.get_token(scope).token
            except CredentialUnavailableError as error:
                raise Refused("no_credentials", error.message.splitlines()[0]) from error
            except ClientAuthenticationError as error:
                raise Refused("invalid_client", error.message.splitlines()[0], 401) from error
            except ServiceRequestError as error:
                raise Refused("unreachable", f"{cloud.login}: {type(error).__name__}") from error

        found = cls(given.get("ARM_SUBSCRIPTION_ID", ""), token, cloud.manager)
        if not found.subscription:
            found.subscription = found._only_subscription()
        return found

    def get(self, path: str, api_version: str, **parameters: str) -> dict[str, Any]:
        """Return what a GET answers; `path` begins at the subscription where it has no leading slash.

        Raises:
            Refused: Azure refused, or could not be asked.
        """
        return self._ask("GET", self._full(path), {"api-version": api_version, **parameters})

    def post(self, path: str, api_version: str, body: object) -> dict[str, Any]:
        """Return what a POST answers; `path` as for `get`.

        Raises:
            Refused: Azure refused, or could not be asked.
        """
        return self._ask("POST", self._full(path), {"api-version": api_version}, body)

    def delete(self, path: str, api_version: str) -> None:
        """Ask for a DELETE, which may go on after its answer; `path` as for `get`.

        Raises:
            Refused: Azure refused, or could not be asked.
        """
        self._ask("DELETE", self._full(path), {"api-version": api_version})

    def items(self, path: str, api_version: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """Return the items of a list, page after page.

        Raises:
            Refused: Azure refused, or could not be asked.
        """
        page = self.get(path, api_version, **parameters)
        while True:
            yield from page.get("value", ())
            following = page.get("nextLink")
            if not following:
                return
            # It carries the query that it belongs to.
            page = self._ask("GET", following, {})

    def _full(self, path: str) -> str:
        return path if path.startswith("/") else f"/subscriptions/{self.subscription}/{path}"

    def _only_subscription(self) -> str:
        found = [item["subscriptionId"] for item in self.items("/subscriptions", "2022-12-01")]
        if len(found) != 1:
            raise Refused("no_subscription", f"ARM_SUBSCRIPTION_ID is not set, and {len(found)} can be seen")
        return str(found[0])

    def _ask(self, method: str, url: str, parameters: Mapping[str, str], body: object = None) -> dict[str, Any]:
        send = partial(self._http.request, method, url, json=body, headers={"Authorization": f"Bearer {self._token()}"})
        try:
            answer = send(params=parameters) if parameters else send()
        except httpx.HTTPError as error:
            raise Refused("unreachable", f"{type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise _refused(answer)
        try:
            return dict(answer.json()) if answer.content else {}
        except ValueError as error:
            raise Refused("unreachable", f"{self._http.base_url.host} does not answer as Azure does") from error


def _environment(given: Mapping[str, str]) -> Environment:
    """Return the cloud that the provider's own variables name: ARM_METADATA_HOSTNAME, else ARM_ENVIRONMENT."""
    host = given.get("ARM_METADATA_HOSTNAME", "")
    if host:
        return _discovered(host, given.get("ARM_ENVIRONMENT", ""))
    name = given.get("ARM_ENVIRONMENT", "") or "public"
    if name.lower() not in _NAMED:
        raise Refused("environment_unknown", f"ARM_ENVIRONMENT: given {name!r}; allowed: {', '.join(_NAMED)}")
    return _NAMED[name.lower()]


def _discovered(host: str, name: str) -> Environment:
    """Return what a metadata host says: https://learn.microsoft.com/azure-stack/user/azure-stack-version-profiles-go#define-azure-stack-hub-environment-setting-functions."""
    try:
        answer = httpx.get(
            f"https://{host}/metadata/endpoints", params={"api-version": _METADATA_VERSION}, timeout=_TIMEOUT
        )
        found = answer.raise_for_status().json()
        # A host may know several clouds; the first is its own.
        clouds = found if isinstance(found, list) else [found]
        named = [cloud for cloud in clouds if str(cloud.get("name", "")).lower() == name.lower()]
        chosen = (named or clouds)[0]
        return Environment(
            str(chosen["resourceManager"]).rstrip("/"), str(chosen["authentication"]["loginEndpoint"]).rstrip("/")
        )
    except httpx.HTTPError as error:
        raise Refused("unreachable", f"ARM_METADATA_HOSTNAME {host}: {type(error).__name__}") from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Refused(
            "unreachable", f"ARM_METADATA_HOSTNAME {host} does not answer as Azure's metadata does"
        ) from error


def _refused(answer: httpx.Response) -> Refused:
    try:
        told = answer.json()["error"]
        return Refused(str(told["code"]), str(told["message"]), answer.status_code)
    except (ValueError, KeyError, TypeError):
        return Refused(f"HTTP {answer.status_code}", answer.text[:500], answer.status_code)
