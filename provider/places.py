"""Where Liftoff keeps things on this host: cache (can be rebuilt), state (must not be lost), keys (secret)."""

import os
from pathlib import Path


def _place(variable: str, xdg_variable: str, default: str) -> Path:
    own = os.environ.get(variable)
    if own:
        return Path(own).expanduser()
    xdg = os.environ.get(xdg_variable)
    return (Path(xdg) if xdg else Path.home() / default) / "liftoff"


def cache_folder() -> Path:
    """Return the folder of what can be downloaded or built again."""
    return _place("LIFTOFF_CACHE", "XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """Return the folder of what describes running machines and stacks."""
    return _place("LIFTOFF_STATE", "XDG_STATE_HOME", ".local/state")


def keys_folder() -> Path:
    """Return the folder of passphrase and keys; its files are written with mode 0600."""
    return _place("LIFTOFF_KEYS", "XDG_CONFIG_HOME", ".config")
