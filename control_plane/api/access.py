"""Who may ask: a token in a header, or the same one in the page's cookie."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import APIKeyCookie, APIKeyHeader
from pydantic import BaseModel, ConfigDict, Field

from control_plane.api.problems import Problem
from control_plane.services import Services
from control_plane.store.tokens import Scope, Token

COOKIE: Final = "liftoff_session"
_HEADER = APIKeyHeader(name="X-Admin-Token", auto_error=False)
_COOKIE = APIKeyCookie(name=COOKIE, auto_error=False)


def services(request: Request) -> Services:
    """Return the server's parts."""
    found: Services = request.app.state.services
    return found


Parts = Annotated[Services, Depends(services)]


def whoever(
    parts: Parts,
    header: Annotated[str | None, Depends(_HEADER)] = None,
    cookie: Annotated[str | None, Depends(_COOKIE)] = None,
) -> Token:
    """Return the token of a request.

    Raises:
        Problem: there is none, or it is not known.
    """
    given = header or cookie
    if not given:
        hint = "send the header X-Admin-Token; make a token: liftoff token create NAME --scope launch"
        raise Problem(401, "unauthorized", "token_missing", "no token was given", hint)
    token = parts.tokens.find(given)
    if token is None:
        hint = "make a new one: liftoff token create NAME --scope launch"
        raise Problem(401, "unauthorized", "token_unknown", "the token is not known, or was revoked", hint)
    return token


Somebody = Annotated[Token, Depends(whoever)]


def launcher(token: Somebody) -> Token:
    """Return the token of a request, which has to allow launches.

    Raises:
        Problem: it does not.
    """
    if token.scope != "launch":
        hint = "use a token of the scope launch: liftoff token create NAME --scope launch"
        raise Problem(403, "forbidden", "scope_missing", f"token {token.name!r} may only look", hint)
    return token


def reads() -> Any:  # noqa: ANN401 - FastAPI's own
    """Return what a route depends on that shows something."""
    return Depends(whoever)


def changes() -> Any:  # noqa: ANN401 - FastAPI's own
    """Return what a route depends on that launches, ends or shows a key."""
    return Depends(launcher)


class SignIn(BaseModel):
    """A token, to be kept in the browser's cookie."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=200, repr=False)


class Session(BaseModel):
    """Who is signed in, and what they may do."""

    name: str
    scopes: tuple[Scope, ...]


router = APIRouter(tags=["session"])


@router.post("/session", status_code=204)
def sign_in(given: SignIn, parts: Parts, request: Request, response: Response) -> None:
    """Keep a token in a cookie that scripts can't read and other sites can't send."""
    if parts.tokens.find(given.token) is None:
        hint = "make a new one: liftoff token create NAME --scope launch"
        raise Problem(401, "unauthorized", "token_unknown", "the token is not known, or was revoked", hint)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, given.token, httponly=True, samesite="strict", secure=secure, max_age=30 * 86400)


@router.get("/session")
def session(token: Somebody) -> Session:
    """Tell who is signed in."""
    return Session(name=token.name, scopes=token.scopes)


@router.delete("/session", status_code=204)
def sign_out(response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(COOKIE)
