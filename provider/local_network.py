"""LocalNetwork: an address on this host for one machine."""

from typing import ClassVar, Literal

from pydantic import Field

from provider.local import network
from provider.resource import Inputs, Operation, Outputs, Resource


class LocalNetworkInputs(Inputs):
    """Whose address, and whether for a real machine or a plain process."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$", description="name of the machine")
    isolation: Literal["auto", "nspawn", "process"] = "auto"


class LocalNetwork(Resource[LocalNetworkInputs]):
    """See the module's text."""

    token = "liftoff:index:LocalNetwork"
    description = "A namespace, an address and a way out for one machine on this host."
    inputs = LocalNetworkInputs
    outputs: ClassVar = {
        "resolvedIsolation": "string",
        "reason": "string",
        "namespace": "string",
        "address": "string",
        "gateway": "string",
        "port": "integer",
    }
    replace_on = frozenset({"name", "isolation"})
    delete_first = True

    def create(self, inputs: LocalNetworkInputs, operation: Operation) -> tuple[str, Outputs]:
        """Make the namespace; where real machines can't run here, say so and take a free port instead."""
        made = network.create(inputs.name, inputs.isolation)
        if made.isolation == "process" and inputs.isolation == "auto":
            operation.tell(f"This host can't boot a real machine ({made.reason}): the node runs as plain processes.")
        return inputs.name, {
            "resolvedIsolation": made.isolation,
            "reason": made.reason,
            "namespace": made.namespace,
            "address": made.address,
            "gateway": made.gateway,
            "port": made.port,
        }

    def read(
        self,
        resource_id: str,
        inputs: LocalNetworkInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs | None:
        """Return None when the namespace has gone, as after a restart of the host."""
        return outputs if network.exists(resource_id) else None

    def update(
        self,
        resource_id: str,
        inputs: LocalNetworkInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs:
        """Keep it: every change of an input makes a new one."""
        return outputs

    def delete(
        self,
        resource_id: str,
        inputs: LocalNetworkInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> None:
        """Remove the namespace, and with the last one the bridge."""
        network.delete(resource_id)
