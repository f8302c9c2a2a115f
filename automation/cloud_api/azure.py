"""Azure Resource Manager over HTTP, with the credentials that the provider `azure-native` uses."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Self

import httpx

from automation.cloud_api.refused import Refused

_ENDPOINT: Final = "https://management.azure.com"
_SCOPE: Final = "https://management.azure.com/.default"
_TIMEOUT: Final = httpx.Timeout(30, connect=5)


class Azure:
    """One subscription.

    Attributes:
        subscription: its id.
    """

    def __init__(self, subscription: str, token: Callable[[], str], endpoint: str = _ENDPOINT) -> None:
        self.subscription = subscription
        self._token = token
        self._http = httpx.Client(base_url=endpoint, timeout=_TIMEOUT)

    @classmethod
    def connect(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Return the subscription that the environment, or else the command `az`, names.

        Raises:
            Refused: there are no credentials.
        """
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import AzureCliCredential, ClientSecretCredential

        given = os.environ if environment is None else environment
        service = [given.get(f"ARM_{name}", "") for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")]
        credential = ClientSecretCredential(*service) if all(service) else AzureCliCredential()

        def token() -> str:
            try:
                return credential.get_token(_SCOPE).token
            except ClientAuthenticationError as error:
                raise Refused("no_credentials", error.message.splitlines()[0]) from error

        found = cls(given.get("ARM_SUBSCRIPTION_ID", ""), token)
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
        if answer.is_success:
            return dict(answer.json()) if answer.content else {}
        raise _refused(answer)


def _refused(answer: httpx.Response) -> Refused:
    try:
        told = answer.json()["error"]
        return Refused(str(told["code"]), str(told["message"]), answer.status_code)
    except (ValueError, KeyError, TypeError):
        return Refused(f"HTTP {answer.status_code}", answer.text[:500], answer.status_code)
