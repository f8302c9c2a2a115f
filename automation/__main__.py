"""The entry of `liftoff`; what is quick to answer is answered before anything is imported."""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        from importlib import metadata

        print(f"liftoff {metadata.version('liftoff')}")
        return
    from automation.cli import app

    if sys.argv[1:2] == ["local"]:
        from automation import local_commands

        app.add_typer(local_commands.app, name="local")
    elif sys.argv[1:2] == ["offers"]:
        from automation import offer_commands

        app.command()(offer_commands.offers)
    elif sys.argv[1:2] == ["preview"]:
        from automation import preview_command

        app.command()(preview_command.preview)
    elif sys.argv[1:2] == ["check"]:
        from automation import check_command

        app.command()(check_command.check)
    elif sys.argv[1:2] == ["catalog"]:
        from automation import catalog_commands

        app.add_typer(catalog_commands.app, name="catalog")
    elif sys.argv[1:2] == ["serve"]:
        from control_plane import serve_command

        app.command()(serve_command.serve)
    elif sys.argv[1:2] == ["token"]:
        from control_plane import token_commands

        app.add_typer(token_commands.app, name="token")
    elif sys.argv[1:] in ([], ["--help"]):
        # Only named in the help; it is imported when it is asked for.
        import typer

        app.command("offers", help="List what a launch of a model would try, cheapest first.")(lambda: None)
        app.command("preview", help="Say what a launch would change, cost and break.")(lambda: None)
        app.command("check", help="Say what a launch needs and does not have.")(lambda: None)
        app.add_typer(typer.Typer(help="The dated catalog of prices and regions."), name="catalog")
        app.command("serve", help="Start the API and the launch page.")(lambda: None)
        app.add_typer(typer.Typer(help="Tokens of the API."), name="token")
        app.add_typer(typer.Typer(help="The machines and the S3 server on this host."), name="local")
    app()


if __name__ == "__main__":
    main()
