"""Keys taken out of what is told: a cloud may repeat in its answer what it was given."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from automation.checks.finding import Finding
from automation.errors import Stopped
from automation.journal import redact
from automation.worker import SECRET

_SHORTEST: Final = 6
"""A shorter text is no key, and taking it out would maim what is told."""


class Hiding:
    """Takes these texts, and everything that looks like a key, out of what is told."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {part for value in values for part in _parts(value) if len(part) >= _SHORTEST}
        # The longest first: a part of it alone would leave its rest.
        self._values = sorted(found, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return a text without keys."""
        for value in self._values:
            text = text.replace(value, SECRET)
        return redact(text)

    def finding(self, finding: Finding) -> Finding:
        """Return a finding without keys."""
        return replace(finding, message=self.text(finding.message), hint=self.text(finding.hint))

    def stopped(self, error: Stopped) -> Stopped:
        """Return an error without keys."""
        return Stopped(error.kind, error.code, self.text(str(error)), self.text(error.hint))


def _parts(value: str) -> Iterator[str]:
    """Return a value, its lines, and what is secret in a key file of Google's."""
    yield value
    try:
        document = json.loads(value)
    except ValueError:
        yield from value.splitlines()
        return
    if isinstance(document, dict):
        for name in ("private_key", "private_key_id", "client_secret", "refresh_token"):
            yield from str(document.get(name, "")).splitlines()
