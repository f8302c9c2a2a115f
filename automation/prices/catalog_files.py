"""The catalog's generated files, read and written as a whole."""

import datetime as dt
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from automation.prices.update import Refresh, Told
from components.catalog import PriceSource, price_file, source_files
from components.catalog.instance_types import REGIONS_FILE
from components.catalog.price_file import Row
from components.catalog.prices import SOURCES_FILE

_SOURCES_HEAD: Final = """\
# Where the rows of prices.csv come from. read: when they were read. date: when the source says that its prices were
# made; null where it does not say, with what is known instead.
"""
_REGIONS_HEAD: Final = """\
# Written by `liftoff catalog update`: the regions that sell each type, in place of those in instance_types.yaml.
"""
_LICENSE: Final = "facts of the cloud's own API"
_BY: Final = "by `liftoff catalog update`"


def texts(
    refresh: Refresh, before: Iterable[Row], told: Mapping[str, Told], urls: Mapping[str, str], day: dt.date
) -> dict[str, str]:
    """Return the files by name, in the order in which they are to be written.

    The sources come first and have those of the old rows, too: after a crash each row's source is known all the same.
    """
    used = {name for row in (*before, *refresh.rows) for name in (row.source, row.on_demand_source) if name}
    sources: dict[str, Any] = {
        name: entry for name, entry in source_files.document(SOURCES_FILE).items() if name in used
    }
    for provider, cloud in told.items():
        if cloud.source in used:
            made = PriceSource(url=urls[provider], license=_LICENSE, read=day, date=day, note=_BY)
            sources[cloud.source] = made.model_dump()
    found = {SOURCES_FILE: _SOURCES_HEAD + _yaml(sources)}
    regions: dict[str, Any] = dict(source_files.document_if_any(REGIONS_FILE))
    for provider, cloud in told.items():
        if cloud.sold is not None:
            types = {
                name: list(sold)
                for (own, name), sold in sorted(refresh.regions.items())
                if own == provider and name in cloud.sold.regions
            }
            regions[provider] = {"read": day, "types": types}
    if regions:
        found[REGIONS_FILE] = _REGIONS_HEAD + _yaml(regions)
    return found | {price_file.NAME: price_file.render(refresh.rows)}


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files one after the other, each in one step: it has its old text until it has all of the new.

    Raises:
        OSError: a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                # mkstemp's is for the owner alone; the catalog is no secret.
                os.fchmod(file.fileno(), 0o644)
            Path(temporary).replace(folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=118)
