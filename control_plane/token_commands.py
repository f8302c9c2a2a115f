"""`liftoff token`: who may use the API."""

import json
from typing import Annotated, Literal

import typer

from automation import views
from automation.errors import Kind, Stopped
from control_plane import told
from control_plane.store.database import Database, sqlite_url
from control_plane.store.tokens import Tokens
from provider import places

app = typer.Typer(help="Tokens of the API.", no_args_is_help=True)

DatabaseUrl = Annotated[
    str, typer.Option("--database", help="The server's; left out, its SQLite file.", envvar="LIFTOFF_DATABASE")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    scope: Annotated[
        Literal["read", "launch"], typer.Option("--scope", help="read looks; launch may do everything.")
    ] = "launch",
    database: DatabaseUrl = "",
    as_json: Json = False,
) -> None:
    """Make a token, and show it once."""
    token = _tokens(database, as_json=as_json).issue(name, scope)
    print(json.dumps({"name": name, "scope": scope, "token": token}) if as_json else token)


@app.command("list")
def list_(*, database: DatabaseUrl = "", as_json: Json = False) -> None:
    """List the tokens; what they are is not stored."""
    for token in _tokens(database, as_json=as_json).all():
        revoked = told.moment_or_none(token.revoked_at)
        record = {
            "id": token.id,
            "name": token.name,
            "scope": token.scope,
            "created_at": told.moment(token.created_at),
            "revoked_at": revoked,
        }
        plain = f"{token.name:20} {token.scope:7} {record['created_at']}{f'  revoked {revoked}' if revoked else ''}"
        print(json.dumps(record) if as_json else plain)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Its name or id.")],
    *,
    database: DatabaseUrl = "",
    as_json: Json = False,
) -> None:
    """Take a token back; it is refused from now on."""
    number = _tokens(database, as_json=as_json).revoke(name)
    if number == 0:
        with views.exits(views.choose(as_json=as_json)):
            raise Stopped(
                Kind.CONFIGURATION,
                "token_unknown",
                f"NAME: given {name!r}; allowed: a token that is in use",
                "see them: liftoff token list",
            )
    print(json.dumps({"name": name, "revoked": number}) if as_json else f"revoked {number}")


def _tokens(url: str, *, as_json: bool) -> Tokens:
    with views.exits(views.choose(as_json=as_json)):
        database = Database(url or sqlite_url(places.state_folder() / "control-plane.sqlite"))
        database.migrate()
    return Tokens(database)
