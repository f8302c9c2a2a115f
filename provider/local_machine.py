"""LocalMachine: a machine on this host, as a cloud's VM would be."""

from typing import ClassVar, Literal

from pydantic import Field

from provider.local import machine
from provider.resource import Inputs, Operation, Outputs, Resource


class LocalMachineInputs(Inputs):
    """What a cloud would be told: user data, network, image, size."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$", description="name of the machine")
    user_data: str = Field(repr=False, description="cloud-config document")
    isolation: Literal["nspawn", "process"]
    namespace: str
    address: str
    gateway: str
    image: Literal["baked", "base"] = "baked"
    requirements: str = ""
    memory_bytes: int = Field(ge=1 << 30, description="memory limit in bytes")
    cpus: float = Field(gt=0, description="share of this host's processors")


class LocalMachine(Resource[LocalMachineInputs]):
    """See the module's text."""

    token = "liftoff:index:LocalMachine"
    description = (
        "A Debian machine on this host, booted by systemd-nspawn with real cloud-init; "
        "plain processes where that can't run."
    )
    inputs = LocalMachineInputs
    outputs: ClassVar = {"machineId": "string", "bootedAt": "number"}
    replace_on = frozenset(
        {"name", "userData", "isolation", "namespace", "address", "gateway", "image", "requirements"}
    )
    delete_first = True

    def create(self, inputs: LocalMachineInputs, operation: Operation) -> tuple[str, Outputs]:
        """Boot it; the same name with the same inputs finds the machine that a lost update made."""
        spec = machine.MachineSpec(
            name=inputs.name,
            user_data=inputs.user_data,
            isolation=inputs.isolation,
            namespace=inputs.namespace,
            address=inputs.address,
            gateway=inputs.gateway,
            image=inputs.image,
            requirements=inputs.requirements,
            memory_bytes=inputs.memory_bytes,
            cpus=inputs.cpus,
        )
        booted = machine.boot(spec, operation.say)
        return booted.machine_id, {"machineId": booted.machine_id, "bootedAt": booted.booted_at}

    def read(
        self,
        resource_id: str,
        inputs: LocalMachineInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs | None:
        """Return None when the machine has died, and remove what it left: no state will name it again."""
        found = machine.find(resource_id)
        if found is None:
            machine.delete(resource_id, operation.say)
            return None
        return {"machineId": found.machine_id, "bootedAt": found.booted_at}

    def update(
        self,
        resource_id: str,
        inputs: LocalMachineInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs:
        """Change memory and processors of the running machine."""
        machine.resize(resource_id, memory_bytes=inputs.memory_bytes, cpus=inputs.cpus)
        return outputs

    def delete(
        self,
        resource_id: str,
        inputs: LocalMachineInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> None:
        """Shut it down and remove every trace: processes, mounts, cgroup, files."""
        machine.delete(resource_id, operation.say)
