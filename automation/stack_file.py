"""A stack's config as the files hold it: declared in Pulumi.yaml, set in Pulumi.<stack>.yaml, overridden by flags."""

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from automation.errors import Kind, Stopped
from automation.worker import SECRET

_ELEMENT: Final = re.compile(r"(?P<base>[^\[]+)\[(?P<index>\d+)\]")
_SECRET_WORDS: Final = re.compile(r"secret|passphrase|password|token|apikey|accesskey", re.IGNORECASE)


@dataclass(frozen=True)
class Values:
    """Config values as the program will get them; the part of `pulumi.Config` that settings need."""

    values: Mapping[str, Any]

    def get(self, key: str) -> str | None:
        """Return a value as text."""
        value = self.values.get(key)
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def get_object(self, key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return a value that is JSON."""
        value = self.values.get(key)
        return json.loads(value) if isinstance(value, str) else value

    def is_encrypted(self, key: str) -> bool:
        """Return whether a value is a secret of the stack's file."""
        return bool(self.values.get(key) == SECRET)


def project_name(project: Path) -> str:
    """Return the name in Pulumi.yaml.

    Raises:
        Stopped: there is no such file.
    """
    return str(_load(_project_file(project))["name"])


def program(project: Path) -> str:
    """Return the program's file or folder as Pulumi.yaml names it in `main`; its own folder where it does not.

    Raises:
        Stopped: there is no such file.
    """
    return str(_load(_project_file(project)).get("main", "."))


def path_of(project: Path, stack: str) -> Path:
    """Return where the stack's config is."""
    return project / f"Pulumi.{stack.rsplit('/', maxsplit=1)[-1]}.yaml"


def overrides(project: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return `--config` values with full keys.

    Raises:
        Stopped: a key is not declared, or names a secret, which would be seen in the list of processes.
    """
    name = project_name(project)
    declared = {str(key) for key in _load(_project_file(project)).get("config", {})}
    full = {key if ":" in key else f"{name}:{key}": value for key, value in given.items()}
    for key in full:
        plain = re.split(r"[.\[]", key, maxsplit=1)[0]
        if _SECRET_WORDS.search(plain):
            raise Stopped(
                Kind.CONFIGURATION,
                "secret_in_flag",
                f"--config: given a value for {key!r}; a secret would be seen in the list of processes",
                f'set it once, read from standard input: eval "$(liftoff env)"; pulumi config set --secret {key}',
            )
        if plain.startswith(f"{name}:") and plain not in declared:
            allowed = ", ".join(sorted(known.removeprefix(f"{name}:") for known in declared))
            raise Stopped(
                Kind.CONFIGURATION, "config_unknown", f"--config: given {key!r}; allowed: {allowed}", "correct the key"
            )
    return full


def read(project: Path, stack: str, given: Mapping[str, str]) -> Values:
    """Return the values that the program will see; a secret's value stays encrypted and is not among them."""
    name = project_name(project)
    values = everything(project, stack, given)
    return Values({key.removeprefix(f"{name}:"): value for key, value in values.items() if key.startswith(f"{name}:")})


def everything(project: Path, stack: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return all values with their full keys, those of the clouds' providers among them; a secret's is `SECRET`."""
    values: dict[str, Any] = {}
    for key, declared in _load(_project_file(project)).get("config", {}).items():
        if isinstance(declared, Mapping) and "default" in declared:
            values[str(key)] = declared["default"]
    for key, value in _load(path_of(project, stack)).get("config", {}).items():
        values[str(key)] = SECRET if isinstance(value, Mapping) and "secure" in value else value
    for key, value in given.items():
        _put(values, key, value)
    return values


def _put(values: dict[str, Any], key: str, value: str) -> None:
    """Set a value as the engine does; `KEY[0]` sets an element of a list."""
    element = _ELEMENT.fullmatch(key)
    if element is None:
        values[key] = value
        return
    base, index = element["base"], int(element["index"])
    there = list(values.get(base) or ())
    values[base] = [*there[:index], value, *there[index + 1 :]]


@contextlib.contextmanager
def restored(project: Path, stack: str) -> Iterator[None]:
    """Give the stack's file its text back whatever was set: a preview with values of its own changes no settings."""
    path = path_of(project, stack)
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    finally:
        if before is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != before:
            path.write_bytes(before)


@contextlib.contextmanager
def untouched(project: Path, stack: str) -> Iterator[None]:
    """Give the stack's file its text back where the engine changed no value of it.

    The engine writes the file anew, numbers in quotes, and adds a salt per machine to what is under version control; it
    also keeps the salt in the state, and the file needs it only for secrets of its own.
    """
    path = path_of(project, stack)
    before = path.read_text() if path.exists() else ""
    salt_is_new_and_needed = re.search(r"^\s+(- )?secure:", before, re.MULTILINE) and "\nencryptionsalt:" not in before
    try:
        yield
    finally:
        if before and not salt_is_new_and_needed and path.exists() and _values(path.read_text()) == _values(before):
            path.write_text(before)


def _values(text: str) -> dict[str, Any]:
    found = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - scalars stay text
    return {key: value for key, value in found.items() if key != "encryptionsalt"} if isinstance(found, dict) else {}


def _project_file(project: Path) -> Path:
    path = project / "Pulumi.yaml"
    if not path.exists():
        raise Stopped(
            Kind.CONFIGURATION,
            "project_missing",
            f"there is no Pulumi.yaml in {project.resolve()}",
            "run the command in Liftoff's folder, or name it: --project FOLDER",
        )
    return path


# A plan of a thousand offers reads the same few files for each of them. What it returns is shared, and never changed.
@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(text)


def _load(path: Path) -> dict[str, Any]:
    try:
        found = _parsed(path.read_text()) if path.exists() else None
    except yaml.YAMLError as error:
        raise Stopped(
            Kind.CONFIGURATION, "config_invalid", f"{path.name} is not valid YAML: {error}", "correct the file"
        ) from error
    return found if isinstance(found, dict) else {}
