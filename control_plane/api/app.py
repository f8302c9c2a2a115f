"""The app: every route of the API, and the page over it."""

from importlib import metadata

from fastapi import FastAPI

from control_plane import page
from control_plane.api import access, buying, launches, nodes, operations, problems
from control_plane.services import Services


def build(services: Services) -> FastAPI:
    """Return the app for a server's parts."""
    app = FastAPI(
        title="Liftoff",
        version=metadata.version("liftoff"),
        description="Launches open models on cheap GPUs, and tells at every second what is happening.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    problems.add(app)
    for part in (access, launches, nodes, buying, operations):
        app.include_router(part.router)
    page.mount(app)
    return app
