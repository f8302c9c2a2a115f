"""LocalStorage: a lease on this host's S3 server, which runs as long as somebody holds one."""

from typing import ClassVar, Literal

from pydantic import Field

from provider.local import storage
from provider.resource import Inputs, Operation, Outputs, Resource


class LocalStorageInputs(Inputs):
    """Who holds the lease, and who has to reach the server."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$", description="name of the machine that the lease is for")
    isolation: Literal["nspawn", "process"]


class LocalStorage(Resource[LocalStorageInputs]):
    """See the module's text."""

    token = "liftoff:index:LocalStorage"
    description = "A lease on this host's S3 server (versitygw)."
    inputs = LocalStorageInputs
    outputs: ClassVar = {
        "endpoint": "string",
        "region": "string",
        "bucket": "string",
        "accessKeyId": "string",
        "secretAccessKey": "string",
        "caCertificate": "string",
    }
    secret_outputs = frozenset({"accessKeyId", "secretAccessKey"})
    replace_on = frozenset({"name", "isolation"})

    def create(self, inputs: LocalStorageInputs, operation: Operation) -> tuple[str, Outputs]:
        """Take the lease; the first one starts the server."""
        operation.say("Starting this host's S3 server")
        return inputs.name, _outputs(storage.acquire(inputs.name, inputs.isolation))

    def read(
        self,
        resource_id: str,
        inputs: LocalStorageInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs | None:
        """Start the server again if it has died: without it nothing of the stack can be read or deleted."""
        return _outputs(storage.acquire(inputs.name, inputs.isolation))

    def update(
        self,
        resource_id: str,
        inputs: LocalStorageInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs:
        """Keep it: every change of an input makes a new one."""
        return outputs

    def delete(
        self,
        resource_id: str,
        inputs: LocalStorageInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> None:
        """Give the lease back; the last one stops the server."""
        storage.release(resource_id)


def _outputs(held: storage.Storage) -> Outputs:
    return {
        "endpoint": held.endpoint,
        "region": held.region,
        "bucket": held.bucket,
        "accessKeyId": held.access_key_id,
        "secretAccessKey": held.secret_access_key,
        "caCertificate": held.ca_certificate,
    }
