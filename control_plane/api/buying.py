"""What there is to buy: models, machines, offers."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from automation import market
from automation.offers import Market, Offer, Wanted
from automation.prices import live
from components import catalog
from components.catalog import Fit
from control_plane.api import access, wishes
from control_plane.api.access import Parts
from control_plane.request import LOCAL_OFFER, LaunchAsked, Name, Provider

_GIB: Final = 1024**3
_TINY: Final = {
    "name": wishes.TINY_MODEL,
    "parameters": 1_000_000,
    "context": 512,
    "quantisations": ["bf16"],
    "gated": False,
}

router = APIRouter(prefix="/admin", tags=["offers"])


@router.get("/catalog", dependencies=[access.reads()])
def everything() -> dict[str, Any]:
    """List the models, and the machines that are sold."""
    return {
        "providers": [*catalog.PROVIDERS, "local"],
        "models": [
            *(
                {
                    "name": model.name,
                    "parameters": model.parameters,
                    "context": model.context,
                    "quantisations": list(model.quantisations),
                    "gated": model.gated,
                }
                for model in catalog.models()
            ),
            _TINY,
        ],
        "instance_types": [
            {
                "provider": kind.provider,
                "name": kind.name,
                "gpu": kind.gpu,
                "gpu_count": kind.gpu_count,
                "gpu_memory_gib": _memory_gib(kind),
                "regions": list(kind.regions),
            }
            for kind in catalog.instance_types()
        ],
    }


@router.get("/offers", dependencies=[access.reads()])
def offers(
    model_name: Annotated[Name, Query(description="name of the model")],
    parts: Parts,
    provider: Provider | None = None,
    region: Name | None = None,
    instance_type: Name | None = None,
    gpu: Name | None = None,
    max_price: Annotated[float | None, Query(gt=0, le=10_000)] = None,
    market_: Annotated[Market, Query(alias="market")] = "spot",
) -> dict[str, Any]:
    """List what a launch would try, cheapest first."""
    if provider == "local" or (provider is None and model_name == wishes.TINY_MODEL):
        fits = model_name == wishes.TINY_MODEL
        why = f"local: only {wishes.TINY_MODEL} is served on this host"
        return {"offers": [_local()] if fits else [], "refused": [] if fits else [why]}
    asked = LaunchAsked(
        model_name=model_name, provider=provider, region=region, instance_type=instance_type, market=market_
    )
    wanted = asked.wanted().model_copy(update={"gpus": frozenset({gpu} if gpu else ()), "max_price": max_price})
    found = _find(parts.settings.catalog_only, model_name, wanted)
    return {"offers": [_offer(offer, found.fit_of(offer)) for offer in found.offers], "refused": list(found.refused)}


def _find(catalog_only: bool, model_name: str, wanted: Wanted) -> market.Found:
    prices = live.choose(catalog_only=catalog_only, say=lambda _: None)
    return market.find(market.Need(model_name), wanted, prices)


def _offer(offer: Offer, fit: Fit) -> dict[str, Any]:
    gpus = fit.instance_type.gpu_count
    per_gpu = fit.weights_bytes + fit.kv_cache_bytes + fit.overhead_bytes
    return {
        **offer.model_dump(mode="json"),
        "max_model_len": fit.max_model_len,
        "gpu_memory_gib": _memory_gib(fit.instance_type),
        "needed_gib": round(per_gpu * min(gpus, fit.tensor_parallel_size) / _GIB, 1),
        "notes": list(fit.notes),
    }


def _local() -> dict[str, Any]:
    nothing = {"gpu_memory_gib": None, "needed_gib": None}
    notes = ["a tiny model on this host's processors, to see the whole way"]
    return {**LOCAL_OFFER.model_dump(mode="json"), "max_model_len": _TINY["context"], **nothing, "notes": notes}


def _memory_gib(kind: catalog.InstanceType) -> float:
    return round(catalog.gpu(kind.gpu).memory_mib * kind.gpu_count / 1024, 1)
