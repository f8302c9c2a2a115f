"""A root file system of Ubuntu 24.04, which the images of the clouds are made from."""

import hashlib
import subprocess
from pathlib import Path

import httpx
import pytest

from provider import places
from provider.local import image

_ARCHIVE = "https://archive.ubuntu.com/ubuntu"
_KEYRING = f"{_ARCHIVE}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
_KEYRING_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"


def root() -> Path:
    """Return it, built on the first call; the test is skipped where Ubuntu's archive can't be reached."""
    keyring = _keyring()
    sources = tuple(
        f"deb [signed-by={keyring}] {_ARCHIVE} {suite} main universe"
        for suite in ("noble", "noble-updates", "noble-security")
    )
    return image.ensure_root(lambda _: None, image.Release("noble", sources, keyring))


def _keyring() -> Path:
    folder = places.cache_folder() / "images" / "ubuntu-keyring"
    keyring = folder / "usr/share/keyrings/ubuntu-archive-keyring.gpg"
    if not keyring.exists():
        try:
            answer = httpx.get(_KEYRING, timeout=20, follow_redirects=True).raise_for_status()
        except httpx.HTTPError as error:
            pytest.skip(f"Ubuntu's archive can't be reached: {error}")
        assert hashlib.sha256(answer.content).hexdigest() == _KEYRING_SHA256
        folder.mkdir(parents=True, exist_ok=True)
        package = folder / "keyring.deb"
        package.write_bytes(answer.content)
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    return keyring
