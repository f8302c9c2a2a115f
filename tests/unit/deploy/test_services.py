"""The compose file and the systemd unit: what the documents promise of them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNIT = (DEPLOY / "liftoff.service").read_text()
DOCS = (ROOT / "docs" / "deployment.md").read_text()
EXPOSED = 2.0
"""Of ten, by systemd's own reckoning."""


def test_the_log_of_the_control_plane_is_that_of_a_service_of_that_name() -> None:
    assert set(COMPOSE["services"]) == {"control-plane", "database"}
    assert "docker compose -f deploy/compose.yaml logs -f control-plane" in DOCS


def test_every_service_is_looked_after() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert "healthcheck" in service or "HEALTHCHECK" in (DEPLOY / "Dockerfile").read_text()
        assert service["logging"]["options"]["max-size"], name


def test_no_service_has_more_rights_than_it_needs() -> None:
    for name, service in COMPOSE["services"].items():
        assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & set(service), name
        assert "no-new-privileges:true" in service["security_opt"], name
    assert COMPOSE["services"]["control-plane"]["cap_drop"] == ["ALL"]


def test_images_are_pinned_by_version() -> None:
    for service in COMPOSE["services"].values():
        assert re.fullmatch(r"\w+:\d+\.\d+[\w.-]*", service["image"])


def test_the_image_has_the_version_of_the_project() -> None:
    (version,) = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert COMPOSE["services"]["control-plane"]["image"] == f"liftoff:{version}"


def test_nothing_listens_beyond_this_host_without_tls() -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["control-plane"]["ports"])
    assert "ports" not in COMPOSE["services"]["database"]


def test_secrets_come_from_files_that_git_does_not_take() -> None:
    given = {name for service in COMPOSE["services"].values() for name in service["secrets"]}
    assert given == set(COMPOSE["secrets"])
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    for path in ("deploy/secrets/passphrase", "deploy/clouds.env", "deploy/Pulumi.server.yaml"):
        assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0, path
    variables = [COMPOSE["services"][name]["environment"] for name in COMPOSE["services"]]
    assert not [key for given in variables for key in given if re.search("PASSWORD$|PASSPHRASE$|TOKEN$|SECRET$", key)]


def test_volumes_are_declared_and_hold_what_must_not_be_lost() -> None:
    named = {
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service["volumes"]
        if isinstance(volume, str)
    }
    assert named == set(COMPOSE["volumes"]) == {"state", "keys", "database"}


def test_a_lock_of_the_container_before_is_known_as_ones_own_and_engines_may_finish() -> None:
    service = COMPOSE["services"]["control-plane"]
    assert service["hostname"]
    assert service["stop_grace_period"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this host has no systemd-analyze")
def test_the_unit_is_understood_and_hardened(tmp_path: Path) -> None:
    # The program is not installed here: another one stands in its place.
    unit = tmp_path / "liftoff.service"
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT))
    checks = (["verify"], ["security", "--offline=true", f"--threshold={EXPOSED * 10:.0f}", "--no-pager"])
    for check in checks:
        done = subprocess.run(["systemd-analyze", *check, unit], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "unknown" not in done.stderr.lower()


def test_the_unit_lets_engines_finish_and_gets_no_secret() -> None:
    assert "KillMode=process" in UNIT
    assert not re.search(r"(PASSWORD|TOKEN|SECRET|PASSPHRASE)=", UNIT)


def test_every_file_of_the_deployment_is_explained() -> None:
    files = {path.name for path in DEPLOY.iterdir() if path.is_file()} - {"Dockerfile.dockerignore"}
    shown = {name for name in files if name in DOCS}
    assert files - {"Pulumi.server.yaml", "clouds.env"} <= shown
