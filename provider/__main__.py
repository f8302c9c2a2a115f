"""Start the plugin: `python -m provider ENGINE_ADDRESS`, as the engine does through `pulumi-resource-liftoff`."""

import os
import sys
from collections.abc import Iterable
from importlib import metadata

from provider import server


def resources() -> Iterable[server.AnyResource]:
    """Return every resource that this provider has."""
    from provider.boot_session import BootSession
    from provider.local_machine import LocalMachine
    from provider.local_network import LocalNetwork
    from provider.local_storage import LocalStorage
    from provider.readiness import Readiness

    return (LocalNetwork(), LocalStorage(), BootSession(), LocalMachine(), Readiness())


def main() -> None:
    """Serve on the engine's behalf until it is done with us."""
    os.umask(0o077)
    if len(sys.argv) < 2:
        sys.exit("usage: pulumi-resource-liftoff ENGINE_ADDRESS (started by the Pulumi engine)")
    server.serve(sys.argv[-1], resources, metadata.version("liftoff"))


if __name__ == "__main__":
    main()
