"""Whether what was asked for can be: each refusal names the field, what was given, and what is allowed."""

from typing import Final

from automation import market
from automation.errors import Stopped
from automation.stack_file import Values
from components import catalog
from components.catalog import UnknownName
from control_plane.api.problems import Problem, wrong_field
from control_plane.request import LaunchAsked

TINY_MODEL: Final = "tiny-llama"
_FIELDS: Final = {"model": "model_name", "instance type": "instance_type", "region": "region", "provider": "provider"}


def check(asked: LaunchAsked, template: Values) -> None:
    """Refuse a launch that can't be, by the catalog.

    Raises:
        Problem: with the field.
    """
    if asked.provider == "local":
        _check_local(asked, template)
        return
    try:
        found = market.find(market.Need(asked.model_name, max_model_len=asked.max_model_len), asked.wanted())
    except Stopped as error:
        cause = error.__cause__
        if isinstance(cause, UnknownName):
            name = _FIELDS.get(cause.field, cause.field)
            nearest = (
                f"one that the catalog has; nearest: {', '.join(cause.nearest)}" if cause.nearest else "a known one"
            )
            raise wrong_field("not_in_catalog", name, cause.given, nearest) from error
        raise wrong_field("not_in_catalog", "max_model_len", asked.max_model_len, str(error)) from error
    if found.offers:
        return
    _check_region(asked)
    if found.refused and not found.fits:
        name, given = (
            ("instance_type", asked.instance_type) if asked.instance_type else ("model_name", asked.model_name)
        )
        raise wrong_field("does_not_fit", name, given, f"a machine that the model fits: {found.refused[0]}")
    cheapest = market.find(
        market.Need(asked.model_name, max_model_len=asked.max_model_len),
        asked.wanted().model_copy(update={"max_price": None}),
    )
    if cheapest.offers and asked.max_price is not None:
        least = cheapest.offers[0].price
        raise wrong_field("max_price_too_low", "max_price", asked.max_price, f"at least {least:.3f} USD/hour")
    raise Problem(422, "configuration", "no_offer", "no offer is known for what was asked for", "ask for less")


def _check_region(asked: LaunchAsked) -> None:
    if asked.instance_type is None or asked.region is None:
        return
    kinds = [kind for kind in catalog.instance_types() if kind.name == asked.instance_type]
    if not any(asked.region in kind.regions for kind in kinds):
        regions = ", ".join(sorted({region for kind in kinds for region in kind.regions}))
        allowed = f"a region that sells {asked.instance_type}: {regions}"
        raise wrong_field("region_lacks_type", "region", asked.region, allowed)


def _check_local(asked: LaunchAsked, template: Values) -> None:
    for name, given in (("region", asked.region), ("instance_type", asked.instance_type)):
        if given is not None:
            raise wrong_field("local_has_no_places", name, given, "nothing, since the provider is local")
    own = {TINY_MODEL, template.get("model") if template.get("provider") == "local" else TINY_MODEL}
    if asked.model_name not in own:
        allowed = f"{', '.join(sorted(filter(None, own)))}, since the provider is local"
        raise wrong_field("not_on_this_host", "model_name", asked.model_name, allowed)
