"""What is allowed where a request's form is wrong, in the words of its reader rather than of its validator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from pydantic import BaseModel

from control_plane.request import NAME_PATTERN

_PLACES: Final = frozenset({"body", "query", "path", "header", "cookie"})
_SECRET: Final = frozenset({"token", "X-Admin-Token"})
"""Fields whose value is never shown again."""
_WORDS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "missing": lambda _: "a value; it may not be left out",
    "json_invalid": lambda _: "a JSON object",
    "model_attributes_type": lambda _: "a JSON object",
    "dict_type": lambda _: "a JSON object",
    "literal_error": lambda of: f"one of {of['expected']}",
    "greater_than": lambda of: f"a number above {_number(of['gt'])}",
    "greater_than_equal": lambda of: f"a number, {_number(of['ge'])} or more",
    "less_than": lambda of: f"a number below {_number(of['lt'])}",
    "less_than_equal": lambda of: f"a number, at most {_number(of['le'])}",
    "finite_number": lambda _: "a number that is finite",
    "string_too_short": lambda _: "text that is not empty",
    "string_too_long": lambda of: f"text of at most {of['max_length']} characters",
    "string_type": lambda _: "text",
    "string_unicode": lambda _: "text in UTF-8",
    "bool_type": lambda _: "true or false",
    "bool_parsing": lambda _: "true or false",
    "float_type": lambda _: "a number",
    "float_parsing": lambda _: "a number",
    "int_type": lambda _: "a whole number",
    "int_parsing": lambda _: "a whole number",
    "int_parsing_size": lambda _: "a whole number that is smaller",
    "int_from_float": lambda _: "a whole number",
}


@dataclass(frozen=True)
class Explained:
    """Where a request's form is wrong, and what would be right."""

    place: tuple[str, ...]
    given: object
    allowed: str


def _number(value: float) -> str:
    """Return a number with its thousands apart, whole where it is."""
    return (f"{value:,.0f}" if value == int(value) else f"{value:,g}").replace(",", " ")


def explain(problem: Mapping[str, Any], known: tuple[str, ...]) -> Explained:
    """Return one of a validator's errors in plain words.

    Args:
        problem: the error, as pydantic tells it.
        known: the fields of the request's body.
    """
    kind, context = str(problem["type"]), problem.get("ctx", {})
    place = tuple(str(part) for part in problem["loc"] if part not in _PLACES and not isinstance(part, int))
    given = None if kind in {"missing", "json_invalid"} or _SECRET.intersection(place) else problem.get("input")
    if kind == "extra_forbidden":
        words = f"no such field; there are {', '.join(known)}"
    elif kind == "string_pattern_mismatch":
        words = PATTERNS.get(context["pattern"], f"text of the form {context['pattern']}")
    else:
        words = _WORDS[kind](context) if kind in _WORDS else str(problem["msg"])
    # Where the body is no JSON the place is a number of characters.
    return Explained(() if kind == "json_invalid" else place, given, words)


def fields_of(request: Request) -> tuple[str, ...]:
    """Return the names of the fields that the body of a request may have."""
    body = getattr(request.scope.get("route"), "body_field", None)
    shape = None if body is None else body.field_info.annotation
    return tuple(shape.model_fields) if isinstance(shape, type) and issubclass(shape, BaseModel) else ()


IDENTIFIER: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
VISIBLE: Final = r"^[!-~]+$"
WHOLE: Final = r"^[0-9]{1,15}$"
PATTERNS: Final = {
    NAME_PATTERN: "letters, digits and . _ / -, the first a letter or digit",
    IDENTIFIER: "letters, digits and . _ -, the first a letter or digit",
    VISIBLE: "letters, digits and signs of ASCII",
    WHOLE: "the id of an event, a whole number",
}
