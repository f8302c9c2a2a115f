import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from automation import commands as command_line
from automation import drift_command, outputs, views
from automation.errors import Kind, LaunchFailure, Stopped
from automation.launch import LaunchResult, Span
from automation.takedown import Cleanup, DestroyResult
from provider.status import Stage, Status

DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()

FAILURE = LaunchFailure(
    Kind.BOOT,
    "serve_failed",
    Stage.SERVE,
    "dev-readiness",
    "vLLM ended",
    "read [the] lines",
    False,
    "raw",
    ("last", "words"),
)
FAILED = LaunchResult(
    "launch-1",
    "dev",
    12.0,
    (Span(Stage.VALIDATE, 0.0, 2.0),),
    Path("/s/events.jsonl"),
    failure=FAILURE,
    cleanup=Cleanup("removed", ("dev-machine",)),
)
REGISTERED = LaunchResult(
    "launch-1",
    "dev",
    12.0,
    (Span(Stage.VALIDATE, 0.0, 2.0), Span(Stage.REGISTER, 12.0, 12.0)),
    Path("/s/events.jsonl"),
    {"model": "m", "endpoint": "https://h", "apiKey": "[secret]", "pricePerHour": 0.5},
)


def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield a command, or a group with what is in it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(f"{path} {name}", child)


def section_of(path: str) -> str:
    """Return what docs/cli.md says of a command; a group may have one section for all its commands."""
    for name in (path, path.rpartition(" ")[0]):
        section = re.search(rf"^## `{name}[ `].*?(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL)
        if section is not None:
            return section[0]
    pytest.fail(f"docs/cli.md has no section on {path}")


@pytest.mark.parametrize("name", command_line.names())
def test_every_command_and_option_is_documented(name: str) -> None:
    for path, command in walk(f"liftoff {name}", command_line.load(name)):
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        if options or not hasattr(command, "commands"):
            section = section_of(path)
            assert path in section
            assert [option for option in options if f"`{option}" not in section] == [], path


@pytest.mark.parametrize("name", command_line.names())
def test_no_option_takes_a_token_or_a_key_which_every_user_of_the_host_could_read(name: str) -> None:
    for path, command in walk(f"liftoff {name}", command_line.load(name)):
        options = {option for parameter in command.params for option in parameter.opts}
        assert not options & {"--token", "--api-key", "--password", "--secret"}, path


def test_every_exit_code_is_documented() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (\w+)", DOCS, re.MULTILINE))
    assert rows[str(drift_command.DRIFTED)] == "drift"
    assert {str(kind.exit_code): kind.title for kind in Kind}.items() <= rows.items()


def test_the_version_is_told_without_loading_what_is_slow() -> None:
    code = (
        "import sys; sys.argv = ['liftoff', '--version']; from automation.__main__ import main; main(); "
        "print(sorted({'typer', 'pulumi', 'pydantic', 'rich', 'boto3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"liftoff \d+\.\d+\.\d+\n\[\]\n", done.stdout)


def test_help_lists_every_command_and_loads_none() -> None:
    code = (
        "import sys; sys.argv = ['liftoff', '--help']; from automation.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'automation.cli', 'control_plane', 'pydantic', 'fastapi', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *told, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    listed = told[told.index("Commands:") + 1 :]
    assert [line.split()[0] for line in listed] == list(command_line.names())
    assert not [line for line in listed if line.endswith("...")]


def test_the_command_line_comes_up_without_the_sdk() -> None:
    code = "import sys, automation.cli; print(sorted({'pulumi', 'boto3', 'grpc'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_pipe_gets_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    view = views.Plain()
    for elapsed in (1.0, 2.0):
        view.status(Status(25.0, Stage.REQUEST, "creating x"), elapsed)
    view.status(Status(45.0, Stage.PROVISION), 63.0)
    assert capsys.readouterr().out.splitlines() == [
        "00:01  25.0% Requesting spot instance: creating x",
        "01:03  45.0% Provisioning instance",
    ]


def test_a_failure_is_told_for_its_reader(capsys: pytest.CaptureFixture[str]) -> None:
    views.Plain().launched(FAILED, "")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "Launch failed in stage 'Starting vLLM' at dev-readiness: boot/serve_failed",
        "  vLLM ended",
        "",
        "Last lines of the node:",
        "  last",
        "  words",
        "",
        "What to do: read [the] lines",
        "Everything that this launch made is deleted, and verified gone: dev-machine",
        "Everything that happened: /s/events.jsonl",
    ]


def test_programs_get_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = views.JsonLines()
    view.status(Status(25.0, Stage.REQUEST, "m"), 1.0)
    view.note("n")
    view.launched(FAILED, "")
    view.launched(REGISTERED, "")
    view.destroyed(DestroyResult("dev", 1.0, ("x",)))
    view.stopped(Stopped(Kind.CONFIGURATION, "c", "m", "h"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["status", "note", "result", "result", "result", "error"]
    documented = set(re.findall(r"`(\w+)`", DOCS))
    assert {key for line in lines for key in line} <= documented
    assert lines[2]["failure"]["log"] == ["last", "words"]


def test_a_terminal_shows_stages_bar_and_clock_and_then_the_timeline() -> None:
    console = Console(width=100, force_terminal=True, color_system=None, record=True)
    with views.Terminal(console) as view:
        view.status(Status(82.4, Stage.LOAD, "1.2 of 16.1 GB"), 5.0)
        view.launched(REGISTERED, "Ask it:\n  curl [x]")
    shown = console.export_text()
    for text in ("✓ Provisioning instance", "Loading model from R2", "1.2 of 16.1 GB", "82.4%", "00:05"):
        assert text in shown
    for text in ("Timeline", "m is served at https://h", "0.50 USD/hour", "curl [x]"):
        assert text in shown


def test_the_key_is_in_no_command_that_is_printed(tmp_path: Path) -> None:
    found = {"apiKey": "sk-liftoff-1", "endpoint": "https://10.0.0.2:443", "model": "m"}
    for text in (outputs.curl_command("dev", found), outputs.python_lines("dev", found, tmp_path)):
        assert "sk-liftoff-1" not in text
    assert 'header = "Authorization: Bearer sk-liftoff-1"' in outputs.curl_config(found, None)
