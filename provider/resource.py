"""What a resource of this provider is: typed inputs, and what to do to create, read, update and delete it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Outputs = dict[str, Any]
InputsT = TypeVar("InputsT", bound="Inputs")


class Inputs(BaseModel):
    """Base of a resource's inputs: camelCase on the wire, snake_case here, nothing unknown let in."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )


class Refused(Exception):  # noqa: N818 - named after the decision
    """An operation failed for a reason that the user can act on.

    Attributes:
        kind: one of the taxonomy (capacity, quota, credentials, configuration, throttled, boot, unknown).
        code: the exact reason in snake_case.
        hint: what the user should do next.
        log: the node's last lines, where there are any.
    """

    def __init__(self, kind: str, code: str, message: str, *, hint: str, log: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.code = code
        self.hint = hint
        self.log = log
        super().__init__(message)

    def __str__(self) -> str:
        """Return the text that the engine shows and that the driver reads back."""
        lines = [f"[{self.kind}/{self.code}] {super().__str__()}", f"hint: {self.hint}"]
        if self.log:
            lines += ["Last lines of the node:", *(f"  {line}" for line in self.log)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Operation:
    """What an operation may use: the resource's status line, and the sign that the update was cancelled."""

    urn: str
    say: Callable[[str], None]
    """Show a line as the status of this resource for as long as it is being worked on."""
    tell: Callable[[str], None]
    """Write a line that stays in the update's diagnostics."""
    cancelled: threading.Event

    def wait(self, seconds: float) -> None:
        """Wait, but leave within a moment when the update is cancelled.

        Raises:
            Refused: with code `cancelled`.
        """
        if self.cancelled.wait(seconds):
            raise Refused(
                "unknown",
                "cancelled",
                "the update was cancelled while this resource was being made",
                hint="run the same command again to go on, or destroy the stack",
            )


class Resource(Generic[InputsT]):
    """One kind of resource. Every method is called from a thread of its own and may block.

    Attributes:
        token: the type token in the engine; never changed, since it is part of every URN.
        description: one sentence for the schema.
        inputs: the model of the inputs.
        outputs: each output's name on the wire with its JSON type.
        secret_outputs: the outputs that state holds encrypted.
        replace_on: the inputs whose change needs a new resource.
        delete_first: whether the old one has to go before the new one can be made.
    """

    token: ClassVar[str]
    description: ClassVar[str]
    outputs: ClassVar[Mapping[str, str]]
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    replace_on: ClassVar[frozenset[str]] = frozenset()
    delete_first: ClassVar[bool] = False

    inputs: type[InputsT]

    def create(self, inputs: InputsT, operation: Operation) -> tuple[str, Outputs]:
        """Make the resource; return its id and outputs.

        Called again with the same inputs after a crash, it must not make a second machine.
        """
        raise NotImplementedError

    def read(self, resource_id: str, inputs: InputsT, outputs: Outputs, operation: Operation) -> Outputs | None:
        """Return the outputs as they are now, or None when the resource has gone."""
        raise NotImplementedError

    def update(self, resource_id: str, inputs: InputsT, outputs: Outputs, operation: Operation) -> Outputs:
        """Bring an existing resource to new inputs; return its outputs."""
        raise NotImplementedError

    def delete(self, resource_id: str, inputs: InputsT, outputs: Outputs, operation: Operation) -> None:
        """Remove the resource and all that it made; a resource that has gone already is no error."""
        raise NotImplementedError
