"""What there is to buy for a model: the catalog's prices, and the instance types that the model fits."""

from collections.abc import Iterator
from dataclasses import dataclass

from automation.errors import Kind, Stopped
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


def listings() -> Iterator[Listing]:
    """Return the catalog's prices."""
    for kind in catalog.instance_types():
        for price in catalog.prices(kind.provider, kind.name):
            yield Listing(
                provider=kind.provider,
                region=price.region,
                zone=price.zone or "",
                instance_type=kind.name,
                gpu=kind.gpu if kind.gpu_count == 1 else f"{kind.gpu_count}x {kind.gpu}",
                spot=price.spot,
                on_demand=price.on_demand,
                source=price.source.url,
                seen=price.source.date,
            )


def find(need: Need, wanted: Wanted) -> Found:
    """Return the offers whose machines the model fits.

    Raises:
        Stopped: the model, a filter's name, the quantisation or the context is not known or can't be.
    """
    try:
        model = catalog.model(need.model)
        _check_names(wanted)
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
    sold = (listing for listing in listings() if (listing.provider, listing.instance_type) in fits)
    # The GPU was matched above, by its name alone: a listing also says how many.
    return Found(offers(sold, wanted.model_copy(update={"gpus": frozenset()})), fits, tuple(refused))


def _sentence(found: TooLarge | NotSupported) -> str:
    return f"{found.instance_type.provider} {found.instance_type.name}: {found.reason}"


def _asked_for(kind: catalog.InstanceType, wanted: Wanted) -> bool:
    pairs = ((wanted.providers, kind.provider), (wanted.instance_types, kind.name), (wanted.gpus, kind.gpu))
    regions = not wanted.regions or not wanted.regions.isdisjoint(kind.regions)
    return regions and all(not allowed or value in allowed for allowed, value in pairs)


def _check_names(wanted: Wanted) -> None:
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
