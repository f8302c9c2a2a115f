"""The checks before a launch: only what is needed, and only what can be known; the rest never stops it."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from automation.checks import account, bucket, quota, side_by_side, stack_values
from automation.checks.account import Account
from automation.checks.checker import Stack, Tell, WhyNot
from automation.checks.finding import CREDENTIALS, STORAGE, Finding, State, is_throttled, of_refusal
from automation.checks.finding import UNREACHABLE as SILENT
from automation.checks.hiding import Hiding
from automation.checks.machine import Machine, of_offer, of_settings
from automation.checks.quota import Quota
from automation.cloud_api.refused import Refused
from automation.errors import Kind, Stopped
from automation.offers import Offer
from components.settings import CloudSettings, Settings

Connect = Callable[[str, Mapping[str, str], str], Account]

_BLOCKING: Final = frozenset({Kind.CREDENTIALS, Kind.CONFIGURATION})
"""What the launch would end with, too. An unreachable API may be so for the check alone."""


class BeforeLaunch:
    """Asks the clouds and the bucket.

    Args:
        connect: opens a cloud's account, by provider, environment and region.
        environment: the variables of the clouds' providers; None takes this process's own.
        limit_seconds: how long each may take to answer.
    """

    def __init__(
        self,
        connect: Connect = account.connect,
        environment: Mapping[str, str] | None = None,
        limit_seconds: float = side_by_side.LIMIT_SECONDS,
    ) -> None:
        self._connect = connect
        self._given = environment
        self._limit = limit_seconds

    def node(self, stack: Stack, asked: Settings, tell: Tell) -> None:
        """Look up credentials, bucket and quota for the stack's own machine."""
        if not isinstance(asked, CloudSettings):
            return
        look = self._look(stack, {asked.provider: asked.region}, tell)
        found, finding = look.accounts[asked.provider]
        if finding.kind in _BLOCKING:
            raise look.stopped(finding)
        if found is not None:
            _refuse_without_quota(look.quotas(found, asked.provider, of_settings(asked)), of_settings(asked), look)

    def plan(self, stack: Stack, offers: Sequence[Offer], tell: Tell) -> tuple[tuple[Offer, ...], WhyNot]:
        """Look up the credentials of a plan's clouds and the bucket; quotas when an offer's turn comes."""
        regions: dict[str, str] = {}
        for offer in offers:
            if offer.provider != "local":
                regions.setdefault(offer.provider, offer.region)
        if not regions:
            return tuple(offers), lambda _: ""
        look = self._look(stack, regions, tell)
        closed = {provider: finding for provider, (_, finding) in look.accounts.items() if finding.kind in _BLOCKING}
        for provider, finding in closed.items():
            if len(closed) < len(regions):
                tell(look.hiding.text(f"Offers of {provider} are left out: {finding.message}"))
        left = tuple(offer for offer in offers if offer.provider not in closed)
        if not left:
            raise look.stopped(*closed.values())
        return left, _QuotaOfOffers(look).why_not

    def _look(self, stack: Stack, regions: Mapping[str, str], tell: Tell) -> "_Look":
        given = os.environ if self._given is None else self._given
        values = stack_values.read(stack.project, stack.name, stack.config, stack.secrets_of)
        environment = values.environment(given)
        hiding = Hiding(stack_values.hidden_values(values, environment))
        looks: dict[str, Callable[[], _Answer]] = {STORAGE: lambda: (None, bucket.look(values, at_cloud=True))}
        for provider, region in regions.items():
            looks[provider] = _opener(self._connect, provider, environment, region)
        answers = side_by_side.run(looks, _late, self._limit)
        _, of_bucket = answers.pop(STORAGE)
        accounts = {provider: (found, findings[0]) for provider, (found, findings) in answers.items()}
        look = _Look(accounts, hiding, tell, self._limit)
        blocking = [finding for finding in of_bucket if finding.kind in _BLOCKING]
        if blocking:
            raise look.stopped(*blocking)
        for finding in (*of_bucket, *(finding for _, finding in accounts.values())):
            if finding.state is State.UNKNOWN or (finding.state is State.MISSING and finding.kind is None):
                look.tell(f"Not known before this launch: {finding.provider} {finding.subject}: {finding.message}")
        return look


