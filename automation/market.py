"""What there is to buy for a model: the instance types that it fits, at prices of the catalog or another source."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from automation import stack_file
from automation.errors import Kind, Stopped
from automation.launch import LaunchRequest, overrides
from automation.offers import Listing, Offer, Wanted, offers
from components import catalog
from components.catalog import Fit, NotSupported, TooLarge, UnknownName


@dataclass(frozen=True)
class Need:
    """What has to fit.

    Attributes:
        model: its name in the catalog.
        quantisation: one that the model offers; None takes its own.
        max_model_len: the context wanted, in tokens; None takes the longest that fits.
    """

    model: str
    quantisation: str | None = None
    max_model_len: int | None = None


@dataclass(frozen=True)
class Found:
    """What there is to buy.

    Attributes:
        offers: in the order in which they are tried.
        fits: how the model fits each instance type among the offers, by provider and name.
        refused: why it does not fit other instance types that were asked for, one sentence each.
    """

    offers: tuple[Offer, ...]
    fits: dict[tuple[str, str], Fit]
    refused: tuple[str, ...]

    def fit_of(self, offer: Offer) -> Fit:
        """Return how the model fits an offer's machine."""
        return self.fits[offer.provider, offer.instance_type]


_GCP_ZONES: Final = {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}
"""The letters of the zones of regions that do not have a, b and c: https://cloud.google.com/compute/docs/regions-zones"""


Prices = Callable[[Sequence[catalog.InstanceType], Wanted], Iterable[Listing]]
"""Where prices come from: given the instance types that are of interest, what they cost in each place."""


def catalog_prices(kinds: Sequence[catalog.InstanceType], wanted: Wanted) -> Iterator[Listing]:
    """Return the catalog's prices of these types, one for each place that can be asked for."""
    for kind in kinds:
        for price in catalog.prices(kind.provider, kind.name):
            if not wanted.regions or price.region in wanted.regions:
                for zone in zones(kind.provider, price.region, price.zone or ""):
                    yield from _listings(kind, price, zone)


def zones(provider: str, region: str, zone: str) -> list[str]:
    """Return the zones that a price is for; one empty name where the cloud may choose the zone.

    Compute Engine has no machine without a zone, and its prices are the region's: each zone is listed, though one
    may not sell the type. What that zone then answers lets a plan go on to the next.
    """
    if provider != "gcp" or zone:
        return [zone]
    return [f"{region}-{letter}" for letter in _GCP_ZONES.get(region, "abc")]


def gpu_of(kind: catalog.InstanceType) -> str:
    """Return a type's GPUs as a listing names them."""
    return kind.gpu if kind.gpu_count == 1 else f"{kind.gpu_count}x {kind.gpu}"


def _listings(kind: catalog.InstanceType, price: catalog.Price, zone: str) -> Iterator[Listing]:
    """Return one listing for each market, since each price may be of another source."""
    place = {"provider": kind.provider, "region": price.region, "zone": zone}
    for market, known, source in (
        ("spot", price.spot, price.source),
        ("on_demand", price.on_demand, price.on_demand_source or price.source),
    ):
        if known is not None:
            yield Listing.model_validate(
                {
                    **place,
                    "instance_type": kind.name,
                    "gpu": gpu_of(kind),
                    market: known,
                    "source": source.url,
                    "seen": source.date,
                }
            )


def find(need: Need, wanted: Wanted, prices: Prices = catalog_prices) -> Found:
    """Return the offers whose machines the model fits, at the prices that `prices` tells.

    Raises:
        Stopped: the model, a filter's name, the quantisation or the context is not known or can't be.
    """
    try:
        model = catalog.model(need.model)
        check_names(wanted)
        fits: dict[tuple[str, str], Fit] = {}
        refused: list[str] = []
        for kind in catalog.instance_types():
            if not _asked_for(kind, wanted):
                continue
            found = catalog.fits(model, kind, quantisation=need.quantisation, max_model_len=need.max_model_len)
            if isinstance(found, Fit):
                fits[kind.provider, kind.name] = found
            else:
                refused.append(_sentence(found))
    except (UnknownName, ValueError) as error:
        raise Stopped(Kind.CONFIGURATION, "not_in_catalog", str(error), "correct the name or the value") from error
    sold = prices([catalog.instance_type(*name) for name in fits], wanted)
    # The GPU was matched above, by its name alone: a listing also says how many.
    return Found(offers(sold, wanted.model_copy(update={"gpus": frozenset()})), fits, tuple(refused))


def for_request(request: LaunchRequest, wanted: Wanted, prices: Prices = catalog_prices) -> Found:
    """Return the offers for a launch: its model, and the context that the stack asks for, have to fit.

    Raises:
        Stopped: the request names no model, or one that is not known.
    """
    values = stack_file.read(request.project, request.stack, overrides(request))
    model = values.get("model")
    if not model:
        raise Stopped(
            Kind.CONFIGURATION, "model_missing", "MODEL: given nothing", "name it: liftoff launch MODEL --provider any"
        )
    context = values.get("maxModelLen") or "0"
    if not context.isdigit():
        raise Stopped(
            Kind.CONFIGURATION, "context_invalid", f"maxModelLen: given {context!r}; allowed: tokens", "correct it"
        )
    return find(Need(model, max_model_len=int(context) or None), wanted, prices)


def _sentence(found: TooLarge | NotSupported) -> str:
    return f"{found.instance_type.provider} {found.instance_type.name}: {found.reason}"


def _asked_for(kind: catalog.InstanceType, wanted: Wanted) -> bool:
    pairs = ((wanted.providers, kind.provider), (wanted.instance_types, kind.name), (wanted.gpus, kind.gpu))
    regions = not wanted.regions or not wanted.regions.isdisjoint(kind.regions)
    return regions and all(not allowed or value in allowed for allowed, value in pairs)


def check_names(wanted: Wanted) -> None:
    """Refuse names that the catalog does not have.

    Raises:
        UnknownName: with the names that it has.
    """
    for gpu in wanted.gpus:
        catalog.gpu(gpu)
    for provider in wanted.providers:
        catalog.instance_types(provider)
    kinds = [kind for kind in catalog.instance_types() if not wanted.providers or kind.provider in wanted.providers]
    for field, allowed, known in (
        ("instance type", wanted.instance_types, {kind.name for kind in kinds}),
        ("region", wanted.regions, {region for kind in kinds for region in kind.regions}),
    ):
        for name in allowed - known:
            raise UnknownName(field, name, known)
