import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from automation import github, views
from automation.errors import Kind, LaunchFailure, Stopped
from automation.failover import Attempt, PlanResult
from automation.launch import LaunchResult, Span
from automation.takedown import Cleanup, DestroyResult
from provider.status import Stage, Status

from .test_failover import offer

KEY = "sk-liftoff-Ab12Cd34"
PRIVATE = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"
HOSTILE = "100% of, it: failed\r\n::set-output name=endpoint::https://evil\n| a | <img src=x> `code` **bold**"
FAILURE = LaunchFailure(
    Kind.BOOT,
    "serve_failed",
    Stage.SERVE,
    "chat-readiness",
    HOSTILE,
    f"read the lines with {KEY}",
    False,
    "raw",
    ("::add-mask::x", "```", f"Authorization: Bearer {KEY}", *PRIVATE.splitlines()),
)
REGISTERED = LaunchResult(
    "launch-1",
    "chat",
    61.0,
    (Span(Stage.VALIDATE, 0.0, 2.0), Span(Stage.REGISTER, 60.0, 61.0)),
    Path("/s/events.jsonl"),
    {
        "endpoint": "https://192.0.2.7",
        "apiKey": KEY,
        "instanceType": "g6.2xlarge",
        "region": "us-east-1",
        "provider": "aws",
        "pricePerHour": 0.5,
        "certificate": PRIVATE,
        "expiresAt": "[secret]",
    },
)
FAILED = replace(
    REGISTERED, outputs={}, failure=FAILURE, cleanup=Cleanup("left", ("chat-machine",), "it hung", "liftoff destroy")
)


class Runner:
    """The two files of a step, and what its process writes."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._summary, self._outputs, self._capsys = folder / "summary.md", folder / "outputs", capsys
        environment = {"GITHUB_STEP_SUMMARY": str(self._summary), "GITHUB_OUTPUT": str(self._outputs)}
        self.view = github.told(views.Plain(), environment)

    @property
    def summary(self) -> str:
        return self._summary.read_text()

    @property
    def outputs(self) -> dict[str, str]:
        """The step's outputs as the runner reads them."""
        text = self._outputs.read_text()
        return {name: value for name, _, value in re.findall(r"(?ms)^([\w-]+)<<(\w+)\n(.*?)\n\2$", text)}

    def commands(self) -> list[str]:
        """The commands that the runner would obey, in order; those that stop and start it are left out."""
        obeyed, token = [], ""
        for line in self._capsys.readouterr().err.splitlines():
            if token:
                token = "" if line.strip() == f"::{token}::" else token
            elif line.strip().startswith("::stop-commands::"):
                token = line.strip().removeprefix("::stop-commands::")
            elif line.strip().startswith("::"):
                obeyed.append(line.strip())
        assert token == "", "later commands of the step would be ignored"
        return obeyed


@pytest.fixture
def runner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, capsys)


def test_outside_of_github_a_view_stays_what_it_is() -> None:
    view = views.Plain()
    assert github.told(view, {"CI": "true"}) is view


def test_a_node_that_answers_is_summarised_and_put_out_without_its_key(runner: Runner) -> None:
    with runner.view as view:
        view.status(Status(10, Stage.VALIDATE), 0.0)
    runner.view.launched(REGISTERED, "talk")
    assert runner.outputs == {
        "launch-id": "launch-1",
        "endpoint": "https://192.0.2.7",
        "provider": "aws",
        "region": "us-east-1",
        "instance-type": "g6.2xlarge",
        "price-per-hour": "0.5",
    }
    assert "### Stack `chat` answers after 61 s" in runner.summary
    assert f"| {Stage.VALIDATE.title} | 0.0 s | 2.0 s |" in runner.summary
    assert runner.commands() == []
    assert KEY not in runner.summary


def test_a_failure_is_annotated_on_one_line_and_may_not_give_commands(runner: Runner) -> None:
    runner.view.launched(FAILED, "")
    error, left = runner.commands()
    assert error.startswith("::error title=Launch of stack chat failed in stage Starting vLLM%3A boot::100%25 of, it: ")
    assert "%0D%0A::set-output" in error
    assert left.startswith("::error title=Stack chat may still cost money::left: chat-machine; it hung%0Aremove it: ")
    assert (runner.outputs["failure-kind"], runner.outputs["failure-code"]) == ("boot", "serve_failed")
    assert "endpoint" not in runner.outputs


def test_no_secret_is_in_anything_that_github_is_told(runner: Runner, tmp_path: Path) -> None:
    runner.view.launched(FAILED, "")
    runner.view.stopped(Stopped(Kind.CREDENTIALS, "c", f"refused: {KEY}", f"look at {KEY}"))
    told = runner.summary + "".join(runner.commands()) + (tmp_path / "outputs").read_text()
    assert "[secret]" in told
    assert KEY not in told
    assert "MIIEvQ" not in told


def test_markup_of_others_is_shown_and_not_rendered(runner: Runner) -> None:
    runner.view.launched(FAILED, "")
    # A log with a fence in it stands in a longer one.
    assert "````text\n::add-mask::x\n```\n" in runner.summary
    attempt = Attempt(offer(), None, "a | b <img> `x`", 0.0)
    runner.view.planned(PlanResult((attempt,)), "")
    assert r"not tried: a \| b &lt;img> \`x\`" in runner.summary


def test_offers_that_failed_before_one_answered_are_a_warning(runner: Runner) -> None:
    attempts = (
        Attempt(offer(zone="us-east-1a"), FAILED, "", 5.0),
        Attempt(offer(zone="us-east-1b"), REGISTERED, "", 60.0),
    )
    runner.view.planned(PlanResult(attempts), "talk")
    (warning,) = runner.commands()
    assert warning.startswith("::warning title=1 offers failed before one answered::")
    assert "boot/serve" in runner.summary
    assert runner.outputs["endpoint"] == "https://192.0.2.7"


def test_what_a_destroy_left_is_an_error(runner: Runner) -> None:
    runner.view.destroyed(DestroyResult("chat", 1.0, (), ("chat-machine",)))
    assert runner.commands() == ["::error title=Stack chat is not empty::left: chat-machine"]
    assert "chat-machine" in runner.summary


def test_a_launch_that_would_have_to_ask_fails_instead_and_says_so(tmp_path: Path) -> None:
    config = {f"liftoff:{key}": value for key, value in {"provider": "gcp", "model": "m"}.items()}
    lines = ["name: liftoff", "config:", *(f"  {key}: {{default: {value}}}" for key, value in config.items())]
    (tmp_path / "Pulumi.yaml").write_text("\n".join(lines))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "automation",
            "launch",
            "--project",
            str(tmp_path),
            "--stack",
            "chat",
            "--non-interactive",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "outputs")},
    )
    assert done.returncode == Kind.CONFIGURATION.exit_code, done.stderr
    assert "--yes" in done.stderr
    assert "::error title=configuration/consent_missing::" in done.stderr
    assert "consent_missing" in (tmp_path / "outputs").read_text()
