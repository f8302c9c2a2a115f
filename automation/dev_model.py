"""The weights of the embedded default: a tiny model, made on this host and pushed to this host's own S3 server."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from automation import errors, weights
from automation.errors import Stopped
from automation.weights import Progress, Target
from components.settings import Settings

MODEL: Final = "tiny-llama"


def is_wanted(asked: Settings) -> bool:
    """Tell whether the stack serves the tiny model from this host's bucket."""
    return asked.provider == "local" and asked.model == MODEL and not asked.storage_endpoint


def ensure(asked: Settings, note: Callable[[str], None]) -> None:
    """Make the model and push it where it is not in the bucket yet.

    Raises:
        Stopped: the bucket refused.
    """
    with local_target() as target:
        if weights.is_pushed(asked.weights, target):
            return
        from provider.local import tiny_llama

        note(f"Making the dev model {MODEL} and pushing it to {asked.weights} on this host (once)")
        with tempfile.TemporaryDirectory(prefix="liftoff-model-") as folder:
            tiny_llama.write(Path(folder))
            pushed = weights.push(Path(folder), asked.weights, target, _silent)
        note(f"The dev model is there: {len(pushed.manifest.files)} files, {pushed.manifest.total_bytes / 1e6:.1f} MB")


@contextlib.contextmanager
def local_target() -> Iterator[Target]:
    """Hold a lease on this host's S3 server for as long as something is pushed.

    Raises:
        Stopped: the server did not start.
    """
    from provider.local import storage
    from provider.resource import Refused

    lease = f"weights-push-{os.getpid()}"
    try:
        held = storage.acquire(lease, "process")
    except Refused as error:
        raise Stopped(errors.kind_of(error.kind), error.code, error.args[0], error.hint) from error
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
            authority.write(held.ca_certificate)
            authority.flush()
            yield Target(held.endpoint, held.region, held.access_key_id, held.secret_access_key, authority.name)
    finally:
        storage.release(lease)


def _silent(_: Progress) -> None:
    """Say nothing: the model is so small that its push is over before a bar would show."""
