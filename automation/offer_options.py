"""The options by which a user fixes what may be bought; empty means anything will do."""

from typing import Annotated, Literal

import typer

from automation import completions
from automation.offers import Market, Wanted

ANY = "any"

Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="aws|azure|gcp",
        help="Only this cloud; repeatable. Left out, all.",
        autocompletion=completions.providers,
    ),
]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="Only this region; repeatable.", autocompletion=completions.regions),
]
InstanceTypes = Annotated[
    list[str] | None,
    typer.Option("--instance-type", help="Only this type; repeatable.", autocompletion=completions.instance_types),
]
Gpus = Annotated[
    list[str] | None,
    typer.Option("--gpu", help="Only this GPU, such as L4; repeatable.", autocompletion=completions.gpus),
]
MaxPrice = Annotated[float | None, typer.Option("--max-price", help="The most to pay, in USD/hour.")]
MarketOption = Annotated[
    Literal["spot", "on-demand", "auto"],
    typer.Option("--market", help="What may be bought; auto tries all spot offers first."),
]
CatalogPrices = Annotated[
    bool,
    typer.Option(
        "--catalog-prices", envvar="LIFTOFF_CATALOG_PRICES", help="Only the dated catalog's prices; no cloud is asked."
    ),
]
Quantisation = Annotated[str | None, typer.Option("--quantisation", help="bf16, fp8, awq or mxfp4.")]
Context = Annotated[int | None, typer.Option("--max-model-len", help="The context that must fit, in tokens.")]


def wanted(
    providers: list[str] | None,
    regions: list[str] | None,
    instance_types: list[str] | None,
    gpus: list[str] | None,
    max_price: float | None,
    market_: Market,
) -> Wanted:
    """Return what the options ask for."""
    return Wanted(
        providers=frozenset(providers or ()) - {ANY},
        regions=frozenset(regions or ()),
        instance_types=frozenset(instance_types or ()),
        gpus=frozenset(gpus or ()),
        max_price=max_price,
        market=market_,
    )
