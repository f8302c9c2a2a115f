"""Reading of the catalog's data files, and the one way in which an unknown name is refused."""

import difflib
import os
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

import yaml

Provider = Literal["aws", "azure", "gcp"]
"""The clouds of the catalog. `local` is not among them: it sells nothing."""

PROVIDERS: Final[tuple[Provider, ...]] = get_args(Provider)

_T = TypeVar("_T")

FOLDER_VARIABLE: Final = "LIFTOFF_CATALOG"
"""Names a folder whose files stand in for the package's own of the same name."""

_DATA: Final = files("components.catalog") / "data"


class UnknownName(LookupError):  # noqa: N818 - named after the decision
    """A name that the catalog does not have. The text says what was given and the nearest names that are known.

    Attributes:
        field: what the name was to be, such as `instance type`.
        given: the name.
        nearest: up to three known names, the nearest first; may be empty.
        known: all names that are known, in order.
    """

    def __init__(self, field: str, given: str, known: Iterable[str]) -> None:
        names = list(known)
        folded = {name.lower(): name for name in names}
        # The last part alone, too: most people leave out the organisation of a model.
        folded |= {name.lower().rpartition("/")[2]: name for name in names}
        matches = difflib.get_close_matches(given.lower(), folded, n=6, cutoff=0.5)
        self.field = field
        self.given = given
        self.known = tuple(sorted(names))
        self.nearest = tuple(dict.fromkeys(folded[match] for match in matches))[:3]
        hint = f"nearest: {', '.join(self.nearest)}" if self.nearest else f"known: {', '.join(self.known)}"
        super().__init__(f"{field}: given {given!r}, which the catalog does not have; {hint}")


def own_folder() -> Path | None:
    """Return the user's folder of data files, if one is named."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else None


def package_folder() -> Path:
    """Return the folder of the data files that came with the package."""
    return Path(str(_DATA))


def text(name: str) -> str:
    """Return a data file as text: the user's own where there is one, else the package's."""
    own = own_folder()
    if own is not None and (own / name).is_file():
        return (own / name).read_text(encoding="utf-8")
    return (_DATA / name).read_text(encoding="utf-8")


def document(name: str) -> Any:  # noqa: ANN401 - YAML; the callers validate it
    """Return a data file's YAML document."""
    return yaml.safe_load(text(name))


def document_if_any(name: str) -> Any:  # noqa: ANN401 - as above
    """Return a data file's YAML document, or an empty mapping where there is no such file."""
    try:
        return document(name) or {}
    except FileNotFoundError:
        return {}


def find(field: str, given: str, known: Mapping[str, _T]) -> _T:
    """Return the value under a name.

    Raises:
        UnknownName: there is none.
    """
    try:
        return known[given]
    except KeyError:
        raise UnknownName(field, given, known) from None
