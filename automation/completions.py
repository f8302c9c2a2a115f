"""What a shell offers for a value: names of the catalog, and the stacks of the project. It asks nobody."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

_STACK_FILE: Final = "Pulumi.*.yaml"


def models(incomplete: str) -> Iterator[str]:
    """Offer the catalog's models, and this host's own."""
    from components import catalog

    return _beginning(incomplete, (*(model.name for model in catalog.models()), "tiny-llama"))


def providers(incomplete: str) -> Iterator[str]:
    """Offer the clouds."""
    from components import catalog

    return _beginning(incomplete, catalog.PROVIDERS)


def launch_providers(incomplete: str) -> Iterator[str]:
    """Offer the clouds, all of them, and a server's own host."""
    from components import catalog

    return _beginning(incomplete, (*catalog.PROVIDERS, "any", "local"))


def regions(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the regions of the clouds that were named, where the instance types that were named are sold."""
    return _beginning(incomplete, (region for kind in _kinds(ctx) for region in kind.regions))


def instance_types(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the instance types of the clouds that were named."""
    return _beginning(incomplete, (kind.name for kind in _kinds(ctx, of_types=False)))


def gpus(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the GPUs that the clouds sell that were named."""
    return _beginning(incomplete, (kind.gpu for kind in _kinds(ctx)))


def stacks(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the stacks that have a settings file in the project's folder."""
    given = ctx.params.get("project") or os.environ.get("LIFTOFF_PROJECT") or "."
    names = (path.name.split(".", 1)[1].rsplit(".", 1)[0] for path in Path(given).glob(_STACK_FILE))
    return _beginning(incomplete, names)


def _kinds(ctx: typer.Context, *, of_types: bool = True) -> Iterator[Any]:
    from components import catalog

    clouds = set(_given(ctx, "provider")) & set(catalog.PROVIDERS)
    types = set(_given(ctx, "instance_type")) if of_types else set()
    for kind in catalog.instance_types():
        if (not clouds or kind.provider in clouds) and (not types or kind.name in types):
            yield kind


def _given(ctx: typer.Context, name: str) -> Iterable[str]:
    given = ctx.params.get(name) or ()
    return (given,) if isinstance(given, str) else given


def _beginning(incomplete: str, names: Iterable[str]) -> Iterator[str]:
    return iter(sorted({name for name in names if name.startswith(incomplete)}))
