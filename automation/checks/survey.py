"""All checks of `liftoff check`: each cloud and the bucket, side by side."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from automation import market as catalog_market
from automation.checks import account, bucket, quota, side_by_side, stack_values
from automation.checks.account import Account
from automation.checks.before_launch import Connect
from automation.checks.finding import (
    CREDENTIALS,
    PERMISSIONS,
    QUOTA,
    STORAGE,
    Finding,
    State,
    has_no_credentials,
    of_refusal,
)
from automation.checks.hiding import Hiding
from automation.checks.machine import Machine
from automation.checks.stack_values import StackValues
from automation.cloud_api.refused import Refused
from automation.errors import Kind, Stopped
from automation.market import Need
from automation.offers import Market, Wanted, offers
from components import catalog
from components.catalog import PROVIDERS, InstanceType, UnknownName


@dataclass(frozen=True)
class Asked:
    """What `liftoff check` was asked for; empty means the stack's own, or the cheapest.

    Attributes:
        providers: the clouds; empty means all of them, of which those without credentials are passed over.
        regions: where.
        instance_types: the types, by the clouds' names.
        market: None takes the stack's.
    """

    providers: frozenset[str] = frozenset()
    regions: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    market: Market | None = None


def survey(
    project: Path,
    stack: str,
    asked: Asked,
    connect: Connect = account.connect,
    environment: Mapping[str, str] | None = None,
    limit_seconds: float = side_by_side.LIMIT_SECONDS,
) -> tuple[Finding, ...]:
    """Return what was found, cloud by cloud, and last of the bucket.

    Args:
        project: folder of the Pulumi program.
        stack: the stack whose values and secrets are used.
        asked: which clouds, places and machines.
        connect: opens a cloud's account, by provider, environment and region.
        environment: the variables of the clouds' providers; None takes this process's own.
        limit_seconds: how long each may take to answer.

    Raises:
        Stopped: a name is not known, or there is no project.
    """
    values = stack_values.read(project, stack, {})
    variables = values.environment(os.environ if environment is None else environment)
    hiding = Hiding(stack_values.hidden_values(values, variables))
    own = values.get("provider")
    named = asked.providers or frozenset({own})
    clouds = [
        _Cloud(name, machines(name, values, asked), named=name in named)
        for name in PROVIDERS
        if not asked.providers or name in asked.providers
    ]
    found = _Survey(connect, variables, limit_seconds).run(
        clouds, partial(bucket.look, values, at_cloud=bool(asked.providers))
    )
    return tuple(hiding.finding(finding) for finding in found)


def machines(provider: str, values: StackValues, asked: Asked) -> tuple[Machine, ...]:
    """Return the machines of one cloud that are to be looked up.

    Raises:
        Stopped: a name is not known.
    """
    wanted = Wanted(
        providers=frozenset(asked.providers),
        regions=frozenset(asked.regions),
        instance_types=frozenset(asked.instance_types),
    )
    try:
        catalog_market.check_names(wanted)
        if asked.instance_types:
            kinds = [kind for kind in catalog.instance_types(provider) if kind.name in asked.instance_types]
            return tuple(machine for kind in kinds for machine in _made(kind, values, asked))
        if values.get("provider") == provider and values.get("instanceType"):
            return tuple(_made(catalog.instance_type(provider, values.get("instanceType")), values, asked))
    except UnknownName as error:
        raise Stopped(Kind.CONFIGURATION, "not_in_catalog", str(error), "correct the name") from error
    return tuple(_cheapest(provider, values, asked))


def _made(kind: InstanceType, values: StackValues, asked: Asked) -> Iterator[Machine]:
    own = values.get("provider") == kind.provider
    network = (values.get("subnet"), values.get("resourceGroup")) if own else ("", "")
    regions = asked.regions or (values.get("region") if own else "",)
    for region in regions:
        for spot in _markets(kind.provider, values, asked):
            yield Machine(region or _cheapest_region(kind, spot=spot), kind, spot, *network)


def _markets(provider: str, values: StackValues, asked: Asked) -> tuple[bool, ...]:
    if asked.market is None:
        own = values.get("provider") == provider
        return (not (own and values.get("spot").lower() == "false"),)
    return {"spot": (True,), "on-demand": (False,), "auto": (True, False)}[asked.market]


def _cheapest_region(kind: InstanceType, *, spot: bool) -> str:
    priced = [
        (price, row.region)
        for row in catalog.prices(kind.provider, kind.name)
        if (price := row.spot if spot else row.on_demand) is not None
    ]
    return min(priced)[1] if priced else kind.regions[0]


def _cheapest(provider: str, values: StackValues, asked: Asked) -> Iterator[Machine]:
    """Return the cheapest machine that the stack's model fits, or the cheapest of all where the model is not known."""
    for spot in _markets(provider, values, asked):
        wanted = Wanted(
            providers=frozenset({provider}),
            regions=frozenset(asked.regions) & _regions(provider),
            market="spot" if spot else "on-demand",
        )
        if asked.regions and not wanted.regions:
            continue
        model = values.get("model")
        if model in {known.name for known in catalog.models()}:
            found = catalog_market.find(Need(model), wanted).offers
        else:
            found = offers(catalog_market.catalog_prices(catalog.instance_types(provider), wanted), wanted)
        if found:
            yield Machine(found[0].region, catalog.instance_type(provider, found[0].instance_type), spot)


