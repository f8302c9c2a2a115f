"""Whether Azure's roles allow an action. Pure: https://learn.microsoft.com/azure/role-based-access-control/role-definitions."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self


@dataclass(frozen=True)
class Granted:
    """What one role grants: `actions` without `not_actions`. What one role leaves out another one may grant."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    @classmethod
    def read(cls, item: dict[str, Any]) -> Self:
        """Return an item of https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group."""
        return cls(tuple(item.get("actions") or ()), tuple(item.get("notActions") or ()))

    def allows(self, action: str) -> bool:
        """Tell whether this role allows an action."""
        return _any(self.actions, action) and not _any(self.not_actions, action)


def missing(needed: Iterable[str], granted: Sequence[Granted]) -> list[str]:
    """Return the actions that no role allows, in order."""
    return [action for action in needed if not any(role.allows(action) for role in granted)]


def _any(patterns: Iterable[str], action: str) -> bool:
    return any(_compiled(pattern).fullmatch(action) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # `*` stands for any text, slashes included, and case does not count.
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE)
