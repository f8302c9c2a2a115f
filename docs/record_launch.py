"""Record a real launch for the README: what a terminal shows in the middle and at the end, as one SVG.

    uv run python docs/record_launch.py docs/launch.svg

Needs tmux. It launches and destroys the dev stack.
"""

import io
import re
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

_SESSION = "liftoff-record"
_SIZE = ("110", "44")
_PATIENCE_SECONDS = 300


def main() -> None:
    """Record, and write the picture."""
    goal = Path(sys.argv[1])
    _tmux("new-session", "-d", "-s", _SESSION, "-x", _SIZE[0], "-y", _SIZE[1], "PS1='$ ' bash --norc")
    try:
        _tmux("send-keys", "-t", _SESSION, "clear; liftoff launch --stack dev --yes", "Enter")
        middle = _await(re.compile(r"✓ Loading model.*Starting vLLM +\S", re.DOTALL))
        end = _await(re.compile("take it down"))
    finally:
        _tmux("kill-session", "-t", _SESSION)
        subprocess.run(["liftoff", "destroy", "--stack", "dev", "--yes"], check=True, stdout=subprocess.DEVNULL)
    console = Console(record=True, width=int(_SIZE[0]), file=io.StringIO())
    for part in (middle, "", end):
        console.print(Text.from_ansi(part.strip("\n").replace(str(Path.home()), "~")))
    goal.write_text(console.export_svg(title="liftoff launch"))


def _await(pattern: re.Pattern[str]) -> str:
    """Return the screen once it shows a text."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        if pattern.search(_tmux("capture-pane", "-p", "-t", _SESSION)):
            time.sleep(1)  # the rest of the same frame
            return _tmux("capture-pane", "-e", "-p", "-t", _SESSION)
        time.sleep(0.2)
    sys.exit(f"not seen after {_PATIENCE_SECONDS} s: {pattern.pattern}")


def _tmux(*arguments: str) -> str:
    return subprocess.run(["tmux", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
