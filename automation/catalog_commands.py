"""`liftoff catalog`: the catalog's prices and regions, refreshed from the clouds' own APIs."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from automation import views
from automation.cloud_api.refused import Refused
from automation.errors import Kind, Stopped
from automation.prices import catalog_files, update
from automation.prices.reading import CatalogSource, Reading
from automation.prices.update import Change, Refresh, Told
from components import catalog
from components.catalog import checks, price_file, source_files

app = typer.Typer(help="The dated catalog of prices and regions.", no_args_is_help=True)

_AT_ONCE: Final = 8
_SHOWN: Final = 20


@dataclass(frozen=True)
class Outcome:
    """What a refresh came to.

    Attributes:
        files: what is to be written, by name.
        unread: a sentence for each thing that could not be read; its rows stay.
    """

    refresh: Refresh
    files: Mapping[str, str]
    unread: tuple[str, ...]


@app.callback()
def _group() -> None:
    """Keep `update` a command of its own: a group of one command would swallow its name."""


@app.command("update")
def update_(
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", metavar="aws|azure|gcp", help="Only this cloud; repeatable. Left out, all."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if something would change.")
    ] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Read prices and regions from the clouds and write them into the catalog."""
    view = views.choose(as_json=json_lines)
    with views.exits(view):
        providers = _providers(provider or [])
        folder = None if check else target()
        outcome = look(sources(providers), dt.datetime.now(tz=dt.UTC).date(), view.note)
        if folder is not None:
            _write(folder, outcome)
    _show(outcome, folder, as_json=json_lines)
    raise typer.Exit(1 if check and outcome.refresh.changes else 0)


def sources(providers: Sequence[str]) -> dict[str, CatalogSource]:
    """Return the clouds to read, by provider."""
    from automation.cloud_api import aws
    from automation.prices.aws import AwsPrices
    from automation.prices.azure import AzurePrices
    from automation.prices.gcp import GcpPrices

    # Nobody waits at a launch for this: a request that was lost is sent again.
    known: dict[str, CatalogSource] = {
        "aws": AwsPrices(config=aws.QUICK),
        "azure": AzurePrices(),
        "gcp": GcpPrices(),
    }
    return {name: known[name] for name in providers}


def target() -> Path:
    """Return the folder that the catalog is written to: the user's own, or that of the sources of a git checkout.

    Raises:
        Stopped: none is named, and the package's own folder is that of an installation.
    """
    own = source_files.own_folder()
    if own is not None:
        return own
    packaged = source_files.package_folder()
    if (packaged.parents[2] / ".git").exists():
        return packaged
    raise Stopped(
        Kind.CONFIGURATION,
        "catalog_folder",
        f"{source_files.FOLDER_VARIABLE}: given nothing; allowed: a folder that may be written to, since an installed "
        "package is not changed",
        f"export {source_files.FOLDER_VARIABLE}=~/.config/liftoff/catalog, for this and every later command",
    )


def look(clouds: Mapping[str, CatalogSource], day: dt.date, say: Callable[[str], None]) -> Outcome:
    """Read the clouds, and return what their answers change.

    Raises:
        Stopped: no cloud could be read.
    """
    rows = price_file.rows(source_files.text(price_file.NAME))
    unread: list[str] = []
    told: dict[str, Told] = {}
    for provider, cloud in clouds.items():
        say(f"Reading {cloud.title}")
        found, missed = _read(provider, cloud, day)
        unread += missed
        if found.sold is not None or found.readings:
            told[provider] = found
    if not told:
        raise Stopped(
            Kind.UNKNOWN,
            "nothing_read",
            "\n".join(["no cloud could be read, the catalog stays as it is", *unread]),
            "set up the clouds' credentials (docs/clouds.md), and look whether this host reaches the internet",
        )
    made = update.refresh(rows, catalog.instance_types(), told)
    urls = {provider: cloud.url for provider, cloud in clouds.items()}
    return Outcome(made, catalog_files.texts(made, rows, told, urls, day), tuple(unread))


