"""What there is to buy: models, machines, offers, and what is lacking to buy them."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from automation import market
from automation.checks import survey
from automation.checks.finding import worst
from automation.errors import Stopped
from automation.offers import Market, Offer, Wanted
from automation.prices import live
from components import catalog
from components.catalog import Fit
from control_plane.api import access, shapes, wishes
from control_plane.api.access import Parts
from control_plane.api.problems import documented
from control_plane.request import LOCAL_OFFER, LaunchAsked, Name, Provider

_GIB: Final = 1024**3
_TINY: Final = shapes.CatalogModel(
    name=wishes.TINY_MODEL,
    parameters=1_000_000,
    context=wishes.TINY_CONTEXT,
    quantisations=["bf16"],
    gated=False,
)

router = APIRouter(prefix="/admin", tags=["offers"])


@router.get("/catalog", dependencies=[access.reads()], responses=documented(401, 429))
def everything() -> shapes.Catalog:
    """List the models, and the machines that are sold."""
    models = [
        shapes.CatalogModel(
            name=model.name,
            parameters=model.parameters,
            context=model.context,
            quantisations=list(model.quantisations),
            gated=model.gated,
        )
        for model in catalog.models()
    ]
    kinds = [
        {
            "provider": kind.provider,
            "name": kind.name,
            "gpu": kind.gpu,
            "gpu_count": kind.gpu_count,
            "gpu_memory_gib": _memory_gib(kind),
            "regions": list(kind.regions),
        }
        for kind in catalog.instance_types()
    ]
    return shapes.Catalog.model_validate(
        {"providers": [*catalog.PROVIDERS, "local"], "models": [*models, _TINY], "instance_types": kinds}
    )


@router.get("/offers", dependencies=[access.reads()], responses=documented(401, 422, 429))
def offers(
    model_name: Annotated[Name, Query(description="name of the model")],
    parts: Parts,
    provider: Provider | None = None,
    region: Name | None = None,
    instance_type: Name | None = None,
    gpu: Annotated[str | None, Query(min_length=1, max_length=200, description="as the catalog names it")] = None,
    max_price: Annotated[float | None, Query(gt=0, le=10_000)] = None,
    market_: Annotated[Market, Query(alias="market")] = "spot",
) -> shapes.Offers:
    """List what a launch would try, cheapest first."""
    asked = LaunchAsked(
        model_name=model_name,
        provider=provider,
        region=region,
        instance_type=instance_type,
        max_price=max_price,
        market=market_,
    )
    if wishes.is_local(asked):
        fits = model_name == wishes.TINY_MODEL
        why = f"local: only {wishes.TINY_MODEL} is served on this host"
        return shapes.Offers(offers=[_local()] if fits else [], refused=[] if fits else [why])
    wanted = asked.wanted().model_copy(update={"gpus": frozenset({gpu} if gpu else ())})
    found = _find(parts.settings.catalog_only, model_name, wanted)
    return shapes.Offers(
        offers=[_offer(offer, found.fit_of(offer)) for offer in found.offers], refused=list(found.refused)
    )


@router.get("/check", dependencies=[access.reads()], responses=documented(401, 422, 424, 429))
def check(parts: Parts) -> shapes.Findings:
    """Look up what launches need of credentials, permissions, quota and bucket; this takes some seconds."""
    found = survey.survey(parts.settings.project, parts.settings.stack, survey.Asked())
    kind = worst(found)
    findings = [
        shapes.Finding(
            provider=one.provider,
            subject=one.subject,
            state=one.state.value,
            message=one.message,
            hint=one.hint,
            kind=one.kind.title if one.kind else None,
        )
        for one in found
    ]
    return shapes.Findings(findings=findings, ok=kind is None, kind=kind.title if kind else None)


def _find(catalog_only: bool, model_name: str, wanted: Wanted) -> market.Found:
    prices = live.choose(catalog_only=catalog_only, say=lambda _: None)
    try:
        return market.find(market.Need(model_name), wanted, prices)
    except Stopped as error:
        raise wishes.of_catalog(error) from error


def _offer(offer: Offer, fit: Fit) -> shapes.Offer:
    gpus = fit.instance_type.gpu_count
    per_gpu = fit.weights_bytes + fit.kv_cache_bytes + fit.overhead_bytes
    return shapes.Offer.model_validate(
        {
            **offer.model_dump(mode="json"),
            "max_model_len": fit.max_model_len,
            "gpu_memory_gib": _memory_gib(fit.instance_type),
            "needed_gib": round(per_gpu * min(gpus, fit.tensor_parallel_size) / _GIB, 1),
            "notes": list(fit.notes),
        }
    )


def _local() -> shapes.Offer:
    notes = ["a tiny model on this host's processors, to see the whole way"]
    return shapes.Offer.model_validate(
        {
            **LOCAL_OFFER.model_dump(mode="json"),
            "max_model_len": _TINY.context,
            "gpu_memory_gib": None,
            "needed_gib": None,
            "notes": notes,
        }
    )


def _memory_gib(kind: catalog.InstanceType) -> float:
    return round(catalog.gpu(kind.gpu).memory_mib * kind.gpu_count / 1024, 1)
