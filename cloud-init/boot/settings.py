"""What user data tells the boot program: /etc/liftoff/boot.json."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from boot.failure import BootFailed

_HTTPS_FIELDS = ("mailbox_url", "session_url")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The boot settings; docs/architecture.md explains each field. Times are in seconds."""

    run_id: str
    mailbox_url: str
    session_url: str
    session_sha256: str
    storage_ca: str | None
    provider: str
    gpu_driver: str | None
    model: str
    max_model_len: int | None
    vllm_arguments: tuple[str, ...]
    vllm_environment: dict[str, str]
    packages: tuple[str, ...]
    boot_deadline_seconds: int
    expires_at: str
    port: int
    server_name: str
    api_key: str
    tls_certificate: str
    tls_key: str
    metadata_url: str = "http://169.254.169.254"
    root: str = "/"

    @property
    def on_machine(self) -> bool:
        """Whether this is a machine of its own, with systemd and apt; else plain processes below `root`."""
        return self.root == "/"

    def at(self, path: str) -> Path:
        """Return a path of the node, below `root`."""
        return Path(self.root) / path.lstrip("/")

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that may stand in no log and no message."""
        signed = [url.partition("?")[2] for url in (self.mailbox_url, self.session_url)]
        return tuple(text for text in (self.api_key, self.tls_key, *signed) if text)


def load(path: Path) -> Settings:
    """Return the settings in a file.

    Raises:
        BootFailed: the file is missing or not what this version understands; the message names the field.
    """
    try:
        given = json.loads(path.read_text())
        version = given.pop("version")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _invalid(f"{path} can't be read: {type(error).__name__}") from error
    if version != 1:
        raise _invalid(f"version: given {version!r}; allowed: 1")
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    if unknown := given.keys() - fields.keys():
        raise _invalid(f"unknown fields: {', '.join(sorted(unknown))}")
    required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    if missing := required - given.keys():
        raise _invalid(f"missing fields: {', '.join(sorted(missing))}")
    for name in _HTTPS_FIELDS:
        if not str(given[name]).startswith("https://"):
            raise _invalid(f"{name}: allowed: an https:// URL")
    if not str(given.get("metadata_url", "http://")).startswith("http://"):
        # None of the clouds' services speaks TLS: it never leaves the machine's host.
        raise _invalid("metadata_url: allowed: an http:// URL")
    for name in ("vllm_arguments", "packages"):
        given[name] = tuple(given[name])
    return Settings(**given)


def _invalid(message: str) -> BootFailed:
    return BootFailed(
        "settings_invalid", "", message, "node and Liftoff may be of different versions: destroy and launch again"
    )
