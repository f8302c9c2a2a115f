"""How the model fits the GPU before and after a change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from automation.preview.cost import machine
from automation.preview.steps import SETTINGS, Step, Values
from components import catalog

_READINESS: Final = "liftoff:index:Readiness"


@dataclass(frozen=True)
class Side:
    """How a model fits one machine.

    Attributes:
        model: name under which it is served.
        instance_type: the machine.
        gpu: how many of which GPU, or empty.
        fits: whether it does; None where the catalog does not know the model.
        max_model_len: the longest context in tokens that is asked for or fits; 0 where none or not known.
        sequences: how many of them at once; 0 where not known.
        text: a sentence for the reader.
    """

    model: str
    instance_type: str
    gpu: str
    fits: bool | None
    max_model_len: int
    sequences: float
    text: str


def before(steps: Iterable[Step]) -> Side | None:
    """Return the fit that there is now; None without a machine of a cloud."""
    return _side({step.type: step.old for step in steps if step.old is not None})


def after(steps: Iterable[Step]) -> Side | None:
    """Return the fit that there will be; None without a machine of a cloud."""
    return _side({step.type: step.new for step in steps if step.new is not None and step.action != "delete"})


def _side(resources: Mapping[str, Values]) -> Side | None:
    of = next((found for type_, values in resources.items() if (found := machine(type_, values)) is not None), None)
    if of is None:
        return None
    settings = resources.get(SETTINGS, {})
    model = str(resources.get(_READINESS, {}).get("model") or settings.get("model") or "")
    asked = _tokens(settings.get("maxModelLen"))
    try:
        kind = catalog.instance_type(of.provider, of.instance_type)
    except catalog.UnknownName as error:
        return Side(model, of.instance_type, "", None, 0, 0.0, str(error))
    gpu = f"{kind.gpu_count} x {kind.gpu}"
    try:
        answer = catalog.fits(catalog.model(model), kind, max_model_len=asked)
    except (catalog.UnknownName, ValueError):
        return Side(model, kind.name, gpu, None, 0, 0.0, "the catalog can't tell whether it fits")
    if isinstance(answer, catalog.Fit):
        length, sequences = answer.max_model_len, round(answer.sequences, 1)
        text = f"fits with {length:,} tokens of context, and room for {sequences:g} times that at once"
        return Side(model, kind.name, gpu, True, length, sequences, text)
    return Side(model, kind.name, gpu, False, 0, 0.0, f"does not fit: {answer.reason}")


def _tokens(value: Any) -> int | None:  # noqa: ANN401 - JSON
    text = str(value or "")
    return int(text) if text.isdecimal() and int(text) else None
