import json
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from automation import backend
from automation.errors import Kind, Stopped, classify
from automation.locks import Lock
from provider.status import Stage

DEAD = 2**22 + 1  # above the largest number that Linux gives to a process


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, folder in (("CACHE", "cache"), ("STATE", "state"), ("KEYS", "keys")):
        monkeypatch.setenv(f"LIFTOFF_{name}", str(tmp_path / folder))
    engine = tmp_path / "cache" / "engine" / backend.version() / "bin"
    engine.mkdir(parents=True)
    (engine / "pulumi").touch()
    return tmp_path


def home(tmp_path: Path, current: str | None = None) -> dict[str, str]:
    folder = tmp_path / "home"
    folder.mkdir(exist_ok=True)
    if current:
        (folder / "credentials.json").write_text(json.dumps({"current": current}))
    return {"PULUMI_HOME": str(folder), "PATH": "/usr/bin"}


def test_without_a_choice_state_and_passphrase_are_this_hosts(tmp_path: Path) -> None:
    made = backend.environment(home(tmp_path))
    assert made["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/state/pulumi"
    passphrase = Path(made["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text()) >= 32
    assert made["PATH"].endswith(":/usr/bin")


def test_the_passphrase_is_made_once(tmp_path: Path) -> None:
    first = Path(backend.environment(home(tmp_path))["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    again = Path(backend.environment(home(tmp_path))["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    assert first == again
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["passphrase"]


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_the_users_own_passphrase_stands(tmp_path: Path, name: str) -> None:
    made = backend.environment({**home(tmp_path), name: "x"})
    assert not any(key.startswith("PULUMI_CONFIG_PASSPHRASE") for key in made)
    assert not (tmp_path / "keys").exists()


def test_the_users_own_backend_stands(tmp_path: Path) -> None:
    assert "PULUMI_BACKEND_URL" not in backend.environment({**home(tmp_path), "PULUMI_BACKEND_URL": "s3://x"})
    assert "PULUMI_BACKEND_URL" not in backend.environment(home(tmp_path, "https://api.pulumi.com"))


def test_the_lines_for_a_shell_name_files_and_no_passphrase(tmp_path: Path) -> None:
    lines = list(backend.shell_lines(home(tmp_path)))
    secret = (tmp_path / "keys" / "passphrase").read_text()
    assert all(line.startswith("export ") and secret not in line for line in lines)
    assert f'export PATH={backend.engine_folder()}:"$PATH"' in lines


def test_a_missing_engine_is_told_with_what_installs_it(tmp_path: Path) -> None:
    (backend.engine_folder() / "pulumi").unlink()
    with pytest.raises(Stopped, match="engine") as caught:
        backend.engine_folder()
    assert caught.value.hint == "install it: make setup"


def lock(tmp_path: Path, pid: int, host: str) -> Path:
    folder = tmp_path / "b" / ".pulumi" / "locks" / "organization" / "liftoff" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "username": "me", "hostname": host, "timestamp": "2026-01-01T00:00:00Z"}))
    return path


def release(tmp_path: Path) -> list[Lock]:
    return backend.release_stale_locks(f"file://{tmp_path}/b", "liftoff", "dev")


def test_a_lock_whose_owner_is_dead_is_released(tmp_path: Path) -> None:
    path = lock(tmp_path, DEAD, socket.gethostname())
    assert [held.pid for held in release(tmp_path)] == [DEAD]
    assert not path.exists()


def test_a_number_that_another_program_has_got_since_is_no_owner(tmp_path: Path) -> None:
    lock(tmp_path, os.getpid(), socket.gethostname())  # this process lives, and is no engine
    assert [held.pid for held in release(tmp_path)] == [os.getpid()]


def test_a_living_owner_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lock(tmp_path, 4711, socket.gethostname())
    monkeypatch.setattr(backend, "_is_engine", lambda pid: pid == 4711)
    with pytest.raises(Stopped, match="process 4711 of me") as caught:
        release(tmp_path)
    assert str(path) in caught.value.hint
    assert path.exists()


def test_a_lock_that_a_full_disk_has_cut_off_goes_and_holds_nobody_up(tmp_path: Path) -> None:
    path = lock(tmp_path, DEAD, socket.gethostname())
    path.write_text("")
    # The engine writes beside it first, and lists what is left of that as a lock.
    partial = path.with_name(f"{path.name}.18ec93e5f8aaaf1b.tmp")
    partial.touch()
    assert release(tmp_path) == []
    assert not path.exists()
    assert not partial.exists()


def test_a_lock_that_is_being_written_is_read_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lock(tmp_path, 4711, socket.gethostname())
    whole = path.read_text()
    path.write_text(whole[:10])
    monkeypatch.setattr(time, "sleep", lambda _: path.write_text(whole))
    monkeypatch.setattr(backend, "_is_engine", lambda pid: pid == 4711)
    with pytest.raises(Stopped, match="process 4711 of me"):
        release(tmp_path)
    assert path.exists()


def test_a_lock_of_another_host_is_left_alone(tmp_path: Path) -> None:
    path = lock(tmp_path, DEAD, "elsewhere")
    with pytest.raises(Stopped, match="elsewhere"):
        release(tmp_path)
    assert path.exists()


@pytest.mark.parametrize("url", ["https://api.pulumi.com", "gs://bucket", "azblob://container", "postgres://host/db"])
def test_where_locks_can_not_be_read_the_engine_is_left_to_refuse(url: str) -> None:
    assert backend.release_stale_locks(url, "liftoff", "dev") == []


def test_what_the_engine_says_of_a_lock_becomes_who_holds_it_and_what_releases_it() -> None:
    told = (
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the "
        "lock file with `pulumi cancel`.\n  azblob://state/.pulumi/locks/organization/liftoff/chat/68f1180f.json"
        "?storage_account=acme: created by runner@fv-az1 (pid 1590) at 2026-11-26T03:39:46Z"
    )
    failure = classify(told, Stage.VALIDATE)
    assert (failure.kind, failure.code) == (Kind.CONFIGURATION, "stack_locked")
    assert failure.message == "stack 'chat' is locked by process 1590 of runner on fv-az1, since 2026-11-26T03:39:46"
    assert "pulumi cancel --yes --stack chat" in failure.hint
