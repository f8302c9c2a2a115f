"""Comments and issues that a workflow keeps up to date: found again by a hidden marker, written with the job's token.

https://docs.github.com/en/rest/issues
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import httpx

from automation.errors import Kind, Stopped
from automation.journal import redact

_LONGEST: Final = 65_000
"""Characters; GitHub refuses a body of more than 65,536."""
_CUT: Final = "\n\n… the rest is in the log of the workflow's run."
_TIMEOUT_SECONDS: Final = 30.0
_MARKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/-]*")


class Threads:
    """The comments and issues of one repository.

    Raises:
        Stopped: the environment lacks what GitHub Actions gives to a job. Methods raise it where GitHub refuses.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        missing = [name for name in ("GITHUB_TOKEN", "GITHUB_REPOSITORY") if not environment.get(name)]
        if missing:
            raise Stopped(
                Kind.CONFIGURATION,
                "not_in_github",
                f"{' and '.join(missing)} must be set",
                "run this in a job of GitHub Actions, with env: GITHUB_TOKEN: ${{ github.token }}",
            )
        self._repository = environment["GITHUB_REPOSITORY"]
        self._client = httpx.Client(
            base_url=environment.get("GITHUB_API_URL") or "https://api.github.com",
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {environment['GITHUB_TOKEN']}",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout=_TIMEOUT_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def comment(self, number: int, marker: str, text: str) -> str:
        """Write the one comment of that marker below a pull request or issue; return what was done."""
        body = _body(marker, text)
        found = self._find(f"issues/{number}/comments", {}, marker)
        if found is None:
            self._ask("POST", f"issues/{number}/comments", {"body": body})
            return "written"
        if found["body"] == body:
            return "left as it is"
        self._ask("PATCH", f"issues/comments/{found['id']}", {"body": body})
        return "updated"

    def issue(self, marker: str, title: str, text: str) -> str:
        """Keep one open issue of that marker; return what was done."""
        body = _body(marker, text)
        found = self._find("issues", {"state": "open"}, marker)
        if found is None:
            self._ask("POST", "issues", {"title": title, "body": body})
            return "opened"
        if (found["title"], found["body"]) == (title, body):
            return "left as it is"
        self._ask("PATCH", f"issues/{found['number']}", {"title": title, "body": body})
        return "updated"

    def close(self, marker: str) -> str:
        """Close the open issue of that marker, if there is one; return what was done."""
        found = self._find("issues", {"state": "open"}, marker)
        if found is None:
            return "there is none"
        self._ask("PATCH", f"issues/{found['number']}", {"state": "closed", "state_reason": "completed"})
        return "closed"

    def _find(self, path: str, query: Mapping[str, str], marker: str) -> dict[str, Any] | None:
        for item in self._items(path, query):
            # A person may have copied the marker: only what a token of an app wrote is ours to change.
            ours = item["user"]["type"] == "Bot" and "pull_request" not in item
            if ours and (item["body"] or "").startswith(_hidden(marker)):
                return item
        return None

    def _items(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            found = self._ask("GET", path, None, {**query, "per_page": "100", "page": str(page)})
            yield from found
            if len(found) < 100:
                return
            page += 1

    def _ask(self, method: str, path: str, body: object, query: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401
        try:
            answer = self._client.request(method, f"/repos/{self._repository}/{path}", json=body, params=query)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            refused = error.response.status_code in {401, 403, 404}
            raise Stopped(
                Kind.CREDENTIALS if refused else Kind.UNKNOWN,
                "github_refused",
                f"GitHub answers {error.response.status_code} to {method} {path}: {error.response.text[:300]}",
                "give the job the permission: pull-requests: write for comments, issues: write for issues",
            ) from error
        except httpx.HTTPError as error:
            raise Stopped(
                Kind.UNKNOWN, "github_silent", f"GitHub gave no answer to {method} {path}: {error}", "run the job again"
            ) from error
        return answer.json()


def _hidden(marker: str) -> str:
    if not _MARKER.fullmatch(marker):
        raise Stopped(
            Kind.CONFIGURATION,
            "marker_invalid",
            f"--marker: given {marker!r}; allowed: letters, digits and : . _ / -",
            "name it like preview:STACK",
        )
    return f"<!-- liftoff {marker} -->\n"


def _body(marker: str, text: str) -> str:
    body = _hidden(marker) + redact(text).strip() + "\n"
    return body if len(body) <= _LONGEST else body[: _LONGEST - len(_CUT)] + _CUT
