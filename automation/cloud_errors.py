"""What the clouds' own words mean, from `error_tables/`: code, meaning, scope, how long it holds, and what to do."""

import re
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter

TABLES: Final = Path(__file__).parent / "error_tables"
PROVIDERS: Final = ("aws", "azure", "gcp")


class Scope(StrEnum):
    """Where else the same request would fail in the same way.

    `zone` and `region` mean this instance type there, on the same market; `account` means everything of this provider.
    """

    NONE = "none"
    ZONE = "zone"
    REGION = "region"
    ACCOUNT = "account"


def _compiles(pattern: str) -> str:
    re.compile(pattern)
    return pattern


class Row(BaseModel):
    """One answer of a cloud.

    Attributes:
        code: the cloud's word, or ours in snake_case where it gives none.
        pattern: what its text is known by, in a text whose white space is collapsed; its group is the exact code.
        kind: a title of `errors.Kind`.
        scope: where else the request would fail.
        seconds: for how long that is taken to hold; for `throttled`, how long to wait.
        meaning: what it says, for a person.
        advice: what to do.
        example: a real report's own words.
        source: where that report is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    pattern: Annotated[str, AfterValidator(_compiles)]
    kind: Literal["capacity", "quota", "credentials", "configuration", "throttled"]
    scope: Scope
    seconds: float = Field(ge=0)
    meaning: str
    advice: str
    example: str
    source: HttpUrl

    def code_in(self, text: str) -> str | None:
        """Return the exact code when the text is such an answer."""
        match = re.search(self.pattern, text, re.IGNORECASE)
        if match is None:
            return None
        return next((group for group in match.groups() if group), self.code).replace(" ", "_")


@cache
def table(provider: str) -> tuple[Row, ...]:
    """Return one cloud's rows, the more special before the more general."""
    text = (TABLES / f"{provider}.yaml").read_text()
    return TypeAdapter(tuple[Row, ...]).validate_python(yaml.safe_load(text))


def find(text: str) -> tuple[Row, str] | None:
    """Return the row of an answer, and its exact code; the clouds' words are distinct enough to look in all tables."""
    collapsed = " ".join(text.split())
    for provider in PROVIDERS:
        for row in table(provider):
            code = row.code_in(collapsed)
            if code is not None:
                return row, code
    return None