_Answer = tuple[Account | None, tuple[Finding, ...]]


class _Look:
    """What was found, and how it is told."""

    def __init__(
        self, accounts: Mapping[str, tuple[Account | None, Finding]], hiding: Hiding, tell: Tell, limit: float
    ) -> None:
        self.accounts = dict(accounts)
        self.hiding = hiding
        self._tell = tell
        self._limit = limit

    def tell(self, text: str) -> None:
        """Tell a line without keys."""
        self._tell(self.hiding.text(text))

    def stopped(self, *findings: Finding) -> Stopped:
        """Return the end of a launch that lacks these; the first decides what sort it is."""
        first = findings[0]
        text = "\n".join(f"{finding.provider} {finding.subject}: {finding.message}" for finding in findings)
        hint = "; ".join(dict.fromkeys(finding.hint for finding in findings if finding.hint))
        code = f"check_{first.subject.replace(' ', '_')}"
        return self.hiding.stopped(Stopped(first.kind or Kind.UNKNOWN, code, text, hint or "liftoff check says more"))

    def quotas(self, found: Account, provider: str, machine: Machine) -> tuple[Quota, ...]:
        """Return a machine's quotas; none, and a line that says so, where they can't be looked up."""

        def ask() -> tuple[Quota, ...] | Refused:
            try:
                with account.understood():
                    return found.quotas(machine)
            except Refused as error:
                return error

        def late(_: str, seconds: float) -> tuple[Quota, ...] | Refused:
            return Refused("time_limit", f"no answer in {seconds:.0f} s")

        answer = side_by_side.run({provider: ask}, late, self._limit)[provider]
        if not isinstance(answer, Refused):
            return answer
        told = of_refusal(provider, "quota", answer).message
        self.tell(f"Not known before this launch: {provider} quota for {machine}: {told}")
        if answer.code in SILENT or is_throttled(answer):
            # Each further question would take as long, or be one too many.
            self.accounts[provider] = (None, self.accounts[provider][1])
        return ()


class _QuotaOfOffers:
    """Looks a quota up when an offer's turn comes, and each once."""

    def __init__(self, look: _Look) -> None:
        self._look = look
        self._known: dict[Machine, str] = {}

    def why_not(self, offer: Offer) -> str:
        """Return why an offer's quota is too low, or nothing."""
        found, _ = self._look.accounts.get(offer.provider, (None, None))
        if found is None:
            return ""
        machine = of_offer(offer)
        if machine not in self._known:
            self._known[machine] = quota.why_not(self._look.quotas(found, offer.provider, machine))
        return self._known[machine]


def _opener(connect: Connect, provider: str, environment: Mapping[str, str], region: str) -> Callable[[], _Answer]:
    def open_() -> _Answer:
        try:
            with account.understood():
                found = connect(provider, environment, region)
                return found, (found.who(),)
        except Refused as error:
            return None, (of_refusal(provider, CREDENTIALS, error),)

    return open_


def _late(provider: str, seconds: float) -> _Answer:
    if provider == STORAGE:
        return None, bucket.late(seconds)
    return None, (of_refusal(provider, CREDENTIALS, Refused("time_limit", f"no answer in {seconds:.0f} s")),)


def _refuse_without_quota(quotas: Sequence[Quota], machine: Machine, look: _Look) -> None:
    """Stop where the limit itself is too low; what is used may be this stack's own machine, and only noted."""
    low = [one for one in quotas if one.is_too_low]
    if low:
        hint = "; ".join(dict.fromkeys(one.raised_by for one in low))
        raise look.hiding.stopped(Stopped(Kind.QUOTA, "check_quota", f"{machine}: {'; '.join(map(str, low))}", hint))
    short = quota.why_not(quotas)
    if short:
        look.tell(f"{machine}: {short}; it goes on, since what is used may be this stack's own")
