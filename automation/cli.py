"""The commands that drive the program of one stack. Every option and exit code is in docs/cli.md."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from automation import backend, completions, github, outputs, server_options, takedown, views
from automation.checks.quota import TOO_LOW
from automation.errors import Kind, Stopped
from automation.launch import LaunchRequest
from automation.offer_options import CatalogPrices, Gpus, InstanceTypes, MarketOption, MaxPrice, Regions, wanted
from automation.offers import Wanted
from automation.preview.gate import FORBIDDEN, Gate
from automation.server_options import DatabaseUrl, Detach, ServerUrl, TokenFile
from automation.session import Interrupts

weights_app = typer.Typer(help="Models in the bucket that nodes load from.", no_args_is_help=True)

Stack = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        help="Name of the stack; its settings are in Pulumi.<stack>.yaml.",
        autocompletion=completions.stacks,
    ),
]
Project = Annotated[Path, typer.Option("--project", help="Folder of the Pulumi program.", envvar="LIFTOFF_PROJECT")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON lines, as docs/cli.md describes them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NonInteractive = Annotated[
    bool,
    typer.Option("--non-interactive", help="Never ask; end with an error where a question would have to be asked."),
]
_HERE = Path()


def launch(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(help="Name of the model; left out, the stack's own.", autocompletion=completions.models),
    ] = None,
    *,
    stack: Stack = "dev",
    config: Annotated[
        list[str] | None,
        typer.Option("--config", "-c", metavar="KEY=VALUE", help="Set a value of the stack; repeatable."),
    ] = None,
    project: Project = _HERE,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            metavar="aws|azure|gcp|any",
            help="Try the offers of these clouds, cheapest first, in place of the stack's own machine; repeatable.",
            autocompletion=completions.launch_providers,
        ),
    ] = None,
    region: Regions = None,
    instance_type: InstanceTypes = None,
    gpu: Gpus = None,
    max_price: MaxPrice = None,
    market: MarketOption = "spot",
    catalog_prices: CatalogPrices = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what was made when the launch fails.")] = False,
    expect_digest: Annotated[
        str,
        typer.Option(
            "--expect-digest",
            metavar="FILE|HEX",
            help="Go on only if the steps are those of `liftoff preview --digest`.",
        ),
    ] = "",
    server: ServerUrl = "",
    token_file: TokenFile = None,
    max_model_len: Annotated[
        int | None, typer.Option("--max-model-len", help="With --server: the context that must fit, in tokens.")
    ] = None,
    idle_minutes: Annotated[
        float | None, typer.Option("--idle-minutes", help="With --server: take it down when idle for so long.")
    ] = None,
    lifetime_hours: Annotated[
        float | None, typer.Option("--lifetime-hours", help="With --server: the node ends itself then.")
    ] = None,
    relaunch: Annotated[
        bool, typer.Option("--relaunch", help="With --server: launch again when the cloud takes the node back.")
    ] = False,
    detach: Detach = False,
    json_lines: Json = False,
    yes: Yes = False,
    non_interactive: NonInteractive = False,
) -> None:
    """Bring up a node and wait until its endpoint has answered."""
    view = github.told(views.choose(as_json=json_lines), os.environ)
    ask = _never_ask if non_interactive else _ask_if_somebody_is_there
    with views.exits(view):
        server_options.refuse_others(ctx, server)
        if server:
            from control_plane import server_launch

            given = {
                "model_name": model,
                "provider": server_options.one("--provider", provider),
                "region": server_options.one("--region", region),
                "instance_type": server_options.one("--instance-type", instance_type),
                "market": market,
                "max_price": max_price,
                "max_model_len": max_model_len,
                "idle_minutes": idle_minutes,
                "lifetime_hours": lifetime_hours,
                "keep": relaunch,
            }
            if not (yes or json_lines) and given["provider"] != "local":
                ask(f"Launch {model} by {server}? It costs money until it is destroyed.")
            raise typer.Exit(server_launch.launch(server, token_file, given, view, as_json=json_lines, detach=detach))
        request = LaunchRequest(project, stack, model, _pairs(config or []), keep)
        gate = Gate(expect_digest)
        if provider:
            _refuse_digest_with_offers(expect_digest)
            asked = wanted(provider, region, instance_type, gpu, max_price, market)
            asks = None if yes or json_lines else ask
            raise typer.Exit(_launch_plan(request, asked, view, gate, asks, catalog_only=catalog_prices))
        _refuse_choice_without_offers(region, instance_type, gpu, max_price)
        if not (yes or json_lines):
            _agree_to_cost(request, ask)
        from control_plane import stack_launch
        from control_plane.audience import Audience

        with view:
            result = stack_launch.of_settings(request, Audience(view, _interrupts(), gate))
        talk = "" if result.failure else _talk(stack, result.outputs)
        view.launched(result, talk)
    raise typer.Exit(result.failure.kind.exit_code if result.failure else 0)


def destroy(
    ctx: typer.Context,
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", help="A launch of a control plane, in place of a stack.")
    ] = None,
    *,
    stack: Stack = "dev",
    project: Project = _HERE,
    remove: Annotated[bool, typer.Option("--remove", help="Then remove the stack and its history, too.")] = False,
    server: ServerUrl = "",
    token_file: TokenFile = None,
    database: DatabaseUrl = "",
    detach: Detach = False,
    json_lines: Json = False,
    yes: Yes = False,
) -> None:
    """Delete everything that a stack or a launch has made, and look that it is gone."""
    view = github.told(views.choose(as_json=json_lines), os.environ)
    with views.exits(view):
        # A stack is this host's own, whichever server is named for other commands.
        server_options.refuse_others(ctx, server if job else "")
        if job is not None:
            from control_plane import server_launch

            if not (yes or json_lines) and sys.stdin.isatty():
                typer.confirm(f"Delete everything that {job} has made?", abort=True)
            where = (server, token_file, database)
            raise typer.Exit(server_launch.destroy(where, job, view, as_json=json_lines, detach=detach))
    if not (yes or json_lines) and sys.stdin.isatty():
        typer.confirm(f"Delete everything in stack {stack}?", abort=True)
    with views.exits(view):
        with view:
            result = takedown.destroy(project, stack, view, _interrupts(), remove=remove)
        if result.failure is None and not result.left:
            from control_plane import stack_launch

            stack_launch.gone(project, stack)
        view.destroyed(result)
    if result.failure is not None:
        raise typer.Exit(result.failure.kind.exit_code)
    raise typer.Exit(Kind.UNKNOWN.exit_code if result.left else 0)


def outputs_(
    name: Annotated[str | None, typer.Argument(help="Only this output, as plain text.")] = None,
    *,
    stack: Stack = "dev",
    project: Project = _HERE,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Show the API key.")] = False,
    curl: Annotated[
        bool, typer.Option("--curl", help="Write a config for `curl --config -`, with the API key.")
    ] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Show a node's endpoint and how to talk to it."""
    view = views.choose(as_json=json_lines)
    with views.exits(view):
        found = outputs.read(project, stack, name, show_secrets=show_secrets or curl)
    if curl:
        print(outputs.curl_config(found, outputs.certificate_file(stack, found)))
    elif name is not None:
        value = found[name]
        print(value if isinstance(value, str) else json.dumps(value))
    elif json_lines:
        print(json.dumps(found))
    else:
        shown = {key: value for key, value in found.items() if key not in {"certificate", "timeline"}}
        width = max(map(len, shown))
        for key, value in shown.items():
            print(f"{key:{width}}  {value}")
        print(f"\n{_talk(stack, found)}")


