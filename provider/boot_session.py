"""BootSession: what a node needs to start and nobody else may know, made once and renewed only with the machine."""

import datetime as dt
import hashlib
import json
import secrets
from typing import ClassVar, Final

from pydantic import Field, ValidationError, field_validator

from provider import certificate, node_program
from provider.manifest import NAME, Manifest, split_uri
from provider.resource import Inputs, Operation, Outputs, Refused, Resource
from provider.storage import PRESIGNED_SECONDS_MAX, Bucket, Storage

_MARGIN_SECONDS: Final = 3600
"""A cloud may take this long to start a machine before the node's own deadline begins to count."""


class BootSessionInputs(Inputs):
    """What a session is made from."""

    storage: Storage
    weights: str = Field(description="s3://BUCKET/PREFIX below which `liftoff weights push` wrote a manifest")
    server_names: tuple[str, ...] = Field(
        min_length=1, description="names and addresses that the certificate is good for"
    )
    lifetime_seconds: int = Field(ge=600, le=31 * 24 * 3600, description="how long the node may live, in seconds")
    boot_deadline_seconds: int = Field(
        ge=10, le=24 * 3600, description="how long the node may take to start, in seconds"
    )
    requirements: str = Field(default="", description="requirements.txt of the serving environment")
    program_sha256: str = Field(alias="programSha256", description="digest of the boot program that the node will run")
    machine_key: str = Field(default="", description="what machine it is for; another one needs a session of its own")

    @field_validator("weights")
    @classmethod
    def _is_uri(cls, value: str) -> str:
        split_uri(value)
        return value


class BootSession(Resource[BootSessionInputs]):
    """See the module's text."""

    token = "liftoff:index:BootSession"
    description = "Run id, presigned URLs, API key and TLS pair of one node; made once and kept as secrets."
    inputs = BootSessionInputs
    outputs: ClassVar = {
        "runId": "string",
        "mailboxUrl": "string",
        "sessionUrl": "string",
        "sessionSha256": "string",
        "apiKey": "string",
        "tlsCertificate": "string",
        "tlsKey": "string",
        "expiresAt": "string",
        "weightsBytes": "integer",
        "sealedSshKey": "string",
    }
    secret_outputs = frozenset({"mailboxUrl", "sessionUrl", "apiKey", "tlsKey"})
    replace_on = frozenset(
        {
            "weights",
            "serverNames",
            "lifetimeSeconds",
            "bootDeadlineSeconds",
            "requirements",
            "programSha256",
            "machineKey",
        }
    )

    def create(self, inputs: BootSessionInputs, operation: Operation) -> tuple[str, Outputs]:
        """Read the manifest, sign the URLs, write the session document, and make the keys."""
        if inputs.program_sha256 != node_program.digest():
            raise Refused(
                "configuration",
                "versions_differ",
                "the program and its plugin come with different boot programs",
                hint="run both from one checkout of Liftoff",
            )
        bucket = Bucket(inputs.storage)
        operation.say("Reading the manifest of the weights")
        manifest = _manifest(bucket, inputs)
        run_id = secrets.token_hex(8)
        expires = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=inputs.lifetime_seconds)
        boot_seconds = inputs.boot_deadline_seconds + _MARGIN_SECONDS
        document = _session_document(bucket, inputs, manifest, run_id, boot_seconds)
        key = f"{session_prefix(run_id)}session.json"
        bucket.put(key, document)
        pair = certificate.self_signed(inputs.server_names, expires + dt.timedelta(days=1))
        return run_id, {
            "runId": run_id,
            "mailboxUrl": bucket.url("PUT", mailbox_key(run_id), min(inputs.lifetime_seconds, PRESIGNED_SECONDS_MAX)),
            "sessionUrl": bucket.url("GET", key, boot_seconds),
            "sessionSha256": hashlib.sha256(document).hexdigest(),
            "apiKey": f"sk-liftoff-{secrets.token_hex(24)}",
            "tlsCertificate": pair.certificate,
            "tlsKey": pair.key,
            "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "weightsBytes": manifest.total_bytes,
            "sealedSshKey": certificate.sealed_ssh_key(),
        }

    def read(
        self,
        resource_id: str,
        inputs: BootSessionInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs | None:
        """Return what state holds: keys live nowhere else, and the objects matter only until the node has started."""
        return outputs

    def update(
        self,
        resource_id: str,
        inputs: BootSessionInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs:
        """Take new storage keys for the deletion to come; what the node holds stays as it is."""
        return outputs

    def delete(
        self,
        resource_id: str,
        inputs: BootSessionInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> None:
        """Delete mailbox and session document."""
        Bucket(inputs.storage).delete_below(session_prefix(resource_id))


def session_prefix(run_id: str) -> str:
    """Return where the objects of one session lie."""
    return f"sessions/{run_id}/"


def mailbox_key(run_id: str) -> str:
    """Return where the node of one session writes its progress."""
    return f"{session_prefix(run_id)}mailbox.json"


def _manifest(bucket: Bucket, inputs: BootSessionInputs) -> Manifest:
    name, prefix = split_uri(inputs.weights)
    if name != inputs.storage.bucket:
        raise Refused(
            "configuration",
            "weights_bucket",
            f"weights: given {inputs.weights!r}, but the storage's bucket is {inputs.storage.bucket!r}",
            hint="keep weights and mailbox in one bucket",
        )
    body = bucket.get(f"{prefix}/{NAME}")
    if body is None:
        raise Refused(
            "configuration",
            "weights_missing",
            f"weights: there is no {NAME} below {inputs.weights!r}",
            hint=f"upload the model first: liftoff weights push DIR {inputs.weights}",
        )
    try:
        return Manifest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Refused(
            "configuration",
            "manifest_invalid",
            f"weights: the manifest below {inputs.weights!r} is not valid: {first['loc']}: {first['msg']}",
            hint=f"upload the model again: liftoff weights push DIR {inputs.weights}",
        ) from error


def _session_document(
    bucket: Bucket, inputs: BootSessionInputs, manifest: Manifest, run_id: str, seconds: int
) -> bytes:
    _, prefix = split_uri(inputs.weights)
    files = [
        {**file.model_dump(mode="json"), "url": bucket.url("GET", f"{prefix}/{file.path}", seconds)}
        for file in manifest.files
    ]
    return json.dumps(
        {
            "version": 1,
            "run_id": run_id,
            "part_bytes": manifest.part_bytes,
            "files": files,
            "requirements": inputs.requirements,
            "program": node_program.files(),
        },
        separators=(",", ":"),
    ).encode()
