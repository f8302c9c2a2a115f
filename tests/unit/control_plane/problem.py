"""Reading a problem detail, and that it is one: https://www.rfc-editor.org/rfc/rfc9457."""

from typing import Any

import httpx2 as httpx


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem that an answer has to be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["code"] == code, found
    assert found["type"] == f"https://liftoff.dev/problems/{code}"
    assert found["title"]
    assert found["detail"]
    return found


def wrong(answer: httpx.Response, code: str, field: str) -> dict[str, Any]:
    """Return what is said of the one field that an answer has to blame."""
    found = problem(answer, 422, code)
    assert found["title"] == "configuration"
    assert [one["field"] for one in found["errors"]] == [field], found
    assert f"{field}: given " in found["detail"]
    assert "; allowed: " in found["detail"]
    return dict(found["errors"][0])
