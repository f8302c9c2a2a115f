"""`liftoff offers`: what a launch would try, in which order, and why the rest is not among it."""

import json
from typing import Annotated

import typer
from rich.console import Console

from automation import completions, market, tables, views
from automation.market import Found, Need
from automation.offer_options import (
    CatalogPrices,
    Context,
    Gpus,
    InstanceTypes,
    MarketOption,
    MaxPrice,
    Providers,
    Quantisation,
    Regions,
    wanted,
)
from automation.offers import LIVE, Offer
from automation.prices import live

_SHOWN = 20


def offers(
    model: Annotated[
        str, typer.Argument(help="Name of the model, as on Hugging Face.", autocompletion=completions.models)
    ],
    *,
    provider: Providers = None,
    region: Regions = None,
    instance_type: InstanceTypes = None,
    gpu: Gpus = None,
    max_price: MaxPrice = None,
    market_: MarketOption = "spot",
    quantisation: Quantisation = None,
    max_model_len: Context = None,
    catalog_prices: CatalogPrices = False,
    show_all: Annotated[bool, typer.Option("--all", help=f"Show more than {_SHOWN}.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Write one JSON object per line.")] = False,
) -> None:
    """List what a launch of a model would try, cheapest first."""
    view = views.choose(as_json=json_lines)
    with views.exits(view):
        asked = wanted(provider, region, instance_type, gpu, max_price, market_)
        prices = live.choose(catalog_only=catalog_prices, say=view.note)
        found = market.find(Need(model, quantisation, max_model_len), asked, prices)
    if json_lines:
        for offer in found.offers:
            print(json.dumps({"type": "offer", **_record(offer, found)}))
        return
    _show(found, _SHOWN if not show_all else len(found.offers))


def _record(offer: Offer, found: Found) -> dict[str, object]:
    fit = found.fit_of(offer)
    return {
        **offer.model_dump(mode="json"),
        "max_model_len": fit.max_model_len,
        "tensor_parallel_size": fit.tensor_parallel_size,
        "dtype": fit.dtype,
        "notes": list(fit.notes),
    }


def _show(found: Found, most: int) -> None:
    console = Console()
    if not found.offers:
        console.print("No offer fits what was asked for.")
        for sentence in found.refused[:_SHOWN]:
            console.print(f"  {sentence}", highlight=False, soft_wrap=True)
        return
    has_scores = any(offer.placement_score for offer in found.offers)
    numbers = ("USD/hour", *(("score",) if has_scores else ()))
    titles = ("", "cloud", "place", "instance type", "GPU", "market", *numbers, "price", "context")
    table = tables.make(*titles, right=(*numbers, "context"))
    for number, offer in enumerate(found.offers[:most], 1):
        table.add_row(
            str(number),
            offer.provider,
            f"{offer.region} {offer.zone}".strip(),
            offer.instance_type,
            offer.gpu,
            "spot" if offer.spot else "on-demand",
            f"{offer.price:.3f}",
            *([str(offer.placement_score or "")] if has_scores else []),
            "live" if offer.source == LIVE else "catalog",
            f"{found.fit_of(offer).max_model_len:,}",
        )
    tables.show(table)
    if len(found.offers) > most:
        console.print(f"… and {len(found.offers) - most} more (--all)")
    first = found.offers[0]
    for note in found.fit_of(first).notes:
        console.print(f"{first.instance_type}: {note}", highlight=False, soft_wrap=True)
    if found.refused:
        console.print(f"{len(found.refused)} instance types are too small for it, or can't compute it.")
    moments = sorted(offer.read_at for offer in found.offers if offer.read_at)
    if moments:
        console.print(f"Live prices were read at {moments[0]:%Y-%m-%d %H:%M} UTC or later.", highlight=False)
    if any(offer.source != LIVE for offer in found.offers):
        console.print(_of_catalog(found), highlight=False, soft_wrap=True)


def _of_catalog(found: Found) -> str:
    listed = [offer for offer in found.offers if offer.source != LIVE]
    dates = sorted({offer.seen.isoformat() for offer in listed if offer.seen})
    known = (
        f"of {' to '.join(dict.fromkeys((dates[0], dates[-1])))} where they have a date" if dates else "without a date"
    )
    share = "Prices" if len(listed) == len(found.offers) else f"{len(listed)} of {len(found.offers)} prices"
    return f"{share} are from public catalogs, not live: {known} (docs/catalog.md)."
