"""`liftoff nodes`: what runs, what it costs, how it is, and how it is asked."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Console
from rich.text import Text

from automation import outputs, tables, views
from automation.errors import Kind, Stopped
from automation.server_options import DatabaseUrl, ServerUrl, TokenFile
from control_plane import outcome, plane
from control_plane.launch_commands import JsonLines, clock
from control_plane.plane import Plane
from provider.status import printable

app = typer.Typer(help="List the nodes: price, cost, health, end; and how to ask one.")

_STYLES: Final = {
    "healthy": "green",
    "unhealthy": "red",
    "interrupted": "yellow",
    "evicted": "red",
    "terminating": "yellow",
    "gone": "dim",
}
_SHORTEST: Final = 4
"""Of an id's beginning: less is sooner a slip than a node."""


@app.callback(invoke_without_command=True)
def nodes(
    ctx: typer.Context,
    *,
    state: Annotated[
        Literal["healthy", "unhealthy", "interrupted", "evicted", "terminating", "gone"] | None,
        typer.Option("--state", help="Only nodes of this state."),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Those that have gone, too.")] = False,
    server: ServerUrl = "",
    token_file: TokenFile = None,
    database: DatabaseUrl = "",
    json_lines: JsonLines = False,
) -> None:
    """List the nodes: price, cost, health, end; and how to ask one."""
    if ctx.invoked_subcommand is not None:
        return
    with views.exits(views.choose(as_json=json_lines)), plane.choose(server, token_file, database) as where:
        found = where.nodes(state)
    shown = [node for node in found if show_all or state == "gone" or node["state"] != "gone"]
    if json_lines:
        for node in shown:
            print(json.dumps({"type": "node", **node}))
        return
    _show(shown)


@app.command("access")
def access(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its id, the beginning of it, or its launch's id.")],
    *,
    curl: Annotated[
        bool, typer.Option("--curl", help="Write a config for `curl --config -`, with the API key.")
    ] = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Show the API key.")] = False,
    server: ServerUrl = "",
    token_file: TokenFile = None,
    database: DatabaseUrl = "",
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Tell how a node is asked, without its key being seen in the list of processes."""
    view = views.choose(as_json=as_json)
    with views.exits(view), plane.choose(server, token_file, database) as where:
        found = _find(where.nodes(None), node, where)
        told = where.access(found) if curl or show_secrets or as_json else {"certificate": "", "api_key": ""}
    if curl:
        certificate = outputs.certificate_file(found["job_id"], told)
        print(outputs.curl_config({"apiKey": told["api_key"]}, certificate))
    elif as_json:
        key = told["api_key"] if show_secrets else "[secret]"
        plain = {"endpoint": found["endpoint"], "model": found["model"], "api_key": key}
        print(json.dumps({"type": "access", "node": found["id"], **plain, "certificate": told["certificate"]}))
    else:
        print(f"endpoint  {found['endpoint']}\nmodel     {found['model']}")
        if show_secrets:
            print(f"api_key   {told['api_key']}")
        print(f"\n{outcome.talk(found, where.option)}{_python(found, where)}")


def _python(node: Mapping[str, Any], where: Plane) -> str:
    read = f"liftoff nodes access {node['id']}{where.option} --show-secrets --json"
    key = f"$({read} | python3 -c \"import json, sys; print(json.load(sys.stdin)['api_key'])\")"
    return (
        f"\nFrom Python, with the certificate that --json shows in SSL_CERT_FILE:\n"
        f'  export OPENAI_BASE_URL={shlex.quote(str(node["endpoint"]) + "/v1")} OPENAI_API_KEY="{key}"'
    )


def _find(found: Sequence[Mapping[str, Any]], given: str, where: Plane) -> Mapping[str, Any]:
    exact = [node for node in found if given in {node["id"], node["job_id"]}]
    matching = exact or [node for node in found if len(given) >= _SHORTEST and node["id"].startswith(given)]
    if len(matching) != 1:
        what = "which several nodes have" if matching else "which no node has"
        text = f"NODE: given {given!r}, {what}; allowed: a node's id, the beginning of it, or its launch's id"
        hint = f"list them: liftoff nodes{where.option}"
        raise Stopped(Kind.CONFIGURATION, "node_unknown", text, hint)
    (node,) = matching
    if node["state"] == "gone":
        raise Stopped(Kind.CONFIGURATION, "node_gone", f"node {node['id']} has gone", "launch another one")
    return node


def _outage(node: Mapping[str, Any]) -> str:
    """Return for how long there was no endpoint, in words; nothing where there always was one."""
    told, replaced = node.get("interruption"), node.get("replaces")
    if replaced is not None:
        return f" (in place of {replaced['node_id'][:8]}; {_seconds(replaced)} without an endpoint)"
    if told is None or told["seconds_without_endpoint"] is None:
        return ""
    if told["restored_at"] is None:
        return f" ({_seconds(told)} without an endpoint, and on; {told['relaunch_job_id']} is to bring one)"
    return f" ({_seconds(told)} without an endpoint, until {told['relaunch_job_id']})"


def _seconds(told: Mapping[str, Any]) -> str:
    seconds = round(told["seconds_without_endpoint"])
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"


def _show(found: Sequence[Mapping[str, Any]]) -> None:
    console = Console()
    if not found:
        console.print("No nodes.")
        return
    titles = ("node", "model", "where", "USD/hour", "so far", "health", "until", "endpoint")
    table = tables.make(*titles, right=("USD/hour", "so far"))
    for node in found:
        state = node["state"]
        place = f"{node['provider']} {node['zone'] or node['region']} {node['instance_type']}"
        reason = f": {printable(node['state_reason'])}" if state not in {"healthy", "gone"} else ""
        table.add_row(
            node["id"],
            Text(node["model"]),
            Text(place),
            f"{node['price_per_hour']:.3f}",
            f"{node['cost_so_far']:.2f}",
            Text(f"{state}{reason}{_outage(node)}", _STYLES.get(state, "")),
            clock(node["expires_at"]),
            Text(node["endpoint"]),
        )
    tables.show(table)
    total = sum(node["price_per_hour"] for node in found if node["state"] != "gone")
    console.print(f"{total:.3f} USD/hour in all", highlight=False)
