"""A server that answers docs/api.md from a `World`, for the page's tests. It can be stopped and started on its port."""

import asyncio
import json
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import uvicorn
from fastapi import Body, Cookie, Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from control_plane import page
from tests.page.world import API_KEY, CATALOG, Json, Record, World


class Refused(Exception):  # noqa: N818 - named after what happened
    """An answer as problem details."""

    def __init__(self, status: int, title: str, code: str, detail: str, hint: str = "", **further: object) -> None:
        super().__init__(detail)
        self.status = status
        self.body: Json = {
            "type": f"https://liftoff.dev/problems/{code}",
            "title": title,
            "status": status,
            "detail": detail,
            "code": code,
            "hint": hint,
            **further,
        }


def application(world: World, stopping: threading.Event) -> FastAPI:
    """Return the app of a world."""
    app = FastAPI()
    page.mount(app)

    @app.exception_handler(Refused)
    async def refuse(_: Request, refused: Refused) -> Response:
        return JSONResponse(refused.body, refused.status, media_type="application/problem+json")

    def who(
        liftoff_session: Annotated[str | None, Cookie()] = None, x_admin_token: Annotated[str | None, Header()] = None
    ) -> Json:
        token = x_admin_token or world.sessions.get(liftoff_session or "", "")
        if token not in world.tokens:
            raise Refused(401, "unauthorized", "unauthorized", "Sign in first.", "liftoff token create NAME")
        return world.tokens[token]

    def launcher(session: Annotated[Json, Depends(who)]) -> Json:
        if "launch" not in session["scopes"]:
            raise Refused(403, "forbidden", "scope_missing", "The token may only look.", "use one with --scope launch")
        return session

    def record_of(job_id: str) -> Record:
        if job_id not in world.launches:
            raise Refused(404, "not_found", "no_such_launch", f"There is no launch {job_id}.", "look at /launches")
        return world.launches[job_id]

    @app.post("/session", status_code=204)
    async def sign_in(token: Annotated[str, Body(embed=True)], response: Response) -> None:
        if token not in world.tokens:
            raise Refused(401, "unauthorized", "token_unknown", "The token is not known.")
        identifier = uuid.uuid4().hex
        world.sessions[identifier] = token
        response.set_cookie("liftoff_session", identifier, httponly=True, samesite="strict")

    @app.get("/session")
    async def session(known: Annotated[Json, Depends(who)]) -> Json:
        return known

    @app.delete("/session", status_code=204)
    async def sign_out(response: Response, liftoff_session: Annotated[str, Cookie()] = "") -> None:
        world.sessions.pop(liftoff_session, None)
        response.delete_cookie("liftoff_session")

    @app.post("/admin/instances/launch", status_code=202, dependencies=[Depends(launcher)])
    async def launch(
        body: Annotated[dict[str, Any], Body()], idempotency_key: Annotated[str | None, Header()] = None
    ) -> Json:
        world.keys.append(idempotency_key or "")
        known = world.by_key.get(idempotency_key or "")
        if known is not None:
            return world.launches[known].answer()
        _validate(body)
        record = world.launch(body)
        if idempotency_key:
            world.by_key[idempotency_key] = record.job_id
        await asyncio.sleep(0.15)
        return record.answer()

    @app.get("/admin/instances/status", dependencies=[Depends(who)])
    async def status(job_id: str) -> Json:
        return record_of(job_id).answer()

    @app.get("/admin/instances", dependencies=[Depends(who)])
    async def launches(status: str = "", limit: int = 50, cursor: int = 0) -> Json:
        found = [one for one in reversed(world.launches.values()) if status in {"", one.launch["status"]}]
        items = [
            {name: value for name, value in one.launch.items() if name not in {"timeline", "attempts"}} for one in found
        ]
        after = cursor + limit
        return {"items": items[cursor:after], "next": str(after) if after < len(items) else None}

    @app.get("/admin/instances/events", dependencies=[Depends(who)])
    async def events(job_id: str, last_event_id: Annotated[int, Header()] = 0) -> Response:
        return StreamingResponse(_stream(record_of(job_id), last_event_id, stopping), media_type="text/event-stream")

    @app.get("/admin/instances/logs", dependencies=[Depends(who)])
    async def logs(job_id: str, source: str) -> Response:
        return PlainTextResponse("\n".join(record_of(job_id).logs[source]) + "\n")

    @app.post("/admin/instances/cancel", status_code=202, dependencies=[Depends(launcher)])
    async def cancel(job_id: str) -> Json:
        record = record_of(job_id)
        record.turn("cancelling")
        return record.answer()

    @app.post("/admin/instances/destroy", status_code=202, dependencies=[Depends(launcher)])
    async def destroy(job_id: str) -> Json:
        world.destroyed.append(job_id)
        return record_of(job_id).answer()

    @app.get("/admin/nodes", dependencies=[Depends(who)])
    async def nodes(state: str = "") -> Json:
        return {"items": [node for node in world.nodes.values() if state in {"", node["state"]}]}

    def node_of(node_id: str) -> Json:
        if node_id not in world.nodes:
            raise Refused(404, "not_found", "no_such_node", f"There is no node {node_id}.", "look at /nodes")
        return world.nodes[node_id]

    @app.get("/admin/nodes/{node_id}", dependencies=[Depends(who)])
    async def node(node_id: str) -> Json:
        return node_of(node_id)

    @app.get("/admin/nodes/{node_id}/access", dependencies=[Depends(launcher)])
    async def access(node_id: str) -> Json:
        world.access_asked.append(node_id)
        return _access(node_of(node_id))

    @app.delete("/admin/nodes/{node_id}", status_code=202, dependencies=[Depends(launcher)])
    async def terminate(node_id: str) -> None:
        node_of(node_id).update(state="terminating", state_reason="taken down by my-laptop")

    @app.get("/admin/catalog", dependencies=[Depends(who)])
    async def catalog() -> Json:
        return CATALOG

    @app.get("/admin/offers", dependencies=[Depends(who)])
    async def offers(model_name: str, market: str = "spot", max_price: float | None = None) -> Json:
        found = [
            one
            for one in world.offers.get(model_name, [])
            if (market == "auto" or one["provider"] == "local" or (market == "spot") is one["spot"])
            and (max_price is None or one["price"] <= max_price)
        ]
        found.sort(key=lambda one: (market == "auto" and not one["spot"], one["price"]))
        return {"offers": found, "refused": world.refused.get(model_name, [])}

    return app


