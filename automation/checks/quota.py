"""Whether a quota has room for a machine. Pure: the numbers come as data."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from automation.checks.finding import QUOTA, Finding, State
from automation.errors import Kind

TOO_LOW: Final = "quota too low"
"""What the reason begins with for which an offer is not tried."""


@dataclass(frozen=True)
class Quota:
    """One limit of an account, how much of it is used, and what one machine would add.

    Attributes:
        name: the cloud's own name for it.
        place: where it holds: a region, or `all regions`.
        limit: the most that the account may have; negative means that there is no limit.
        used: what it has now.
        needed: what the machine needs.
        unit: what is counted: `vCPUs` or `GPUs`.
        raised_by: how more is asked for.
    """

    name: str
    place: str
    limit: float
    used: float
    needed: int
    unit: str
    raised_by: str

    @property
    def is_short(self) -> bool:
        """Whether what is left is less than what is needed."""
        return 0 <= self.limit < self.used + self.needed

    @property
    def is_too_low(self) -> bool:
        """Whether it would be too low even if nothing of it were used."""
        return 0 <= self.limit < self.needed

    def __str__(self) -> str:
        """Return it with all three numbers."""
        return (
            f"{self.name} in {self.place}: {self.needed:,} {self.unit} needed, "
            f"{self.used:,.10g} of {self.limit:,.10g} used"
        )


def why_not(quotas: Iterable[Quota]) -> str:
    """Return why a machine can't be had by its quotas, with the numbers; empty where each of them has room."""
    return "; ".join(f"{TOO_LOW}: {quota}" for quota in quotas if quota.is_short)


def finding(provider: str, machine: object, quotas: Iterable[Quota]) -> Finding:
    """Return what the quotas of one machine say."""
    known = tuple(quotas)
    short = [quota for quota in known if quota.is_short]
    told = "; ".join(map(str, short or known))
    if short:
        hint = "; ".join(dict.fromkeys(quota.raised_by for quota in short))
        return Finding(provider, QUOTA, State.MISSING, f"{machine}: {told}", hint, Kind.QUOTA)
    if not known:
        return Finding(provider, QUOTA, State.UNKNOWN, f"{machine}: no quota is known to count it")
    return Finding(provider, QUOTA, State.OK, f"{machine}: {told}")
