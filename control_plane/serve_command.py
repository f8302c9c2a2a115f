"""`liftoff serve`: the API and the page, and the work behind them."""

import gc
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Final

import typer
import uvicorn
from fastapi import FastAPI

from automation import forked, views
from control_plane.api import app
from control_plane.registry import Registry
from control_plane.services import Services, Settings

_ADMIN: Final = "admin"


def serve(
    *,
    stack: Annotated[
        str, typer.Option("--stack", "-s", help="The stack whose settings every launch starts from.")
    ] = "dev",
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the Pulumi program.", envvar="LIFTOFF_PROJECT")
    ] = Path(),
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port of the API.")] = 8080,
    page_port: Annotated[int, typer.Option("--page-port", help="Port of the launch page.")] = 3000,
    database: Annotated[
        str,
        typer.Option(
            "--database", help="postgresql://…, or @FILE that holds it; left out, SQLite.", envvar="LIFTOFF_DATABASE"
        ),
    ] = "",
    name: Annotated[str, typer.Option("--name", help="Name of this server, its own among those of one database.")] = "",
    engines: Annotated[int, typer.Option("--engines", help="Engines at once; 0 is what this host can do.")] = 0,
    retention_days: Annotated[float, typer.Option("--retention-days", help="Days to keep ended launches.")] = 30.0,
    dead_seconds: Annotated[
        float, typer.Option("--dead-seconds", min=1, help="Seconds of silence after which others take over.")
    ] = 30.0,
    sweep_seconds: Annotated[
        float, typer.Option("--sweep-seconds", min=1, help="Seconds between two looks for what was left behind.")
    ] = 300.0,
    catalog_prices: Annotated[
        bool,
        typer.Option("--catalog-prices", help="Do not ask the clouds for prices.", envvar="LIFTOFF_CATALOG_PRICES"),
    ] = False,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            metavar="ADDRESS",
            help="Address or network of a proxy whose X-Forwarded-Proto and -For are believed; repeatable.",
            envvar="LIFTOFF_TRUSTED_PROXY",
        ),
    ] = None,
    token_rate: Annotated[
        int, typer.Option("--token-rate", min=0, help="Requests a minute of one token; 0 sets no limit.")
    ] = 1200,
    address_rate: Annotated[
        int, typer.Option("--address-rate", min=0, help="Requests a minute of one address; 0 sets no limit.")
    ] = 3000,
    as_json: Annotated[bool, typer.Option("--json", help="Write where it listens as one JSON object.")] = False,
) -> None:
    """Start the API and the launch page."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for loud in ("httpx", "alembic", "botocore", "azure"):
        logging.getLogger(loud).setLevel(logging.WARNING)
    settings = Settings(
        project,
        stack,
        database,
        name,
        engines,
        retention_days,
        catalog_prices,
        dead_seconds,
        token_rate,
        address_rate,
        sweep_seconds,
    )
    with views.exits(views.choose(as_json=as_json)):
        services = Services.open(settings)
    forked.fork_workers()
    registry = Registry(services)
    built = app.build(services)
    # What is there by now stays: it is not looked through again and again for what could be given back.
    gc.collect()
    gc.freeze()
    servers = [_server(built, host, at, trusted_proxy or []) for at in (port, page_port)]
    # First: others must not take a server for dead that begins to work again.
    services.servers.heartbeat()
    services.workflows.start()
    registry.start()
    _tell(services, host, port, page_port, as_json=as_json)
    _until_ended(servers)
    registry.stop()
    services.close()
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    # Threads that carry launches out are not waited for, as Python itself would: the next start goes on with them.
    os._exit(0)


def _server(built: FastAPI, host: str, port: int, trusted_proxies: list[str]) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            built,
            host=host,
            port=port,
            log_level="warning",
            # Access logs would hold tokens that somebody put into a URL.
            access_log=False,
            server_header=False,
            lifespan="off",
            # The page's cookie is for https only where a proxy that is believed says that the browser came so.
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=trusted_proxies,
        )
    )


def _until_ended(servers: list[uvicorn.Server]) -> None:
    def end(_signal: int, _frame: object) -> None:
        for server in servers:
            server.should_exit = True

    threads = [threading.Thread(target=server.run, daemon=True) for server in servers[1:]]
    for thread in threads:
        thread.start()
    signal.signal(signal.SIGTERM, end)
    servers[0].run()
    end(0, None)
    for thread in threads:
        thread.join()


def _tell(services: Services, host: str, port: int, page_port: int, *, as_json: bool) -> None:
    shown = "localhost" if host in {"127.0.0.1", "0.0.0.0"} else host  # noqa: S104 - what a user types is shown
    api, page = f"http://{shown}:{port}", f"http://{shown}:{page_port}/launch"
    is_first = all(token.revoked_at is not None for token in services.tokens.all())
    # Only to a person: what goes elsewhere is kept as a log, and no log may hold a token.
    token = services.tokens.issue(_ADMIN, "launch") if is_first and sys.stdout.isatty() and not as_json else None
    if as_json:
        print(json.dumps({"type": "serving", "api": api, "page": page, "has_token": not is_first}), flush=True)
        return
    print(f"API:  {api}", flush=True)
    if token is not None:
        print(f"Page: {page}#token={token}\nThis token is shown once. Others: liftoff token create NAME", flush=True)
        return
    print(f"Page: {page}", flush=True)
    if is_first:
        print("Nobody has a token yet. Make one: liftoff token create NAME --scope launch", flush=True)
