"""The launch page: static files without a build step, and the routes that answer them."""

import hashlib
from pathlib import Path
from typing import Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

ROUTES: Final = ("/launch", "/launch/{job_id}", "/launches", "/nodes", "/nodes/{node_id}")
"""Every address of the page; the browser decides which view it is."""

_FOLDER: Final = Path(__file__).parent
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    # Always asked for again, and answered by 304: a page must never run with an older server's scripts.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def mount(app: FastAPI) -> None:
    """Add the page's routes to an app: the views, their assets, and `/` which leads to the form."""
    files = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _TYPES}

    async def view(request: Request) -> Response:
        return _answer(request, files["launch.html"])

    async def asset(request: Request, name: str) -> Response:
        path = files.get(name)
        if path is None:
            raise HTTPException(404, f"the page has no file {name!r}")
        return _answer(request, path)

    async def root() -> Response:
        return RedirectResponse("/launch")

    for route in ROUTES:
        app.add_api_route(route, view, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/assets/{name}", asset, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/", root, methods=["GET", "HEAD"], include_in_schema=False)


def _answer(request: Request, path: Path) -> Response:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "ETag": tag}
    if tag in {known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[path.suffix], headers=headers)
