"""User data holds what the node is told, unchanged whatever a user wrote, and fits the smallest cloud."""

import gzip
import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from boot import settings
from boot.failure import BootFailed
from hypothesis import given
from hypothesis import strategies as st

from components import user_data

SNAPSHOT = Path(__file__).parent / "user-data.yaml"


def told(**changes: Any) -> user_data.BootSettings:
    values: dict[str, Any] = {
        "run_id": "0123456789abcdef",
        "mailbox_url": "https://bucket.example/liftoff/sessions/0123456789abcdef/mailbox.json?X-Amz-Signature=1",
        "session_url": "https://bucket.example/liftoff/sessions/0123456789abcdef/session.json?X-Amz-Signature=2",
        "session_sha256": "0" * 64,
        "storage_ca": None,
        "provider": "aws",
        "gpu_driver": "datacenter",
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "max_model_len": 32768,
        "vllm_arguments": ("--enforce-eager",),
        "vllm_environment": {},
        "packages": ("nginx-light", "python3-venv"),
        "boot_deadline_seconds": 900,
        "expires_at": "2030-01-01T00:00:00Z",
        "port": 443,
        "server_name": "203.0.113.7",
        "api_key": "sk-liftoff-0",
        "tls_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "tls_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
    return user_data.BootSettings.model_validate({**values, **changes})


def files_in(document: str) -> dict[str, dict[str, str]]:
    return {file["path"]: file for file in yaml.safe_load(document)["write_files"]}


def test_it_is_what_was_reviewed() -> None:
    assert user_data.render(told()) == SNAPSHOT.read_text(), "if the change is meant: write the new document there"


def test_it_fits_the_smallest_cloud_with_room_for_real_keys() -> None:
    long = told(
        mailbox_url="https://b.example/" + secrets.token_hex(300),
        session_url="https://b.example/" + secrets.token_hex(300),
        storage_ca=secrets.token_urlsafe(1500),
        tls_certificate=secrets.token_urlsafe(800),
        tls_key=secrets.token_urlsafe(250),
    )
    data = user_data.compressed(user_data.render(long))
    user_data.check_size(data, "aws")
    assert len(data) < user_data.LIMITS["aws"] // 2


def test_what_does_not_fit_is_refused_with_both_sizes() -> None:
    with pytest.raises(user_data.UserDataTooLong, match="20000 bytes; aws takes 16384"):
        user_data.check_size(bytes(20000), "aws")


def test_the_same_settings_make_the_same_bytes() -> None:
    assert user_data.compressed(user_data.render(told())) == user_data.compressed(user_data.render(told()))
    assert gzip.decompress(user_data.compressed("#cloud-config\n")) == b"#cloud-config\n"


def test_the_nodes_end_is_armed_before_anything_else() -> None:
    document = yaml.safe_load(user_data.render(told()))
    (first,) = document["bootcmd"]
    assert "liftoff-expiry" in first[2]
    assert first[-2:] == ["2030-01-01T00:00:00Z", "systemctl poweroff"]


def test_at_azure_the_node_deletes_itself_since_a_shutdown_would_stay_billed() -> None:
    (first,) = yaml.safe_load(user_data.render(told(provider="azure")))["bootcmd"]
    assert "--request DELETE" in first[-1]
    assert first[-1].rstrip().endswith("systemctl poweroff")


def test_keys_are_for_root_alone() -> None:
    for path, file in files_in(user_data.render(told())).items():
        if "sk-liftoff-0" in file["content"]:
            assert (path, file["permissions"]) == ("/etc/liftoff/boot.json", "0600")


_hostile = st.text(max_size=60) | st.sampled_from(
    [
        "'; reboot #",
        '"\nruncmd: [reboot]\n',
        "${HOME}",
        "$(reboot)",
        "%i",
        "{{x}}",
        "- a: b",
        "!!python/object",
        "\x85",
        "`id`",
    ]
)


@given(model=_hostile, argument=_hostile, value=_hostile)
def test_whatever_a_user_writes_reaches_the_node_as_it_is(model: str, argument: str, value: str) -> None:
    document = user_data.render(told(model=model, vllm_arguments=(argument,), vllm_environment={"A": value}))
    parsed = yaml.safe_load(document)
    assert parsed.keys() == {"bootcmd", "write_files", "runcmd"}
    assert parsed["runcmd"] == yaml.safe_load(user_data.render(told()))["runcmd"]
    given = json.loads(files_in(document)["/etc/liftoff/boot.json"]["content"])
    assert (given["model"], given["vllm_arguments"], given["vllm_environment"]) == (model, [argument], {"A": value})


def test_the_boot_program_understands_what_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "boot.json"
    path.write_text(files_in(user_data.render(told()))["/etc/liftoff/boot.json"]["content"])
    loaded = settings.load(path)
    assert (loaded.model, loaded.port, loaded.on_machine) == ("meta-llama/Llama-3.1-8B-Instruct", 443, True)


def test_the_metadata_service_is_the_clouds_own_unless_another_is_named(tmp_path: Path) -> None:
    for changes, url in (
        ({}, "http://169.254.169.254"),
        ({"metadata_url": "http://10.0.0.1:80"}, "http://10.0.0.1:80"),
    ):
        path = tmp_path / "boot.json"
        path.write_text(files_in(user_data.render(told(**changes)))["/etc/liftoff/boot.json"]["content"])
        assert settings.load(path).metadata_url == url


def test_a_metadata_service_that_would_need_tls_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boot.json"
    path.write_text(files_in(user_data.render(told(metadata_url="https://x")))["/etc/liftoff/boot.json"]["content"])
    with pytest.raises(BootFailed, match="metadata_url"):
        settings.load(path)


def test_its_shell_scripts_are_sound() -> None:
    for script in user_data.SOURCES.glob("*.sh"):
        checked = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
