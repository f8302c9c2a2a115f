"""The command line: all commands by name, each imported only when it is asked for, so that `--help` is quick."""

import importlib
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

_COMMANDS: Final = {
    "launch": ("automation.cli", "launch", "Bring up a node and wait until its endpoint has answered."),
    "status": ("control_plane.launch_commands", "status", "Tell how launches are: the latest, or one in full."),
    "logs": ("control_plane.launch_commands", "logs", "Show what engine and node wrote during a launch."),
    "cancel": ("control_plane.launch_commands", "cancel", "End a launch, and leave nothing of it in any cloud."),
    "destroy": ("automation.cli", "destroy", "Delete everything that a stack or a launch has made."),
    "nodes": ("control_plane.node_commands", "app", "List the nodes, and tell how one is asked."),
    "outputs": ("automation.cli", "outputs_", "Show a node's endpoint and how to talk to it."),
    "offers": ("automation.offer_commands", "offers", "List what a launch of a model would try, cheapest first."),
    "preview": ("automation.preview_command", "preview", "Say what a launch would change, cost and break."),
    "check": ("automation.check_command", "check", "Say what a launch needs and does not have."),
    "drift": ("automation.drift_command", "drift", "Say what of a stack was changed from outside or is gone."),
    "affected": ("automation.affected_command", "affected", "Name the stacks that a change in git may affect."),
    "github": ("automation.github_commands", "app", "Comments and issues that workflows keep up to date."),
    "serve": ("control_plane.serve_command", "serve", "Start the API and the launch page."),
    "token": ("control_plane.token_commands", "app", "Tokens of the API."),
    "sweep": ("control_plane.sweep_command", "sweep", "Delete what ended launches have left."),
    "repair": (
        "automation.repair_command",
        "repair",
        "Restore a state that can't be read, and settle what is pending.",
    ),
    "weights": ("automation.cli", "weights_app", "Models in the bucket that nodes load from."),
    "catalog": ("automation.catalog_commands", "app", "The dated catalog of prices and regions."),
    "env": ("automation.cli", "env", "Write lines with which `pulumi` works on the same stacks."),
    "local": ("automation.local_commands", "app", "The machines and the S3 server on this host."),
}
"""Module, name in it, and what `--help` says of it; in the order in which they are listed."""


class Commands(TyperGroup):
    """All commands; one that was not asked for has its name and its line of help alone."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - Typer's own
        super().__init__(**attributes)
        for name, (_, _, text) in _COMMANDS.items():
            self.add_command(TyperCommand(name, callback=None, help=text, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Typer's own
        """Return the command that is asked for, imported now."""
        if args and args[0] in _COMMANDS:
            self.add_command(load(args[0]))
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="liftoff",
    cls=Commands,
    help="Serve an open model on a cheap GPU: one command, a private OpenAI-compatible endpoint, every step visible.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    # `liftoff --version` alone is answered in __main__, before this module is imported.
    if version:
        from importlib import metadata

        print(f"liftoff {metadata.version('liftoff')}")
        raise typer.Exit


def load(name: str) -> Any:  # noqa: ANN401 - Typer's own
    """Import a command, or a group of them, by its name."""
    module, attribute, _ = _COMMANDS[name]
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        found.rich_markup_mode = None
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name)(found)
    return typer.main.get_command(alone)


def names() -> tuple[str, ...]:
    """Return the names of all commands."""
    return tuple(_COMMANDS)
