"""The options by which a command works against a server instead of on its own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from automation.errors import Kind, Stopped
from automation.offer_options import ANY

TOKEN_VARIABLE: Final = "LIFTOFF_TOKEN"

ServerUrl = Annotated[
    str,
    typer.Option(
        "--server", metavar="URL", envvar="LIFTOFF_SERVER", help="URL of a `liftoff serve`; left out, without one."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="LIFTOFF_TOKEN_FILE", help=f"File with the server's token, else {TOKEN_VARIABLE}."
    ),
]
DatabaseUrl = Annotated[
    str, typer.Option("--database", help="The server's; left out, its SQLite file.", envvar="LIFTOFF_DATABASE")
]
Detach = Annotated[bool, typer.Option("--detach", help="With --server: do not wait for the end.")]

_OWN: Final = {
    "launch": ("config", "gpu", "keep", "catalog_prices", "stack", "expect_digest"),
    "destroy": ("remove", "stack", "database"),
}
"""Options of a command that mean nothing to a server."""
_SERVERS: Final = {
    "launch": ("max_model_len", "idle_minutes", "lifetime_hours", "relaunch", "detach", "token_file"),
    "destroy": ("detach", "token_file"),
}
"""Options of a command that mean something to a server only."""


def refuse_others(ctx: typer.Context, server: str) -> None:
    """Refuse options that would have no effect.

    Raises:
        Stopped: one was given on the command line that is not for this way of working.
    """
    names = (_OWN if server else _SERVERS)[str(ctx.info_name)]
    given = [name for name in names if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if not given:
        return
    shown = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    if server:
        text = f"{shown}: given together with the server {server}; allowed: without one, for a stack of this host"
        raise Stopped(Kind.CONFIGURATION, "not_with_server", text, "leave it out; or leave the server: --server ''")
    text = f"{shown}: given without a server's launch; allowed: for a launch of a server"
    raise Stopped(Kind.CONFIGURATION, "only_with_server", text, "leave it out; or add --server URL")


def one(option: str, given: Sequence[str] | None) -> str | None:
    """Return the one value that a server takes; none, or `any`, leaves the choice to it.

    Raises:
        Stopped: there are several.
    """
    if not given or ANY in given:
        return None
    if len(given) > 1:
        text = f"{option}: given {', '.join(given)}; allowed: one, where a server launches"
        raise Stopped(Kind.CONFIGURATION, "only_one", text, "name one, or none to let the server choose among all")
    return given[0]


def token(file: Path | None) -> str:
    """Return the token for a server. It is never an argument, which every user of this host could read.

    Raises:
        Stopped: there is none.
    """
    hint = f"export {TOKEN_VARIABLE}, or give --token-file FILE; one is made by: liftoff token create NAME"
    if file is None:
        found = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not found:
            raise Stopped(Kind.CREDENTIALS, "token_missing", "there is no token for the server", hint)
        return found
    try:
        found = file.read_text().strip()
    except (OSError, UnicodeError) as error:
        text = f"--token-file: given {str(file)!r}, which can't be read ({error}); allowed: a file that holds a token"
        raise Stopped(Kind.CREDENTIALS, "token_unreadable", text, hint) from error
    if not found or len(found.split()) != 1:
        text = f"--token-file: given {str(file)!r}, which holds {len(found.split())} words; allowed: one token"
        raise Stopped(Kind.CREDENTIALS, "token_unreadable", text, hint)
    return found