def env() -> None:
    """Write `export` lines with which `pulumi` by hand works on the same stacks: eval "$(liftoff env)"."""
    with views.exits(views.choose(as_json=False)):
        lines = list(backend.shell_lines(os.environ))
    print("\n".join(lines))


@weights_app.command("push")
def weights_push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with config.json and the weights.")],
    uri: Annotated[str, typer.Argument(metavar="URI", help="s3://BUCKET/PREFIX")],
    *,
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", help="Push to this stack's storage: `dev` is this host's own.")
    ] = None,
    project: Project = _HERE,
    endpoint_url: Annotated[
        str | None, typer.Option("--endpoint-url", help="https:// URL of the storage; left out, AWS S3.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="Region of the bucket; for R2: auto.")] = None,
    ca_bundle: Annotated[
        str | None, typer.Option("--ca-bundle", help="PEM file that verifies the storage's certificate.")
    ] = None,
    json_lines: Json = False,
) -> None:
    """Upload a model with checksums; keys come from where boto3 looks (AWS_ACCESS_KEY_ID, AWS_PROFILE, …)."""
    from automation import push

    view = views.choose(as_json=json_lines)
    with views.exits(view):
        push.run(folder, uri, push.Where(project, stack, endpoint_url, region, ca_bundle), as_json=json_lines)


def _refuse_choice_without_offers(*choices: object) -> None:
    if any(choices):
        raise Stopped(
            Kind.CONFIGURATION,
            "provider_missing",
            "--region, --instance-type, --gpu and --max-price choose among offers; given without --provider",
            "add --provider any, or set the stack's own: --config instanceType=…",
        )


def _refuse_digest_with_offers(expected: str) -> None:
    if expected:
        raise Stopped(
            Kind.CONFIGURATION,
            "digest_with_offers",
            "--expect-digest is for the stack's own machine; given with --provider, which tries several offers",
            "leave --provider out: what was reviewed is the stack as its file says",
        )


def _launch_plan(
    request: LaunchRequest,
    asked: Wanted,
    view: views.View,
    gate: Gate,
    ask: Callable[[str], None] | None,
    *,
    catalog_only: bool,
) -> int:
    """Try the offers that are wanted, and return the exit code."""
    from automation import market
    from automation.prices import live
    from control_plane import stack_launch
    from control_plane.audience import Audience

    found = market.for_request(request, asked, live.choose(catalog_only=catalog_only, say=view.note))
    if ask is not None and found.offers:
        ask(f"Launch {found.offers[0]}, else the next of {len(found.offers)} offers?")
    with view:
        result = stack_launch.of_offers(request, found.offers, Audience(view, _interrupts(), gate))
    last = result.result
    talk = _talk(request.stack, last.outputs) if last is not None and result.ok else ""
    view.planned(result, talk)
    if last is None:
        for begins, kind in ((TOO_LOW, Kind.QUOTA), (FORBIDDEN, Kind.POLICY)):
            if all(attempt.skipped.startswith(begins) for attempt in result.attempts):
                return kind.exit_code
        return Kind.CAPACITY.exit_code
    return last.failure.kind.exit_code if last.failure else 0


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = {}
    for item in given:
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise Stopped(
                Kind.CONFIGURATION,
                "config_pair",
                f"--config: given {item!r}; allowed: KEY=VALUE",
                "write it as in --config maxModelLen=2048",
            )
        pairs[key] = value
    return pairs


def _agree_to_cost(request: LaunchRequest, ask: Callable[[str], None]) -> None:
    """Ask before a launch that costs money."""
    from automation import stack_file

    provider = stack_file.read(request.project, request.stack, request.config).get("provider")
    if provider != "local":
        ask(f"Launch a machine at {provider}? It costs money until it is destroyed.")


def _ask_if_somebody_is_there(question: str) -> None:
    if sys.stdin.isatty() and sys.stdout.isatty():
        typer.confirm(question, abort=True)


def _never_ask(question: str) -> None:
    raise Stopped(
        Kind.CONFIGURATION,
        "consent_missing",
        f"--non-interactive was given, and this would have to be asked: {question}",
        "agree to it beforehand: --yes",
    )


def _talk(stack: str, found: dict[str, Any] | Any) -> str:  # noqa: ANN401 - JSON
    certificate = outputs.certificate_file(stack, found)
    return "\n".join(
        [
            "Ask it:",
            f"  {outputs.curl_command(stack, found)}",
            "From Python:",
            *(f"  {line}" for line in outputs.python_lines(stack, found, certificate).splitlines()),
        ]
    )


def _interrupts() -> Interrupts:
    interrupts = Interrupts()

    def press(_signal: int, _frame: FrameType | None) -> None:
        interrupts.press()
        text = "Cancelling: what is in flight is finished, then taken down. Ctrl-C again ends at once."
        # Written at once, whatever the view is doing.
        os.write(2, f"\n{text if interrupts.count == 1 else 'Ending at once.'}\n".encode())

    signal.signal(signal.SIGINT, press)
    signal.signal(signal.SIGTERM, press)
    return interrupts