def _validate(body: Json) -> None:
    names = [one["name"] for one in CATALOG["models"]]
    name = body.get("model_name")
    if name not in names:
        _refuse_field(
            "not_in_catalog", "model_name", name, "a model of the catalog", "choose one of GET /admin/catalog"
        )
    if body.get("max_price") is not None and body["max_price"] <= 0:
        _refuse_field("too_small", "max_price", body["max_price"], "a price above 0", "")


def _refuse_field(code: str, name: str, given: object, allowed: str, hint: str) -> None:
    errors = [{"field": name, "given": given, "allowed": allowed}]
    raise Refused(422, "configuration", code, f"{name}: given {given!r}; allowed: {allowed}", hint, errors=errors)


def _access(node: Json) -> Json:
    body = json.dumps({"model": node["model"], "messages": [{"role": "user", "content": "Hello"}]})
    return {
        "endpoint": node["endpoint"],
        "model": node["model"],
        "api_key": API_KEY,
        "certificate": "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n",
        "curl": (
            f"curl {node['endpoint']}/chat/completions --cacert node.pem \\\n"
            f"  -H 'Authorization: Bearer {API_KEY}' -H 'Content-Type: application/json' \\\n  -d '{body}'"
        ),
        "python": (
            "import ssl, httpx\nfrom openai import OpenAI\n\n"
            'tls = httpx.Client(verify=ssl.create_default_context(cafile="node.pem"))\n'
            f'client = OpenAI(base_url="{node["endpoint"]}", api_key="{API_KEY}", http_client=tls)\n'
            f'answer = client.chat.completions.create(model="{node["model"]}",\n'
            '    messages=[{"role": "user", "content": "Hello"}])\nprint(answer.choices[0].message.content)'
        ),
    }


async def _stream(record: Record, after: int, stopping: threading.Event) -> AsyncIterator[str]:
    yield ": connected\n\n"
    while not stopping.is_set():
        for number, kind, data in record.events[after:]:
            yield f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
            after = number
        if record.ended and after == len(record.events):
            yield "event: end\ndata: {}\n\n"
            return
        await asyncio.sleep(0.02)


class ScriptedServer:
    """The app on a port of this machine, in a thread of its own."""

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self.port = port or free_port()
        self._stopping = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._stopping.clear()
        config = uvicorn.Config(
            application(self.world, self._stopping),
            port=self.port,
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"the scripted server did not start on port {self.port} within 20 s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it; what it knows stays."""
        if self._server is None or self._thread is None:
            return
        self._stopping.set()
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._server = self._thread = None


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
