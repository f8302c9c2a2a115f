"""A real S3 server on this host, with a manifest in it."""

import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from provider import places
from provider.boot_session import session_prefix
from provider.local import storage as local_storage
from provider.resource import Operation
from provider.storage import Bucket, Storage

WEIGHTS = b"weights of a model"


@dataclass
class Recorded:
    """An operation whose lines are kept."""

    lines: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def operation(self) -> Operation:
        return Operation("urn:x", self.lines.append, self.kept.append, self.cancelled)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOFF_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("LIFTOFF_KEYS", str(tmp_path_factory.mktemp("keys")))
        held = local_storage.acquire("test-session", "process")
        made = Storage(
            endpoint=held.endpoint,
            region=held.region,
            bucket=held.bucket,
            access_key_id=held.access_key_id,
            secret_access_key=held.secret_access_key,
            ca_certificate=held.ca_certificate,
        )
        yield made
        # Others of this host, other runs of these tests among them, have sessions in the same bucket.
        for run_id in _own_sessions():
            Bucket(made).delete_below(session_prefix(run_id))
        local_storage.release("test-session")


_PREFIXES: set[str] = set()


def _own_sessions() -> list[str]:
    """Return the sessions whose document names weights of this run."""
    folder = places.cache_folder() / "storage" / "data" / local_storage.BUCKET / "sessions"
    return [
        path.parent.name
        for path in folder.glob("*/session.json")
        if any(prefix in path.read_text(errors="replace") for prefix in _PREFIXES)
    ]


@pytest.fixture
def weights(storage: Storage) -> Iterator[str]:
    """The URI of a model of one file."""
    yield from weights_in(storage)


def weights_in(storage: Storage) -> Iterator[str]:
    """Yield the URI of a model of one file, for as long as it is there."""
    prefix = f"test-{secrets.token_hex(4)}"
    _PREFIXES.add(prefix)
    bucket = Bucket(storage)
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    file = {"path": "model.safetensors", "size": len(WEIGHTS), "sha256": digest, "parts": [digest]}
    bucket.put(f"{prefix}/model.safetensors", WEIGHTS)
    bucket.put(f"{prefix}/manifest.json", json.dumps({"version": 1, "part_bytes": 1024, "files": [file]}).encode())
    yield f"s3://{storage.bucket}/{prefix}"
    bucket.delete_below(prefix)
