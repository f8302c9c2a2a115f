"""Errors of the API as problem details: https://www.rfc-editor.org/rfc/rfc9457."""

import http
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from automation.errors import Kind, Stopped
from automation.journal import redact
from control_plane.store.launches import UnknownLaunch
from control_plane.store.nodes import UnknownNode

_TYPE: Final = "https://liftoff.dev/problems/"
_STATUSES: Final = {
    Kind.CONFIGURATION: 422,
    Kind.CREDENTIALS: 424,
    Kind.QUOTA: 409,
    Kind.CAPACITY: 409,
    Kind.THROTTLED: 429,
}


class Problem(Exception):  # noqa: N818 - named after what it becomes
    """A request can't be carried out."""

    def __init__(
        self, status: int, title: str, code: str, detail: str, hint: str = "", errors: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.status = status
        self.title = title
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = tuple(errors)
        super().__init__(detail)


def field(name: str, given: object, allowed: str) -> dict[str, Any]:
    """Return what is wrong with one field."""
    return {"field": name, "given": given, "allowed": allowed}


def wrong_field(code: str, name: str, given: object, allowed: str, hint: str = "correct the field") -> Problem:
    """Return the problem of one field that can't be used."""
    text = f"{name}: given {given!r}; allowed: {allowed}"
    return Problem(422, "configuration", code, text, hint, [field(name, given, allowed)])


def add(app: FastAPI) -> None:
    """Let an app answer every error as problem details."""

    def answer(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
        body: dict[str, Any] = {
            "type": f"{_TYPE}{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": redact(problem.detail),
            "code": problem.code,
            "hint": problem.hint,
        }
        if problem.errors:
            body["errors"] = list(problem.errors)
        return JSONResponse(body, problem.status, headers, "application/problem+json")

    def of_problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return answer(error)

    def of_stop(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Stopped)
        status = _STATUSES.get(error.kind, 500)
        return answer(Problem(status, error.kind.title, error.code, str(error), error.hint))

    def of_validation(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = [_wrong(problem) for problem in error.errors()]
        detail = "; ".join(f"{wrong['field']}: given {wrong['given']!r}; {wrong['allowed']}" for wrong in found)
        return answer(Problem(422, "configuration", "invalid", detail, "correct the fields", found))

    def of_unknown(_request: Request, error: Exception) -> JSONResponse:
        what, name = ("launch", "job_id") if isinstance(error, UnknownLaunch) else ("node", "node_id")
        wrong = field(name, str(error), f"the id of a {what}")
        hint = f"list them: GET /admin/{'instances' if what == 'launch' else 'nodes'}"
        return answer(Problem(404, "not_found", f"{what}_unknown", f"there is no {what} {error}", hint, [wrong]))

    def of_http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        phrase = http.HTTPStatus(error.status_code).phrase
        title = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "unknown")
        headers = dict(error.headers) if error.headers else None
        return answer(Problem(error.status_code, title, title, str(error.detail or phrase), ""), headers)

    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(Stopped, of_stop)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(UnknownLaunch, of_unknown)
    app.add_exception_handler(UnknownNode, of_unknown)
    app.add_exception_handler(HTTPException, of_http)


def _wrong(problem: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's own
    place = [str(part) for part in problem["loc"] if part not in {"body", "query", "path", "header"}]
    given = problem.get("input")
    shown = given if isinstance(given, str | int | float | bool | None) else "a value of another form"
    return field(".".join(place) or "the request's body", shown, problem["msg"])
