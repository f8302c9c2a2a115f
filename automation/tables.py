"""Tables for a terminal: a row is a line, however narrow that is, since a name that is broken can't be copied."""

from typing import Final

from rich.console import Console
from rich.table import Table

_UNBOUNDED: Final = 10_000


def make(*titles: str, right: tuple[str, ...] = ()) -> Table:
    """Return a table without lines; the columns in `right` are numbers."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True, justify="right" if title in right else "left")
    return table


def show(table: Table) -> None:
    """Write a table to standard output, as wide as its rows are."""
    console = Console()
    needed = console.measure(table, options=console.options.update(max_width=_UNBOUNDED)).maximum
    Console(width=max(needed, console.width)).print(table)
