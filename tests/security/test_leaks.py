"""No secret was ever committed: gitleaks over the whole history, and over what is not committed yet."""

import secrets
import subprocess
from pathlib import Path
from typing import Final

import pytest

from control_plane.store.tokens import PREFIX
from tests.go_programs import installed

ROOT: Final = Path(__file__).parents[2]
GITLEAKS: Final = "github.com/zricethezav/gitleaks/v8"
GITLEAKS_VERSION: Final = "v8.30.0"


def scan(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [str(installed(GITLEAKS, GITLEAKS_VERSION)), "git", str(folder), "--config", str(ROOT / ".gitleaks.toml")]
    command += ["--no-banner", "--no-color", "--redact", "--verbose", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def git(folder: Path, *command: str) -> None:
    subprocess.run(["git", "-C", str(folder), *command], check=True, capture_output=True)


@pytest.mark.parametrize("options", [(), ("--pre-commit",)])
def test_no_secret_was_ever_committed_or_is_about_to_be(options: tuple[str, ...]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git: there is no history to scan")
    done = scan(ROOT, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no leaks found" in done.stderr


@pytest.mark.parametrize("kind", ["token", "node key", "private key", "AWS key"])
@pytest.mark.parametrize("file", ["README.md", "tests/test_x.py"])
def test_what_liftoff_and_the_clouds_make_would_be_found(tmp_path: Path, kind: str, file: str) -> None:
    made = {
        "token": PREFIX + secrets.token_urlsafe(32),
        "node key": f"sk-liftoff-{secrets.token_hex(24)}",
        "private key": f"-----BEGIN PRIVATE KEY-----\n{secrets.token_urlsafe(200)}\n-----END PRIVATE KEY-----",
        "AWS key": "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16)),
    }
    git(tmp_path, "init", "--quiet")
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'KEY = "{made[kind]}"\n')
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message", "x")
    done = scan(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert made[kind] not in done.stdout
