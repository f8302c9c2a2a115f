"""What goes wrong is told with its reason, and nothing is left of it."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT, Desk, Finished

pytestmark = pytest.mark.machine


def _until(stage: str, process: subprocess.Popen[str]) -> list[str]:
    """Read a launch's lines until a stage is seen."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if f'"{stage}"' in line:
            return lines
    pytest.fail(f"the launch ended before {stage!r}: {lines} {process.communicate()[1]}")


def _nothing_is_left(desk: Desk) -> None:
    listed = desk.run("local", "list", "--json")
    assert not [record for record in listed.records if record.get("name") == desk.stack]
    resources = desk.pulumi("stack", "export", "--stack", desk.stack).out
    assert "LocalMachine" not in resources


def _bucket_folder() -> Path:
    cache = Path(os.environ.get("LIFTOFF_CACHE", Path.home() / ".cache" / "liftoff"))
    return cache / "storage" / "data" / "liftoff"


def _damaged(change: Callable[[bytes], bytes | None]) -> str:
    """Copy the tiny model's objects to a prefix of its own and damage the weights; return the URI."""
    prefix = f"models/damaged-{secrets.token_hex(3)}"
    source = _bucket_folder() / "models" / "tiny-llama"
    target = _bucket_folder() / prefix
    subprocess.run(["cp", "-a", source, target], check=True)
    weights = next(target.rglob("*.safetensors"))
    damaged = change(weights.read_bytes())
    if damaged is None:
        weights.unlink()
    else:
        weights.write_bytes(damaged)
    return f"s3://liftoff/{prefix}"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body[:-1] + bytes([body[-1] ^ 1]), "checksum_mismatch"),
        (lambda body: None, "weights_incomplete"),
    ],
    ids=["corrupt", "missing"],
)
def test_damaged_weights_end_the_boot_and_are_never_served(
    desk: Desk, change: Callable[[bytes], bytes | None], code: str
) -> None:
    # The tiny model has to be in the bucket before it can be damaged.
    folder = ROOT / "build" / "tiny-llama"
    assert desk.run("local", "model", str(folder)).code == 0
    pushed = desk.run("weights", "push", str(folder), "s3://liftoff/models/tiny-llama", "--stack", "dev")
    assert pushed.code == 0, pushed.text
    failed = desk.launch(weights=_damaged(change))
    assert failed.code != 0
    assert f"boot/{code}" in failed.text or code in failed.text
    assert "safetensors" in failed.text
    _nothing_is_left(desk)


def test_a_boot_that_hangs_is_ended_by_its_deadline(desk: Desk) -> None:
    failed = desk.launch(bootDeadlineSeconds="12")
    assert failed.code != 0
    assert "deadline_exceeded" in failed.text
    _nothing_is_left(desk)


def test_ctrl_c_takes_down_what_the_launch_made(desk: Desk) -> None:
    process = desk.start(*desk.launch_arguments())
    _until("Provisioning instance", process)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in out + err
    _nothing_is_left(desk)


def test_a_stack_whose_driver_was_killed_is_picked_up_by_pulumi_up(desk: Desk) -> None:
    process = desk.start(*desk.launch_arguments())
    _until("Provisioning instance", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    # The worker notices that its driver has gone, and ends the engine so that the state is whole.
    deadline = time.monotonic() + 60
    locks = Path(desk.environment["LIFTOFF_STATE"], "pulumi", ".pulumi", "locks")
    while list(locks.rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    done: Finished = desk.pulumi("up", "--yes", "--stack", desk.stack, "--non-interactive")
    assert done.code == 0, done.text
    assert desk.outputs()["endpoint"].startswith("https://")


def test_a_setting_that_can_not_be_used_is_told_before_anything_is_made(desk: Desk) -> None:
    failed = desk.launch(memoryMiB="10")
    assert failed.code != 0
    assert "liftoff:memoryMiB: given '10'" in failed.text
    assert "1024" in failed.text
    _nothing_is_left(desk)
