"""What a user of `pulumi` sees of a Python program: its outputs, its errors, and a quiet end on Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "programs" / "plain"
SECRET = "tops3cret-value"
SECONDS = 120.0


@pytest.fixture(scope="module")
def engine_bin() -> Path:
    printed = subprocess.run(
        [REPOSITORY / "engine" / "install.sh", "--print-path"], capture_output=True, text=True, check=True
    )
    folder = Path(printed.stdout.strip())
    assert (folder / "pulumi").exists(), f"no engine in {folder}; run `make engine`"
    return folder


@dataclass(frozen=True)
class Project:
    folder: Path
    environment: dict[str, str]

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", "--color", "never", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def succeed(self, *arguments: str) -> str:
        done = self.pulumi(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def resources(self) -> list[str]:
        deployment = json.loads(self.succeed("stack", "export"))["deployment"]
        return [resource["type"] for resource in deployment.get("resources", [])]


@pytest.fixture
def project(tmp_path: Path, engine_bin: Path) -> Project:
    folder = tmp_path / "project"
    shutil.copytree(PROGRAM, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    (tmp_path / "state").mkdir()
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "LIFTOFF_", "VIRTUAL_ENV"))
    }
    project = Project(
        folder,
        inherited
        | {
            # A python3 of the virtual environment on PATH would hide that the host did not look for one.
            "PATH": f"{engine_bin}:/usr/bin:/bin",
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "of-a-test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        },
    )
    project.succeed("stack", "init", "dev")
    project.succeed("config", "set", "who", "you")
    project.succeed("config", "set", "--secret", "token", SECRET)
    return project


def test_up_gives_the_program_its_configuration_and_the_user_its_outputs(project: Project) -> None:
    shown = project.succeed("up", "--yes")

    assert "hello from the program" in shown
    assert SECRET not in shown
    outputs = json.loads(project.succeed("stack", "output", "--json", "--show-secrets"))
    assert outputs["greeting"] == "hello you"
    assert outputs["token"] == SECRET
    assert outputs["stack"] == "organization/plain/dev"
    assert json.loads(project.succeed("stack", "output", "--json"))["token"] == "[secret]"


def test_the_program_runs_in_the_virtual_environment_that_pulumi_yaml_names(project: Project) -> None:
    project.succeed("up", "--yes")

    assert project.succeed("stack", "output", "python").strip() == str(project.folder / ".venv/bin/python")


def test_preview_changes_nothing(project: Project) -> None:
    shown = project.succeed("preview")

    assert "plain:index:Room" in shown
    assert "plain:index:Room" not in project.resources()


def test_a_second_up_finds_nothing_to_do(project: Project) -> None:
    project.succeed("up", "--yes")

    project.succeed("preview", "--expect-no-changes")


def test_destroy_leaves_nothing(project: Project) -> None:
    project.succeed("up", "--yes")
    assert "plain:index:Room" in project.resources()

    project.succeed("destroy", "--yes")

    assert project.resources() == []


def test_a_program_that_raises_fails_the_update_and_shows_its_traceback_once(project: Project) -> None:
    project.succeed("config", "set", "ending", "raise")

    done = project.pulumi("up", "--yes", "--skip-preview")

    assert done.returncode != 0
    assert done.stdout.count("ValueError: the kitchen is on fire") == 1, done.stdout
    assert 'raise ValueError("the kitchen is on fire")' in done.stdout
    assert "language_host" not in done.stdout


def test_a_program_that_exits_is_reported_with_its_status(project: Project) -> None:
    project.succeed("config", "set", "ending", "exit")

    done = project.pulumi("up", "--yes", "--skip-preview")

    assert done.returncode != 0
    assert "non-zero exit code: 7" in done.stdout


def test_ctrl_c_ends_the_update_quietly_and_leaves_clean_state(project: Project) -> None:
    project.succeed("config", "set", "ending", "wait")
    with subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never"],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as update:
        _await_file(project.folder / "waiting", update)
        interrupted = time.monotonic()
        update.send_signal(signal.SIGINT)
        shown, _ = update.communicate(timeout=SECONDS)

    assert update.returncode != 0
    assert time.monotonic() - interrupted < 10
    assert "Traceback" not in shown
    assert "KeyboardInterrupt" not in shown
    deployment = json.loads(project.succeed("stack", "export"))["deployment"]
    assert not deployment.get("pending_operations")
    assert _running_in(project.folder) == []
    project.succeed("config", "rm", "ending")
    project.succeed("up", "--yes")  # the lock is free


def test_a_missing_environment_is_named_with_the_way_out(project: Project) -> None:
    pulumi_yaml = project.folder / "Pulumi.yaml"
    pulumi_yaml.write_text(pulumi_yaml.read_text().replace("virtualenv: .venv", "virtualenv: elsewhere"))

    done = project.pulumi("up", "--yes", "--skip-preview")

    assert done.returncode != 0
    assert "elsewhere" in done.stdout


def _await_file(path: Path, update: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert update.poll() is None, update.communicate()[0]
        assert time.monotonic() < deadline, f"the program did not come to {path.name} within {SECONDS:.0f} s"
        time.sleep(0.02)


def _running_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it ended meanwhile
            continue
    return found
