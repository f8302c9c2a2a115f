"""The user data of a node: one cloud-config document made of `cloud-init/` and of what this node alone is told.

Every text that a user sets goes through JSON and YAML as a value, never into a command or a template.
"""

import base64
import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from components.refusal import Refusal

SOURCES: Final = Path(__file__).parent.parent / "cloud-init"
METADATA_URL: Final = "http://169.254.169.254"
"""Where all three clouds answer a machine's questions about itself; boot/notices.py has the sources."""
BOOTSTRAP: Final = "/usr/local/lib/liftoff/bootstrap.py"

LIMITS: Final = {
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html: 16 KB, before base64
    "aws": 16 * 1024,
    # https://learn.microsoft.com/azure/virtual-machines/custom-data: 64 KB of base64
    "azure": 64 * 1024 * 3 // 4,
    # https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations: 256 KB a value, of base64
    "gcp": 256 * 1024 * 3 // 4,
}
"""The most bytes of user data, raw, that each cloud takes."""


class UserDataTooLong(Refusal):
    """The user data does not fit a cloud's limit."""


class BootSettings(BaseModel):
    """What the node is told: `/etc/liftoff/boot.json`. docs/architecture.md explains each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    run_id: str
    mailbox_url: str = Field(repr=False)
    session_url: str = Field(repr=False)
    session_sha256: str
    storage_ca: str | None
    provider: str
    gpu_driver: Literal["datacenter", "grid"] | None
    model: str
    max_model_len: int | None
    vllm_arguments: tuple[str, ...]
    vllm_environment: dict[str, str]
    packages: tuple[str, ...]
    boot_deadline_seconds: int
    expires_at: str
    port: int
    server_name: str
    api_key: str = Field(repr=False)
    tls_certificate: str
    tls_key: str = Field(repr=False)
    metadata_url: str = METADATA_URL


class _Readable(yaml.SafeDumper):
    """Writes texts of several lines as such, so that a person can read the document."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def render(settings: BootSettings) -> str:
    """Return the cloud-config document for a node."""
    document: dict[str, Any] = {
        # bootcmd runs before everything else, and at every boot.
        "bootcmd": [["sh", "-c", _source("arm-expiry.sh"), "arm-expiry", settings.expires_at, _end(settings.provider)]],
        "write_files": [
            _file("/etc/liftoff/boot.json", json.dumps({"version": 1, **settings.model_dump(mode="json")}), "0600"),
            _file(BOOTSTRAP, _source("bootstrap.py"), "0644"),
            _file("/etc/systemd/system/liftoff-boot.service", _source("liftoff-boot.service"), "0644"),
        ],
        "runcmd": [["sh", "-c", _source("start.sh")]],
    }
    return "#cloud-config\n" + yaml.dump(document, Dumper=_Readable, sort_keys=False, width=10**6, allow_unicode=True)


def _end(provider: str) -> str:
    """Return the command that ends the node and its bill; elsewhere than at Azure a shutdown from inside does."""
    return _source("end-of-life-azure.sh") if provider == "azure" else "systemctl poweroff"


def longest_session() -> dict[str, Any]:
    """Return what a boot session may tell at most, in characters that compress as badly as keys and signatures do."""
    noise = "".join(hashlib.sha512(str(number).encode()).hexdigest() for number in range(64))
    return {
        "run_id": noise[:16],
        "mailbox_url": "https://" + noise[:900],
        "session_url": "https://" + noise[900:1800],
        "session_sha256": noise[1800:1864],
        "expires_at": "2026-01-01T00:00:00Z",
        "api_key": noise[1864:1924],
        "tls_certificate": noise[2000:3000],
        "tls_key": noise[3000:3400],
        "storage": {},
        "port": 443,
        "address": "255.255.255.255",
    }


def compressed(document: str) -> bytes:
    """Return the document as gzip, which cloud-init understands; the same for the same document."""
    return gzip.compress(document.encode(), compresslevel=9, mtime=0)


def encoded(document: str, cloud: str) -> str:
    """Return the document as a cloud takes it: base64 of gzip.

    Raises:
        UserDataTooLong: the cloud would not take it.
    """
    data = compressed(document)
    check_size(data, cloud)
    return base64.b64encode(data).decode()


def check_size(data: bytes, cloud: str) -> None:
    """Refuse user data that a cloud would not take.

    Raises:
        UserDataTooLong: with the sizes in bytes.
    """
    if len(data) > LIMITS[cloud]:
        raise UserDataTooLong(
            f"user data: {len(data)} bytes; {cloud} takes {LIMITS[cloud]}. Shorten vllmArguments or the CA certificate"
        )


def _file(path: str, content: str, permissions: str) -> dict[str, str]:
    return {"path": path, "permissions": permissions, "content": content}


@cache
def _source(name: str) -> str:
    return (SOURCES / name).read_text()
