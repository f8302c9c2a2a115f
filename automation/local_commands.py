"""`liftoff local`: what the provider `local` keeps on this host."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What local machines need and leave on this host.", no_args_is_help=True)


@app.command()
def images() -> None:
    """Build what local machines boot from, and the local S3 server; what is there already is left as it is."""
    from components.local import REQUIREMENTS
    from provider.local import image, storage

    began = time.monotonic()
    shown = ""

    def say(line: str) -> None:
        nonlocal shown
        if line != shown:
            shown = line
            typer.echo(f"{time.monotonic() - began:6.1f} s  {line}")

    with _refusals():
        say("local S3 server: versitygw")
        storage.ensure_server()
        image.ensure_baked(REQUIREMENTS.read_text(), say)
    typer.echo(f"{time.monotonic() - began:6.1f} s  local machines can boot")


@app.command("list")
def list_machines(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the machines of this host."""
    from provider.local import machine, network

    for name, found in machine.listing():
        record = {
            "name": name,
            "state": "running" if found else "dead",
            "pid": found.pid if found else None,
            "address": network.address_of(name),
            "isolation": found.isolation if found else None,
        }
        typer.echo(json.dumps(record) if as_json else "  ".join(str(value) for value in record.values()))


@app.command()
def model(folder: Annotated[Path, typer.Argument(help="Folder to write it to.")]) -> None:
    """Write the dev model: a tiny Llama, the same bytes each time."""
    from provider.local import tiny_llama

    tiny_llama.write(folder)
    typer.echo(f"the dev model is in {folder}")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The machine's name.")]) -> None:
    """Power off one machine and remove every trace of it, whatever its stack believes."""
    from provider.local import machine, network, storage

    with _refusals():
        machine.delete(name, lambda line: typer.echo(f"{name}: {line}"))
        storage.release(name)
        network.delete(name)
    typer.echo(f"{name}: removed; refresh its stack: pulumi refresh --stack STACK")


@app.command()
def sweep() -> None:
    """Remove what is left of machines that have died."""
    from provider.local import machine

    for name, found in machine.listing():
        if found is None:
            remove(name)


class _refusals:  # noqa: N801 - used as a context
    """Shows a refusal as two lines, without a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from provider.resource import Refused

        if isinstance(error, Refused):
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
