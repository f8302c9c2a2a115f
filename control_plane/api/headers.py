"""Headers that every answer has."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EVERYWHERE: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # The page has a policy of its own; nothing else is there to be shown by a browser.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_ONLY_HTTPS: Final = {"Strict-Transport-Security": "max-age=31536000"}
_KEPT_NOWHERE: Final = ("/admin/", "/session", "/export/", "/metrics")
"""What begins so may hold a key or change at any moment: neither browser nor proxy may keep it."""


class Headers:
    """Adds them; what an answer says itself stands."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The scheme is that of a proxy that is believed, else the connection's own.
        wanted = {**EVERYWHERE, **(_ONLY_HTTPS if scope["scheme"] == "https" else {})}
        if scope["path"].startswith(_KEPT_NOWHERE):
            wanted["Cache-Control"] = "no-store"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
