"""Who may ask: a token in a header, or the same one in the page's cookie."""

import math
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict, Field

from control_plane.api import rates
from control_plane.api.allowed import VISIBLE
from control_plane.api.callers import address_of
from control_plane.api.problems import Problem, documented
from control_plane.services import Services
from control_plane.store.tokens import Scope, Token

if TYPE_CHECKING:
    from control_plane.api.guesses import Guesses
    from control_plane.api.rates import Rates

_HEADER = APIKeyHeader(
    name="X-Admin-Token", auto_error=False, description="liftoff token create NAME; the page has it in a cookie"
)
_NEW: Final = "make a new one: liftoff token create NAME --scope launch"
_LOOKS: Final = frozenset({"GET", "HEAD"})
OFTEN_ASKED: Final = "/admin/instances/status"
_OWN_SITE: Final = frozenset({"same-origin", "none"})


async def services(request: Request) -> Services:
    """Return the server's parts."""
    found: Services = request.app.state.services
    return found


Parts = Annotated[Services, Depends(services)]


def cookie_name(request: Request) -> str:
    """Return the cookie's name at the port that was asked: browsers send a host's cookies to all of its ports."""
    server = request.scope.get("server") or ("", 0)
    return f"liftoff_session_{server[1]}"


async def whoever(request: Request, parts: Parts, header: Annotated[str | None, Depends(_HEADER)] = None) -> Token:
    """Return the token of a request.

    Raises:
        Problem: there is none, it is not known, or another site's page sent it along.
    """
    given = header or request.cookies.get(cookie_name(request))
    if not given:
        hint = "send the header X-Admin-Token; make a token: liftoff token create NAME --scope launch"
        raise Problem(401, "unauthorized", "token_missing", "no token was given", hint)
    # Who only looks may do so for a second longer than the token: asked often, it would cost more than the answer.
    token = parts.tokens.recent(given) if request.url.path == OFTEN_ASKED else None
    if token is None:
        token = await run_in_threadpool(_known, request, parts, given)
    _limit(request, token)
    if not header and request.method not in _LOOKS and not _is_own_page(request):
        text = "another site's page sent this request with the browser's cookie"
        raise Problem(403, "forbidden", "other_site", text, "use the page of this server, or the header X-Admin-Token")
    return token


Somebody = Annotated[Token, Depends(whoever)]


async def launcher(token: Somebody) -> Token:
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

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(min_length=1, max_length=200, pattern=VISIBLE, repr=False)


class Session(BaseModel):
    """Who is signed in, and what they may do."""

    name: str
    scopes: tuple[Scope, ...]


router = APIRouter(tags=["session"])


@router.post("/session", status_code=204, responses=documented(400, 401, 413, 422, 429))
def sign_in(given: SignIn, parts: Parts, request: Request, response: Response) -> None:
    """Keep a token in a cookie that scripts can't read and other sites can't send."""
    _limit(request, _known(request, parts, given.token))
    secure = request.url.scheme == "https"
    response.set_cookie(
        cookie_name(request), given.token, httponly=True, samesite="strict", secure=secure, max_age=30 * 86400
    )


@router.get("/session", responses=documented(401, 429))
def session(token: Somebody) -> Session:
    """Tell who is signed in."""
    return Session(name=token.name, scopes=token.scopes)


@router.delete("/session", status_code=204, responses=documented(429))
def sign_out(request: Request, response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(cookie_name(request))


def _known(request: Request, parts: Services, given: str) -> Token:
    guesses: Guesses = request.app.state.guesses
    address = address_of(request)
    seconds = guesses.seconds_to_wait(address)
    if seconds > 0:
        wait = str(math.ceil(seconds))
        text = f"too many wrong tokens came from {address}"
        headers = {"Retry-After": wait}
        raise Problem(429, "throttled", "too_many_wrong_tokens", text, f"wait {wait} s", headers=headers)
    token = parts.tokens.find(given)
    if token is None:
        guesses.add(address, given)
        raise Problem(401, "unauthorized", "token_unknown", "the token is not known, or was revoked", _NEW)
    return token


def _limit(request: Request, token: Token) -> None:
    token_rates: Rates = request.app.state.token_rates
    seconds = token_rates.take(token.id)
    if seconds > 0:
        raise rates.refuse(seconds, f"token {token.name!r}")


def _is_own_page(request: Request) -> bool:
    """Tell whether the page that sends a request is this server's: `SameSite` lets other ports of the host through."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in _OWN_SITE
    # Browsers leave it out where the page came over plain HTTP from another host.
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
