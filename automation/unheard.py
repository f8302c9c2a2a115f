"""What an update has asked a cloud for that is paid for, and whose answer has not come: it may exist all the same."""

from typing import Final

from automation.stages import MACHINE_TYPES, MAKES, Event

_PAID_TYPES: Final = MACHINE_TYPES | {
    "aws:ec2/eip:Eip",
    "azure-native:network:PublicIPAddress",
    "gcp:compute/address:Address",
}


class Unheard:
    """Creates of machines and addresses that were begun and did not come to their end."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}

    def take(self, event: Event) -> None:
        """Take what the engine says."""
        if event.type not in _PAID_TYPES or event.op not in MAKES:
            return
        if event.kind == "outputs":
            self._types.pop(event.urn, None)
        else:
            self._types[event.urn] = event.type

    def __bool__(self) -> bool:
        return bool(self._types)

    @property
    def has_machine(self) -> bool:
        """Whether one of them is a machine."""
        return not MACHINE_TYPES.isdisjoint(self._types.values())

    def clear(self) -> None:
        """Forget them: it is known what became of them."""
        self._types.clear()