def _read(provider: str, cloud: CatalogSource, day: dt.date) -> tuple[Told, list[str]]:
    kinds = catalog.instance_types(provider)
    missed: list[str] = []
    sold = None
    try:
        sold = cloud.sold(kinds)
    except Refused as refused:
        missed.append(f"{cloud.title}: regions not read ({refused.code}: {refused}); they stay")
    # What is sold in a region of which nothing was known is asked for there, too.
    places = {region for kind in kinds for region in kind.regions}
    places |= {region for regions in (sold.regions.values() if sold else ()) for region in regions}
    places_of = {name: set(regions) for name, regions in (sold.regions.items() if sold else ())}

    def read(region: str) -> Reading | Refused:
        here = [kind for kind in kinds if region in kind.regions or region in places_of.get(kind.name, ())]
        try:
            return cloud.read(region, here)
        except Refused as refused:
            return refused

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip(sorted(places), pool.map(read, sorted(places)), strict=True))
    readings = {region: answer for region, answer in answers.items() if isinstance(answer, Reading)}
    reasons = Counter(f"{answer.code}: {answer}" for answer in answers.values() if isinstance(answer, Refused))
    if reasons:
        reason, _ = reasons.most_common(1)[0]
        missed.append(
            f"{cloud.title}: prices of {reasons.total()} of {len(answers)} regions not read ({reason}); they stay"
        )
    return Told(update.source_name(provider, day), sold, readings), missed


def _write(folder: Path, outcome: Outcome) -> None:
    twice = checks.twice(outcome.refresh.rows)
    if twice:
        raise Stopped(Kind.UNKNOWN, "row_twice", f"rows that stand twice: {twice}", "report it: nothing was written")
    try:
        catalog_files.write(folder, outcome.files)
    except OSError as error:
        raise Stopped(
            Kind.CONFIGURATION,
            "catalog_folder",
            f"{source_files.FOLDER_VARIABLE}: given {str(folder)!r}, which can't be written to ({error.strerror}); "
            "allowed: a folder that can",
            "name another folder, or change its rights",
        ) from error


def _providers(given: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if name not in catalog.PROVIDERS:
            allowed = ", ".join(catalog.PROVIDERS)
            raise Stopped(
                Kind.CONFIGURATION, "provider_unknown", f"--provider: given {name!r}; allowed: {allowed}", "correct it"
            )
    return tuple(dict.fromkeys(given)) or catalog.PROVIDERS


def _show(outcome: Outcome, folder: Path | None, *, as_json: bool) -> None:
    made = outcome.refresh
    if as_json:
        record = {
            "type": "catalog",
            "written": str(folder) if folder else None,
            "changes": [asdict(change) for change in made.changes],
            "refused": [{**refused.row.model_dump(), "reason": refused.reason} for refused in made.refused],
            "unread": list(outcome.unread),
        }
        print(json.dumps(record))
        return
    for line in (*outcome.unread, *map(str, made.refused), *_summary(made.changes)):
        print(line)
    print(f"Written to {folder}" if folder else "Nothing was written.")


def _summary(changes: Sequence[Change]) -> Iterator[str]:
    """The largest changes of price first, then what is new and what is gone."""
    counts = Counter(change.kind for change in changes)
    words: dict[update.ChangeKind, str] = {
        "price": "prices changed",
        "new": "new prices",
        "gone": "prices gone",
        "sold": "types now sold in a region",
        "not_sold": "types no longer sold in a region",
    }
    yield ", ".join(f"{counts[kind]} {text}" for kind, text in words.items() if counts[kind]) or "Nothing changed."
    ordered = sorted(changes, key=lambda change: (list(words).index(change.kind), -_factor(change), str(change)))
    yield from (f"  {change}" for change in ordered[:_SHOWN])
    if len(ordered) > _SHOWN:
        yield f"  … and {len(ordered) - _SHOWN} more (--json)"


def _factor(change: Change) -> float:
    if not change.before or not change.after:
        return 1.0
    return max(change.before / change.after, change.after / change.before)
