"""The entry of `liftoff`; what is quick to answer is answered before anything is imported."""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        from importlib import metadata

        print(f"liftoff {metadata.version('liftoff')}")
        return
    from automation.commands import app

    app()


if __name__ == "__main__":
    main()
