"""The emulated clouds behave like clouds, seen through the real engine and the clouds' own SDKs."""

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clouds import errors
from tests.clouds.fixtures import Clouds, clouds

__all__ = ["clouds"]

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).parents[2]
PROGRAM = REPOSITORY / "tests" / "clouds" / "program"
MACHINES = {
    "aws": "aws:ec2/instance:Instance",
    "azure-native": "azure-native:compute:VirtualMachine",
    "gcp": "gcp:compute/instance:Instance",
}
CONFIGURATION = {"aws": {"aws:region": "us-east-1"}, "azure-native": {}, "gcp": {"gcp:project": "emulated-project"}}
SECONDS = 120.0


@pytest.fixture(scope="module")
def engine_bin() -> Path:
    printed = subprocess.run(
        [REPOSITORY / "engine" / "install.sh", "--print-path"], capture_output=True, text=True, check=True
    )
    return Path(printed.stdout.strip())


@dataclass(frozen=True)
class Stack:
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

    def up(self, **config: str) -> str:
        self.configure(**config)
        return self.succeed("up", "--yes", "--skip-preview")

    def fail(self, **config: str) -> str:
        self.configure(**config)
        done = self.pulumi("up", "--yes", "--skip-preview")
        assert done.returncode != 0, done.stdout
        return done.stdout

    def configure(self, **config: str) -> None:
        if config:
            given = (part for key, value in config.items() for part in ("--plaintext", f"{key}={value}"))
            self.succeed("config", "set-all", *given)

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self.succeed("stack", "output", "--json", "--show-secrets")))

    def resources(self) -> dict[str, dict[str, Any]]:
        deployment = json.loads(self.succeed("stack", "export"))["deployment"]
        return {resource["type"]: resource for resource in deployment.get("resources", [])}


@dataclass(frozen=True)
class Desk:
    provider: str
    stack: Stack
    clouds: Clouds

    @property
    def machine(self) -> str:
        return MACHINES[self.provider]


def _stack(folder: Path, engine_bin: Path, clouds: Clouds, provider: str) -> Stack:
    project = folder / "project"
    shutil.copytree(PROGRAM, project)
    (project / ".venv").symlink_to(sys.prefix)
    (folder / "state").mkdir()
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "LIFTOFF_", "VIRTUAL_ENV"))
    }
    stack = Stack(
        project,
        inherited
        | {
            "PATH": f"{engine_bin}:/usr/bin:/bin",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "of-a-test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_PROVIDERS": clouds.environment,
        },
    )
    stack.succeed("stack", "init", "dev")
    stack.configure(cloud=provider, **CONFIGURATION[provider])
    return stack


@pytest.fixture(params=sorted(MACHINES))
def desk(request: pytest.FixtureRequest, tmp_path: Path, engine_bin: Path, clouds: Clouds) -> Desk:
    return Desk(request.param, _stack(tmp_path, engine_bin, clouds, request.param), clouds)


def only(provider: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("desk", [provider], indirect=True)


def test_a_machine_comes_is_changed_replaced_and_goes(desk: Desk) -> None:
    seen: list[bytes] = []
    gone: list[str] = []
    desk.clouds.world.on_vm = lambda provider, inputs, data, outputs: seen.append(data)
    desk.clouds.world.on_vm_deleted = gone.append

    preview = desk.stack.succeed("preview")
    assert f":{desk.machine.rsplit(':')[-1]} node create" in preview
    assert len(desk.clouds.truth) == 0

    desk.stack.up(userData="#cloud-config first")
    state = desk.stack.succeed("stack", "export")
    assert "#cloud-config first" not in state  # it was given as a secret
    assert base64.b64encode(b"#cloud-config first").decode() not in state
    first = desk.clouds.truth.one(desk.provider, desk.machine)
    outputs = desk.stack.outputs()
    assert outputs["id"] == first.id
    assert outputs["address"].startswith(("203.0.113.", "198.51.100.", "192.0.2."))
    assert seen == [b"#cloud-config first"]
    assert first.tags == {"purpose": "test"}
    desk.stack.succeed("preview", "--expect-no-changes")
    desk.stack.succeed("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    desk.stack.up(purpose="other")
    changed = desk.clouds.truth.one(desk.provider, desk.machine)
    assert (changed.id, changed.tags) == (first.id, {"purpose": "other"})
    assert changed.created_at == first.created_at

    desk.stack.up(**({"diskSize": "200"} if desk.provider == "gcp" else {"userData": "#cloud-config second"}))
    second = desk.clouds.truth.one(desk.provider, desk.machine)
    made = [event.method for event in desk.clouds.truth.happenings if event.token == desk.machine]
    assert second.created_at > first.created_at
    assert made.count("Create") == 2
    assert made.count("Delete") == 1

    desk.stack.succeed("destroy", "--yes", "--skip-preview")
    assert desk.clouds.truth.find() == []
    assert gone == [first.id, second.id]


def test_what_the_sdk_does_not_know_is_refused_by_name(desk: Desk) -> None:
    program = desk.stack.folder / "program.py"
    right, wrong = {
        "aws": ("volume_size", "volume_sise"),
        "azure-native": ("vm_size", "vm_sise"),
        "gcp": ("automatic_restart", "auto_restart"),
    }[desk.provider]
    program.write_text(program.read_text().replace(f'"{right}"', f'"{wrong}"'))

    shown = desk.stack.pulumi("preview").stdout

    assert f"Unknown property '{wrong}'" in shown


def test_missing_capacity_is_told_in_the_clouds_own_words(desk: Desk) -> None:
    text = errors.text(desk.provider, "capacity")
    fault = desk.clouds.faults.add(desk.provider, desk.machine, error=text)

    assert text in desk.stack.fail()

    assert fault.seen == 1
    assert desk.clouds.truth.find(desk.provider, desk.machine) == []
    desk.stack.succeed("destroy", "--yes", "--skip-preview")
    assert desk.clouds.truth.find() == []


@only("gcp")
def test_an_evicted_machine_is_gone_and_comes_back(desk: Desk) -> None:
    desk.stack.up()
    first = desk.clouds.truth.one(desk.provider, desk.machine)

    desk.clouds.evict(desk.provider, first.id)
    desk.stack.succeed("refresh", "--yes", "--skip-preview")
    assert desk.machine not in desk.stack.resources()

    desk.stack.up()
    assert desk.clouds.truth.one(desk.provider, desk.machine).created_at > first.created_at


@only("aws")
def test_a_lost_answer_leaves_a_machine_that_no_state_knows(desk: Desk) -> None:
    desk.clouds.faults.add(desk.provider, desk.machine, error="transport is closing", lost_answer=True)

    assert "transport is closing" in desk.stack.fail()

    assert desk.machine not in desk.stack.resources()
    assert desk.clouds.truth.one(desk.provider, desk.machine).state == "ready"


@only("azure-native")
def test_a_machine_that_azure_could_not_allocate_stays_failed_in_cloud_and_state(desk: Desk) -> None:
    text = errors.text("azure-native", "capacity_allocation")
    desk.clouds.faults.add("azure-native", desk.machine, error=text)

    assert text in desk.stack.fail()

    left = desk.clouds.truth.one("azure-native", desk.machine)
    assert (left.state, left.outputs["provisioningState"]) == ("failed", "Failed")
    kept = desk.stack.resources()[desk.machine]
    assert kept["id"] == left.id
    assert kept["initErrors"] == [text]
    desk.stack.succeed("destroy", "--yes", "--skip-preview")
    assert desk.clouds.truth.find() == []
