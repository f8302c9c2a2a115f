"""Whether what was asked for can be: each refusal names the field, what was given, and what is allowed."""

import math
from typing import Any, Final

from automation import market
from automation.errors import Stopped
from automation.market import Found
from automation.stack_file import Values
from components import catalog
from components.catalog import UnknownName
from control_plane.api.problems import Problem, wrong_field
from control_plane.request import LaunchAsked

TINY_MODEL: Final = "tiny-llama"
TINY_CONTEXT: Final = 512
_FIELDS: Final = {
    "model": "model_name",
    "instance type": "instance_type",
    "region": "region",
    "provider": "provider",
    "gpu": "gpu",
}
_MOST_NAMES: Final = 8


def is_local(asked: LaunchAsked) -> bool:
    """Tell whether a launch is one on this host: by its provider, or by a model that nobody else serves."""
    return asked.provider == "local" or (asked.provider is None and asked.model_name == TINY_MODEL)


def settled(asked: LaunchAsked, template: Values) -> LaunchAsked:
    """Return a launch that can be, by the catalog, with its provider where it can have one only.

    Raises:
        Problem: it can't be; with the field.
    """
    if is_local(asked):
        _check_local(asked, template)
        return asked.model_copy(update={"provider": "local"})
    try:
        found = _find(asked)
    except Stopped as error:
        raise of_catalog(error, asked.max_model_len) from error
    if not found.offers:
        raise _blame(asked, found)
    return asked


def of_catalog(error: Stopped, max_model_len: int | None = None) -> Problem:
    """Return why the catalog knows nothing of what was asked for, with the field."""
    cause = error.__cause__
    if not isinstance(cause, UnknownName):
        # The catalog's sentence names the field and what was given as a problem does.
        return wrong_field("does_not_fit", "max_model_len", max_model_len, str(error).rpartition(": ")[2])
    known = cause.nearest or cause.known
    names = ", ".join(known[:_MOST_NAMES])
    more = ", …: GET /admin/catalog lists all" if len(known) > _MOST_NAMES else ""
    nearest = "one that the catalog has; nearest: " if cause.nearest else "one that the catalog has: "
    name = _FIELDS.get(cause.field.lower(), cause.field)
    return wrong_field("not_in_catalog", name, cause.given, f"{nearest}{names}{more}")


def _find(asked: LaunchAsked, **otherwise: Any) -> Found:  # noqa: ANN401 - a launch's own fields
    other = asked.model_copy(update=otherwise)
    return market.find(market.Need(other.model_name, max_model_len=other.max_model_len), other.wanted())


def _blame(asked: LaunchAsked, found: Found) -> Problem:
    """Return the problem of the one field without which there would be an offer."""
    why = f" ({found.refused[0]})" if found.refused and not found.fits else ""
    if asked.instance_type is not None and asked.region is not None:
        regions = {
            region for kind in catalog.instance_types() if kind.name == asked.instance_type for region in kind.regions
        }
        if asked.region not in regions:
            allowed = f"a region that sells {asked.instance_type}: {', '.join(sorted(regions))}"
            return wrong_field("region_lacks_type", "region", asked.region, allowed)
    if asked.max_price is not None and (dearer := _find(asked, max_price=None)).offers:
        least = math.ceil(min(offer.price for offer in dearer.offers) * 1000) / 1000
        return wrong_field("max_price_too_low", "max_price", asked.max_price, f"{least:g} USD/hour or more")
    if asked.max_model_len is not None and (shorter := _find(asked, max_model_len=None)).offers:
        most = max(shorter.fit_of(offer).max_model_len for offer in shorter.offers)
        return wrong_field("does_not_fit", "max_model_len", asked.max_model_len, f"at most {most} tokens{why}")
    if asked.market != "auto" and _find(asked, market="auto").offers:
        other = "on-demand" if asked.market == "spot" else "spot"
        allowed = f"auto or {other}: what fits is not sold as {asked.market}"
        return wrong_field("not_sold_so", "market", asked.market, allowed)
    for name in ("instance_type", "region", "provider"):
        given = getattr(asked, name)
        if given is not None and (others := _find(asked, **{name: None})).offers:
            such = ", ".join(dict.fromkeys(str(getattr(offer, name)) for offer in others.offers[:20]))
            allowed = f"one that {asked.model_name} fits, cheapest first: {such}{why}"
            return wrong_field("does_not_fit", name, given, allowed)
    return wrong_field("does_not_fit", "model_name", asked.model_name, f"a model that some machine fits{why}")


def _check_local(asked: LaunchAsked, template: Values) -> None:
    for name, given in (("region", asked.region), ("instance_type", asked.instance_type)):
        if given is not None:
            raise wrong_field("local_has_no_places", name, given, "nothing, since the provider is local")
    own = {TINY_MODEL, template.get("model") if template.get("provider") == "local" else TINY_MODEL}
    if asked.model_name not in own:
        allowed = f"{', '.join(sorted(filter(None, own)))}, since the provider is local"
        raise wrong_field("not_on_this_host", "model_name", asked.model_name, allowed)
    if asked.model_name == TINY_MODEL and (asked.max_model_len or 0) > TINY_CONTEXT:
        allowed = f"at most {TINY_CONTEXT} tokens, since {TINY_MODEL} has no longer context"
        raise wrong_field("does_not_fit", "max_model_len", asked.max_model_len, allowed)
