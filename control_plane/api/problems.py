"""Errors of the API as problem details: https://www.rfc-editor.org/rfc/rfc9457."""

import http
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from automation.errors import Kind, Stopped
from automation.journal import redact
from control_plane.api import allowed, shapes
from control_plane.api.headers import EVERYWHERE
from control_plane.api.shapes import WrongField
from control_plane.store.launches import UnknownLaunch
from control_plane.store.nodes import UnknownNode

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "https://liftoff.dev/problems/"
_SHOWN: Final = 200
"""How many characters of what was given are shown."""
_STATUSES: Final = {
    Kind.CONFIGURATION: 422,
    Kind.CREDENTIALS: 424,
    Kind.QUOTA: 409,
    Kind.CAPACITY: 409,
    Kind.THROTTLED: 429,
}
_REASONS: Final = {
    400: "the body can't be read",
    401: "no token, or one that is not known",
    403: "the token may only look, or another site asks",
    404: "there is none of that id",
    409: "it can't be now",
    413: "the body is longer than any route needs",
    422: "a field can't be used; `errors` names it, what was given and what is allowed",
    424: "a cloud's credentials are missing or refused",
    429: "too many requests, or too many wrong tokens, came from this token or address",
    503: "the database does not answer",
}


class Problem(Exception):  # noqa: N818 - named after what it becomes
    """A request can't be carried out."""

    def __init__(
        self,
        status: int,
        title: str,
        code: str,
        detail: str,
        hint: str = "",
        errors: Sequence[WrongField] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.title = title
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = tuple(errors)
        self.headers = headers
        super().__init__(detail)


def field(name: str, given: object, allowed: str) -> WrongField:
    """Return what is wrong with one field, fit to be shown."""
    return WrongField(field=name, given=_shown(given), allowed=allowed)


def wrong_field(code: str, name: str, given: object, allowed: str, hint: str = "correct the field") -> Problem:
    """Return the problem of one field that can't be used."""
    return wrong_fields(code, [field(name, given, allowed)], hint)


def wrong_fields(code: str, wrong: Sequence[WrongField], hint: str = "correct the field") -> Problem:
    """Return the problem of fields that can't be used."""
    return Problem(422, "configuration", code, "; ".join(map(_sentence, wrong)), hint, wrong)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of the problems that a route may answer."""
    schema = {"$ref": f"#/components/schemas/{shapes.Problem.__name__}"}
    return {
        status: {"description": _REASONS[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }


def add(app: FastAPI) -> None:
    """Let an app answer every error as problem details."""
    app.add_exception_handler(Problem, _of_problem)
    app.add_exception_handler(Stopped, _of_stop)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(UnknownLaunch, _of_unknown)
    app.add_exception_handler(UnknownNode, _of_unknown)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_bug)


def answer(problem: Problem) -> JSONResponse:
    """Return a problem as it is answered."""
    body = shapes.Problem(
        type=f"{_TYPE}{problem.code}",
        title=problem.title,
        status=problem.status,
        detail=_writable(redact(problem.detail)),
        code=problem.code,
        hint=problem.hint,
        errors=list(problem.errors) or None,
    )
    nothing = {"errors"} if body.errors is None else set()
    return JSONResponse(body.model_dump(mode="json", exclude=nothing), problem.status, problem.headers, MEDIA_TYPE)


def _of_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return answer(error)


def _of_stop(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Stopped)
    status = _STATUSES.get(error.kind, 500)
    return answer(Problem(status, error.kind.title, error.code, str(error), error.hint))


def _of_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    known = allowed.fields_of(request)
    wrong = [
        field(".".join(one.place) or "the request's body", one.given, one.allowed)
        for one in (allowed.explain(problem, known) for problem in error.errors())
    ]
    return answer(wrong_fields("invalid", wrong, "correct the fields"))


def _of_unknown(_request: Request, error: Exception) -> JSONResponse:
    what, name = ("launch", "job_id") if isinstance(error, UnknownLaunch) else ("node", "node_id")
    wrong = field(name, str(error), f"the id of a {what}")
    hint = f"list them: GET /admin/{'instances' if what == 'launch' else 'nodes'}"
    return answer(Problem(404, "not_found", f"{what}_unknown", _sentence(wrong), hint, [wrong]))


def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    phrase = http.HTTPStatus(error.status_code).phrase
    title = {400: "configuration", 404: "not_found", 405: "not_allowed"}.get(error.status_code, "unknown")
    code = phrase.lower().replace(" ", "_")
    headers = dict(error.headers or {})
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return answer(Problem(error.status_code, title, code, str(error.detail or phrase), headers=headers))


def _methods(request: Request) -> list[str]:
    """Return what may be done at an address; a route alone knows only of itself."""
    routes: list[Route] = request.app.state.routes
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in route.methods or ()})


def _of_bug(_request: Request, _error: Exception) -> JSONResponse:
    # What it was is in the server's log: an exception's text may hold anything. No middleware sees this answer.
    hint = "look into the server's log"
    return answer(Problem(500, "unknown", "internal", "the server failed", hint, headers=dict(EVERYWHERE)))


def _sentence(wrong: WrongField) -> str:
    given = "nothing" if wrong.given is None else repr(wrong.given)
    return f"{wrong.field}: given {given}; allowed: {wrong.allowed}"


def _shown(given: object) -> str | int | float | bool | None:
    """Return what was given as JSON can hold it: short, and without what looks like a key."""
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, (int, float)) and -1e15 < given < 1e15:
        return given
    if isinstance(given, (str, int, float)):
        text = _writable(redact(str(given)))
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return "a value of another form"


def _writable(text: str) -> str:
    """Return text without halves of characters, which JSON may hold and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode()
