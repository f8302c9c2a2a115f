"""The app: every route of the API, and the page over it."""

from importlib import metadata
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from control_plane import page
from control_plane.api import access, buying, launches, nodes, operations, problems, shapes
from control_plane.api.guesses import Guesses
from control_plane.api.headers import Headers
from control_plane.api.recent_answers import RecentAnswers
from control_plane.services import Services


def build(services: Services) -> FastAPI:
    """Return the app for a server's parts."""
    app = _Api(
        title="Liftoff",
        version=metadata.version("liftoff"),
        description="Launches open models on cheap GPUs, and tells at every second what is happening.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.guesses = Guesses()
    app.state.recent = RecentAnswers(services.bell)
    app.add_middleware(Headers)
    problems.add(app)
    routers = [part.router for part in (access, launches, nodes, buying, operations)]
    for router in routers:
        app.include_router(router)
    page.mount(app)
    every = [*app.routes, *(route for router in routers for route in router.routes)]
    app.state.routes = [route for route in every if isinstance(route, Route)]
    return app


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the shape of the problems that its routes refer to."""
        document = super().openapi()
        for shape in (shapes.WrongField, shapes.Problem):
            schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
            schema.pop("$defs", None)
            document["components"]["schemas"][shape.__name__] = schema
        return document
