"""The user data of each cloud runs on Debian 12 and on Ubuntu 24.04, and cloud-init finds nothing wrong with it."""

import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from automation.weights import Target, push
from components import user_data
from components.cuda import requirements
from provider import node_program, places
from provider.boot_session import BootSession, BootSessionInputs, mailbox_key
from provider.local import image, machine, network, tiny_llama
from provider.local import storage as local_storage
from provider.resource import Operation
from provider.status import Mailbox
from provider.storage import Bucket, Storage

from ..unit.components.test_user_data import told
from . import ubuntu

pytestmark = pytest.mark.machine

_SECONDS = 60.0
ROOTS: dict[str, Callable[[], Path]] = {"debian12": lambda: image.ensure_root(_quiet), "ubuntu24.04": ubuntu.root}
CLOUDS = {"aws": "datacenter", "azure": "grid", "gcp": "datacenter"}


def _quiet(_: str) -> None:
    return None


@pytest.fixture(params=ROOTS)
def root(request: pytest.FixtureRequest) -> Path:
    return ROOTS[request.param]()


@pytest.mark.parametrize("provider", CLOUDS)
def test_it_passes_cloud_inits_own_schema_check(root: Path, provider: str, tmp_path: Path) -> None:
    (tmp_path / "user-data").write_text(user_data.render(told(provider=provider, gpu_driver=CLOUDS[provider])))
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--volatile=overlay"]
    command += [f"--directory={root}", f"--bind-ro={tmp_path}:/mnt"]
    command += ["cloud-init", "schema", "--config-file", "/mnt/user-data"]
    checked = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Valid" in checked.stdout


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Storage, str]]:
    """A bucket that machines reach, and the URI of a model in it."""
    monkeypatch.setenv("LIFTOFF_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LIFTOFF_KEYS", str(tmp_path / "keys"))
    holder, prefix = f"test-{secrets.token_hex(3)}", f"test-{secrets.token_hex(4)}"
    network.hold_bridge(holder)
    held = local_storage.acquire(holder, "nspawn")
    made = Storage(
        endpoint=held.endpoint,
        region=held.region,
        bucket=held.bucket,
        access_key_id=held.access_key_id,
        secret_access_key=held.secret_access_key,
        ca_certificate=held.ca_certificate,
    )
    tiny_llama.write(tmp_path / "model")
    (tmp_path / "ca.pem").write_text(held.ca_certificate)
    target = Target(held.endpoint, held.region, held.access_key_id, held.secret_access_key, str(tmp_path / "ca.pem"))
    push(tmp_path / "model", f"s3://{held.bucket}/{prefix}", target, lambda _: None)
    try:
        yield made, f"s3://{held.bucket}/{prefix}"
    finally:
        Bucket(made).delete_below(prefix)
        local_storage.release(holder)
        network.release_bridge(holder)


@pytest.mark.parametrize("provider", CLOUDS)
def test_it_arms_the_nodes_end_and_starts_the_boot(
    root: Path, provider: str, storage: tuple[Storage, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, weights = storage
    name = f"test-{secrets.token_hex(3)}"
    made = network.create(name, "nspawn")
    session = BootSession()
    operation = Operation("", _quiet, _quiet, threading.Event())
    inputs = BootSessionInputs(
        storage=bucket,
        weights=weights,
        server_names=(made.address,),
        lifetime_seconds=3600,
        boot_deadline_seconds=300,
        requirements=requirements("12.8" if provider == "azure" else "13.0"),
        programSha256=node_program.digest(),
    )
    run_id, outputs = session.create(inputs, operation)
    document = user_data.render(
        told(
            provider=provider,
            gpu_driver=CLOUDS[provider],
            run_id=run_id,
            mailbox_url=outputs["mailboxUrl"],
            session_url=outputs["sessionUrl"],
            session_sha256=outputs["sessionSha256"],
            storage_ca=bucket.ca_certificate,
            expires_at=outputs["expiresAt"],
            server_name=made.address,
        )
    )
    # Whichever release is under test is what machines boot from.
    monkeypatch.setattr(image, "ensure_root", lambda say: root)
    try:
        booted = machine.boot(
            machine.MachineSpec(
                name=name,
                user_data=document,
                isolation="nspawn",
                namespace=made.namespace,
                address=made.address,
                gateway=made.gateway,
                image="base",
                requirements="",
                memory_bytes=2 << 30,
                cpus=1,
                instance_id="i-0123456789abcdef0",
            ),
            _quiet,
        )
        letter = _letter(Bucket(bucket), run_id)
        assert letter.phase("install").state in ("running", "done")
        assert letter.instance_id == "i-0123456789abcdef0"
        told_file = places.state_folder() / "machines" / name / "merged/etc/liftoff/boot.json"
        assert told_file.stat().st_mode & 0o077 == 0
        assert _inside(booted.pid, "systemctl", "is-active", "liftoff-expiry.timer") == "active"
        ends = _inside(booted.pid, "systemctl", "cat", "liftoff-expiry.service")
        assert ("management.azure.com" in ends) is (provider == "azure")
        _inside(booted.pid, "cloud-init", "status", "--wait")
        # A minimal root lacks what some of cloud-init's other modules want, such as locales.
        troubles = _inside(booted.pid, "cloud-init", "status", "--long")
        assert not [part for part in ("bootcmd", "write_files", "runcmd", "scripts_user") if part in troubles], troubles
    finally:
        machine.delete(name, _quiet)
        session.delete(run_id, inputs, outputs, operation)
        network.delete(name)


def _letter(bucket: Bucket, run_id: str) -> Mailbox:
    """Return the first letter in which a phase is under way."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        body = bucket.get(mailbox_key(run_id))
        if body is not None:
            letter = Mailbox.model_validate_json(body)
            assert letter.state == "booting", letter.error
            if letter.phase("install").state != "pending":
                return letter
        time.sleep(0.2)
    pytest.fail(f"no letter in {_SECONDS} s")


def _inside(pid: int, *command: str) -> str:
    done = subprocess.run(
        ["nsenter", "--target", str(pid), "--all", *command], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.strip()
