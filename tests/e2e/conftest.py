"""Launches on a real machine of this host, through the command that a user types."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIFTOFF = ROOT / ".venv" / "bin" / "liftoff"


@dataclass(frozen=True)
class Finished:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    @property
    def text(self) -> str:
        """Everything that a user would see."""
        return self.out + self.err


@dataclass(frozen=True)
class Desk:
    """A user's desk: folders of its own for state and keys, and a stack that nobody else uses."""

    stack: str
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `liftoff` with these arguments."""
        return subprocess.Popen(
            [LIFTOFF, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, seconds: float = 300) -> Finished:
        """Run `liftoff` to its end."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"liftoff {' '.join(arguments)} took over {seconds} s:\n{out}\n{err}")
        return Finished(process.returncode, out, err)

    def launch(self, **config: str) -> Finished:
        """Launch the stack with the dev stack's settings and these changes."""
        return self.run(*self.launch_arguments(**config))

    def launch_arguments(self, **config: str) -> list[str]:
        """Return the arguments of a launch with the dev stack's settings and these changes."""
        settings = {
            "provider": "local",
            "model": "tiny-llama",
            "weights": "s3://liftoff/models/tiny-llama",
            "maxModelLen": "512",
            "bootDeadlineSeconds": "300",
            "lifetimeSeconds": "3600",
            "isolation": "nspawn",
            **config,
        }
        options = [part for key, value in settings.items() for part in ("--config", f"{key}={value}")]
        return ["launch", "--stack", self.stack, "--json", "--yes", *options]

    def pulumi(self, *arguments: str, seconds: float = 300) -> Finished:
        """Run `pulumi` by hand, in the environment that `liftoff env` gives."""
        done = subprocess.run(
            ["bash", "-c", f'eval "$({LIFTOFF} env)" && exec pulumi "$@"', "pulumi", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets included."""
        done = self.pulumi("stack", "output", "--stack", self.stack, "--json", "--show-secrets")
        assert done.code == 0, done.text
        return dict(json.loads(done.out))


def _environment(folder: Path) -> dict[str, str]:
    own = {
        "LIFTOFF_STATE": str(folder / "state"),
        # The clouds of these tests are emulated: their prices are not to be asked for.
        "LIFTOFF_CATALOG_PRICES": "1",
        "LIFTOFF_KEYS": str(folder / "keys"),
        "PULUMI_HOME": str(folder / "pulumi"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    unwanted = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
    return {key: value for key, value in os.environ.items() if key not in unwanted} | own


def _desk(folder: Path) -> Iterator[Desk]:
    desk = Desk(f"test-{secrets.token_hex(3)}", _environment(folder))
    yield desk
    done = desk.run("destroy", "--stack", desk.stack, "--yes", "--remove")
    (ROOT / f"Pulumi.{desk.stack}.yaml").unlink(missing_ok=True)
    assert done.code == 0 or "stack_missing" in done.text, done.text


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk for one test; what is left at its end is destroyed."""
    yield from _desk(tmp_path)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Finished]]:
    """A desk with a launch that has ended."""
    for desk in _desk(tmp_path_factory.mktemp("desk")):
        yield desk, desk.launch()
