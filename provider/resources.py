"""Every resource that this provider has."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider.server import AnyResource


def resources() -> "Iterable[AnyResource]":
    """Return one of each; what they need is imported when it is asked for."""
    from provider.boot_session import BootSession
    from provider.local_machine import LocalMachine
    from provider.local_network import LocalNetwork
    from provider.local_storage import LocalStorage
    from provider.readiness import Readiness

    return (LocalNetwork(), LocalStorage(), BootSession(), LocalMachine(), Readiness())
