"""Start the plugin: `python -m provider ENGINE_ADDRESS`, as the engine does through `pulumi-resource-liftoff`."""

import os
import sys
from importlib import metadata

from provider import server
from provider.resources import resources


def main() -> None:
    """Serve on the engine's behalf until it is done with us."""
    os.umask(0o077)
    if len(sys.argv) < 2:
        sys.exit("usage: pulumi-resource-liftoff ENGINE_ADDRESS (started by the Pulumi engine)")
    server.serve(sys.argv[-1], resources, metadata.version("liftoff"))


if __name__ == "__main__":
    main()
