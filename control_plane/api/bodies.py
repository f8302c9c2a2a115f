"""How long a request's body may be: no route needs more, and a longer one is never held in memory."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.api import problems
from control_plane.api.problems import Problem

MOST_BYTES: Final = 64 * 1024


class Bodies:
    """Reads the body before the app does, whether its length was announced or not, and refuses one that is too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > MOST_BYTES:
            await _refuse(scope, receive, send)
            return
        body = bytearray()
        goes_on = True
        while goes_on:
            message = await receive()
            if message["type"] != "http.request":
                # Whoever asked has gone.
                return
            body += message.get("body", b"")
            if len(body) > MOST_BYTES:
                await _refuse(scope, receive, send)
                return
            goes_on = message.get("more_body", False)
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            # After the body comes what the connection says, such as its end.
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    text = f"the request's body has more than {MOST_BYTES} bytes"
    # The rest is not read: the connection can't be used again.
    problem = Problem(
        413, "configuration", "body_too_long", text, "send less: no route needs more", headers={"Connection": "close"}
    )
    await problems.answer(problem)(scope, receive, send)
