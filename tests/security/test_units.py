"""The units of server and node: understood by systemd, and held to how little they are exposed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from boot import services

ROOT: Final = Path(__file__).parents[2]
EXPOSED: Final = {
    # Installs packages and drivers: root, and a system that it may write to.
    "liftoff-boot.service": 7.3,
    # Its first process binds port 443 and reads the key, its others are www-data.
    "liftoff-proxy.service": 2.7,
    # Needs the GPU's devices, and memory that is written and executed.
    "liftoff-vllm.service": 1.9,
    "liftoff.service": 1.5,
}
"""The most that is allowed, of ten, by systemd's own reckoning."""

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this host has no systemd-analyze")


def units() -> dict[str, str]:
    return {
        "liftoff-boot.service": (ROOT / "cloud-init" / "liftoff-boot.service").read_text(),
        "liftoff-proxy.service": services.proxy_unit(),
        "liftoff-vllm.service": services.vllm_unit(["/opt/liftoff/venv/bin/python", "-m", "vllm"]),
        "liftoff.service": (ROOT / "deploy" / "liftoff.service").read_text(),
    }


@pytest.mark.parametrize("name", EXPOSED)
def test_a_unit_is_understood_and_no_more_exposed_than_it_was(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    # The programs are not installed here: another one stands in their place.
    unit.write_text(re.sub(r'(?m)^(ExecStart|ExecStartPre)="?/\S+', r"\1=/bin/true", units()[name]))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    assert "liftoff" not in verified.stderr, verified.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSED[name] * 10:.0f}"]
    scored = subprocess.run([*command, unit], capture_output=True, text=True, check=False)
    assert scored.returncode == 0, scored.stdout + scored.stderr


def test_every_unit_is_scored() -> None:
    written = {path.name for folder in ("deploy", "cloud-init") for path in (ROOT / folder).glob("*.service")}
    source = (ROOT / "cloud-init" / "boot" / "services.py").read_text()
    assert written | set(re.findall(r'_start\("([\w.-]+)"', source)) == set(EXPOSED)


@pytest.mark.parametrize("name", sorted(EXPOSED))
def test_no_unit_holds_a_secret(name: str) -> None:
    assert not re.search(r"(?i)(password|token|secret|passphrase|api_?key)\w*=", units()[name])


def test_vllm_runs_as_nobody_in_particular_without_any_right() -> None:
    lines = units()["liftoff-vllm.service"].splitlines()
    assert {"DynamicUser=yes", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(lines)
