"""Whether a launch can read the weights and its node write its mailbox, tried on the bucket itself."""

import secrets
from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from automation import errors
from automation.checks.finding import BUCKET, MAILBOX, STORAGE, Finding, State
from automation.checks.stack_values import StackValues
from automation.errors import Kind
from provider.manifest import NAME, Manifest, split_uri
from provider.resource import Refused
from provider.storage import Bucket, Storage

_KEYS: Final = "pulumi config set --secret liftoff:storageAccessKeyId, and liftoff:storageSecretAccessKey"


def look(values: StackValues, *, at_cloud: bool = False) -> tuple[Finding, ...]:
    """Return what can be done with a stack's bucket; `at_cloud`: a local stack is to be launched at a cloud."""
    if not values.get("storageEndpoint"):
        if values.get("provider") in ("", "local") and not at_cloud:
            return (_bucket(State.SKIPPED, "the stack is local: this host's own storage is made when it is needed"),)
        text = "storageEndpoint: given nothing; allowed: the https:// URL of the bucket's S3 API"
        return (_bucket(State.MISSING, text, "pulumi config set liftoff:storageEndpoint URL", Kind.CONFIGURATION),)
    try:
        bucket, prefix = split_uri(values.get("weights"))
    except ValueError as error:
        text = f"weights: given {values.get('weights')!r}; {error}"
        return (_bucket(State.MISSING, text, "pulumi config set liftoff:weights URI", Kind.CONFIGURATION),)
    try:
        storage = values.storage(bucket)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        text = f"storageEndpoint {values.get('storageEndpoint')!r} or bucket {bucket!r} can't be used: {problem['msg']}"
        return (_bucket(State.MISSING, text, "correct storageEndpoint or weights", Kind.CONFIGURATION),)
    if storage is None:
        if values.problem:
            return (_bucket(State.UNKNOWN, f"the stack's secrets can't be read: {values.problem}"),)
        return (_bucket(State.MISSING, "the stack has no keys of its storage", _KEYS, Kind.CREDENTIALS),)
    return tuple(_tried(storage, prefix))


def late(seconds: float) -> tuple[Finding, ...]:
    """Return what is to be told of a bucket that did not answer in time."""
    text = f"no answer in {seconds:.0f} s"
    return (_bucket(State.UNKNOWN, text, "check storageEndpoint and the network", Kind.UNKNOWN),)


def _bucket(state: State, message: str, hint: str = "", kind: Kind | None = None) -> Finding:
    return Finding(STORAGE, BUCKET, state, message, hint, kind)


def _tried(storage: Storage, prefix: str) -> Iterator[Finding]:
    bucket = Bucket(storage)
    try:
        yield _weights(bucket.get(f"{prefix}/{NAME}"), f"s3://{storage.bucket}/{prefix}")
    except Refused as error:
        yield _refused(BUCKET, error)
        if error.code != "storage_denied":
            return
    yield from _mailbox(bucket, storage)


def _weights(body: bytes | None, uri: str) -> Finding:
    push = f"liftoff weights push DIR {uri} --endpoint-url URL"
    if body is None:
        return _bucket(State.MISSING, f"{uri} has no {NAME}: no weights were pushed there", push, Kind.CONFIGURATION)
    try:
        manifest = Manifest.model_validate_json(body)
    except ValidationError:
        return _bucket(State.MISSING, f"{uri}/{NAME} is no manifest of weights", push, Kind.CONFIGURATION)
    return _bucket(State.OK, f"{uri} holds {len(manifest.files)} files, {manifest.total_bytes / 1e9:.2f} GB")


def _mailbox(bucket: Bucket, storage: Storage) -> Iterator[Finding]:
    # Beside the mailboxes, since a key may be for one prefix only.
    key = f"sessions/check-{secrets.token_hex(4)}/mailbox.json"
    try:
        bucket.put(key, b"{}")
    except Refused as error:
        yield _refused(MAILBOX, error)
        return
    yield Finding(STORAGE, MAILBOX, State.OK, f"s3://{storage.bucket}/sessions/ can be written")
    try:
        bucket.delete(key)
    except Refused as error:
        text = f"what is written can't be deleted: {error.args[0]}"
        hint = f"let the key delete, too; until then sessions stay, and so does s3://{storage.bucket}/{key}"
        yield Finding(STORAGE, MAILBOX, State.MISSING, text, hint)


def _refused(subject: str, error: Refused) -> Finding:
    kind = errors.kind_of(error.kind)
    state = State.UNKNOWN if kind is Kind.UNKNOWN else State.MISSING
    return Finding(STORAGE, subject, state, str(error.args[0]), error.hint, kind)