def _regions(provider: str) -> frozenset[str]:
    return frozenset(region for kind in catalog.instance_types(provider) for region in kind.regions)


@dataclass(frozen=True)
class _Cloud:
    provider: str
    machines: tuple[Machine, ...]
    named: bool


@dataclass
class _Survey:
    connect: Connect
    environment: Mapping[str, str]
    limit: float
    accounts: dict[str, Account] = field(default_factory=dict)

    def run(self, clouds: Sequence[_Cloud], storage: Callable[[], tuple[Finding, ...]]) -> Iterator[Finding]:
        """Return the findings: first who asks, since without that nothing else can be asked."""
        first: dict[str, Callable[[], tuple[Finding, ...]]] = {
            cloud.provider: partial(self._who, cloud) for cloud in clouds
        }
        first[STORAGE] = storage
        who = side_by_side.run(first, self._late_who, self.limit)
        further: dict[tuple[str, str], Callable[[], tuple[Finding, ...]]] = {}
        for cloud in clouds:
            open_ = self.accounts.get(cloud.provider)
            if open_ is not None and who[cloud.provider][0].state is State.OK:
                further |= {
                    (cloud.provider, PERMISSIONS): partial(_rights, open_, cloud),
                    (cloud.provider, QUOTA): partial(_quotas, open_, cloud),
                }
        found = side_by_side.run(further, _late, self.limit)
        for cloud in clouds:
            yield from who[cloud.provider]
            for subject in (PERMISSIONS, QUOTA):
                yield from found.get((cloud.provider, subject), ())
        yield from who[STORAGE]

    def _who(self, cloud: _Cloud) -> tuple[Finding, ...]:
        region = cloud.machines[0].region if cloud.machines else ""
        try:
            with account.understood():
                found = self.connect(cloud.provider, self.environment, region)
                self.accounts[cloud.provider] = found
                return (found.who(),)
        except Refused as error:
            finding = of_refusal(cloud.provider, CREDENTIALS, error)
            if has_no_credentials(error) and not cloud.named:
                return (replace(finding, state=State.SKIPPED, kind=None),)
            return (finding,)

    def _late_who(self, subject: str, seconds: float) -> tuple[Finding, ...]:
        return bucket.late(seconds) if subject == STORAGE else _late((subject, CREDENTIALS), seconds)


def _late(of: tuple[str, str], seconds: float) -> tuple[Finding, ...]:
    provider, subject = of
    return (of_refusal(provider, subject, Refused("time_limit", f"no answer in {seconds:.0f} s")),)


def _rights(open_: Account, cloud: _Cloud) -> tuple[Finding, ...]:
    if not cloud.machines:
        return (Finding(cloud.provider, PERMISSIONS, State.SKIPPED, _NO_MACHINE),)
    # The same for all of them, but for what a spot machine needs in addition.
    machine = max(cloud.machines, key=lambda one: one.spot)
    try:
        with account.understood():
            return open_.rights(machine)
    except Refused as error:
        return (of_refusal(cloud.provider, PERMISSIONS, error),)


def _quotas(open_: Account, cloud: _Cloud) -> tuple[Finding, ...]:
    if not cloud.machines:
        return (Finding(cloud.provider, QUOTA, State.SKIPPED, _NO_MACHINE),)
    return tuple(_with_either(_quota(open_, cloud.provider, machine) for machine in cloud.machines))


_NO_MACHINE: Final = "none of the machines that were asked for is sold there"


def _quota(open_: Account, provider: str, machine: Machine) -> tuple[Machine, Finding]:
    try:
        with account.understood():
            return machine, quota.finding(provider, machine, open_.quotas(machine))
    except Refused as error:
        finding = of_refusal(provider, QUOTA, error)
        return machine, replace(finding, message=f"{machine}: {finding.message}")


def _with_either(found: Iterable[tuple[Machine, Finding]]) -> Iterator[Finding]:
    """Return the findings; with both markets allowed, room on one of them is enough for a launch."""
    known = list(found)
    ready = {(one.region, one.kind.name) for one, finding in known if finding.state is State.OK}
    for machine, finding in known:
        enough = finding.state is State.MISSING and (machine.region, machine.kind.name) in ready
        yield replace(finding, kind=None) if enough else finding
