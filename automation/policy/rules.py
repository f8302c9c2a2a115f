"""The rules themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from automation.policy.openings import SSH, openings
from automation.policy.rule import Finding, Resource, Rule, Severity
from automation.policy.settings import PolicySettings
from automation.preview import cost
from automation.preview.steps import at
from automation.stages import MACHINE_TYPES

# Which of the resources that a node has can be marked, and where.
_TAGGED: Final = {
    "aws:ec2/vpc:Vpc": "tags",
    "aws:ec2/subnet:Subnet": "tags",
    "aws:ec2/internetGateway:InternetGateway": "tags",
    "aws:ec2/routeTable:RouteTable": "tags",
    "aws:ec2/securityGroup:SecurityGroup": "tags",
    "aws:ec2/eip:Eip": "tags",
    "aws:ec2/keyPair:KeyPair": "tags",
    "aws:ec2/instance:Instance": "tags",
    "aws:ebs/volume:Volume": "tags",
    "azure-native:resources:ResourceGroup": "tags",
    "azure-native:network:PublicIPAddress": "tags",
    "azure-native:network:VirtualNetwork": "tags",
    "azure-native:network:NetworkSecurityGroup": "tags",
    "azure-native:network:NetworkInterface": "tags",
    "azure-native:compute:VirtualMachine": "tags",
    "gcp:compute/address:Address": "labels",
    "gcp:compute/instance:Instance": "labels",
}
_MARKED_MACHINES: Final = MACHINE_TYPES & _TAGGED.keys()
_EXPIRY: Final = "liftoff-expires"
_SESSION: Final = "liftoff:index:BootSession"


@dataclass(frozen=True)
class OpenIngress:
    """Nobody from anywhere, unless a port is said to be for everybody."""

    allowed: frozenset[int]
    id: str = "open-ingress"
    title: str = "No port may be reached from anywhere unless it is said to be"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each source that is everybody."""
        for opening in openings(resources):
            one = opening.first if opening.first == opening.last else None
            # Port 22 alone has a rule of its own.
            if opening.from_anywhere and one != SSH and one not in self.allowed:
                yield Finding(
                    self.id,
                    self.severity,
                    opening.resource.urn,
                    opening.path,
                    f"{opening.source!r}, which opens {opening.ports} to everybody",
                    "name who may reach it: pulumi config set --path 'liftoff:allowedCidrs[0]' 203.0.113.7/32; "
                    "or add the port to allowOpenPorts in policy.yaml",
                    "allowedCidrs",
                )


@dataclass(frozen=True)
class PublicSsh:
    """SSH is never for everybody."""

    id: str = "public-ssh"
    title: str = "SSH may not be reached from anywhere"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each source that is everybody and reaches port 22."""
        for opening in openings(resources):
            if opening.from_anywhere and opening.covers(SSH):
                yield Finding(
                    self.id,
                    self.severity,
                    opening.resource.urn,
                    opening.path,
                    f"{opening.source!r}, which opens SSH to everybody",
                    "name the networks: pulumi config set --path 'liftoff:sshAllowedCidrs[0]' 203.0.113.7/32; "
                    "or remove liftoff:sshAllowedCidrs",
                    "sshAllowedCidrs",
                )


@dataclass(frozen=True)
class DiskEncryption:
    """Disks are encrypted. Azure's managed disks and Google's always are, so only what turns it off is found there."""

    id: str = "disk-encryption"
    title: str = "Disks have to be encrypted"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each disk that is not."""
        for resource in resources:
            for path in self._plain(resource):
                found = at(resource.inputs, path)
                yield Finding(
                    self.id,
                    self.severity,
                    resource.urn,
                    path,
                    "not set" if found is None else _shown(found),
                    f"set {path} so that the disk is encrypted (components/)",
                )

    def _plain(self, resource: Resource) -> Iterator[str]:
        if resource.type == "aws:ec2/instance:Instance":
            blocks = resource.inputs.get("ebsBlockDevices") or []
            for path in ("rootBlockDevice", *(f"ebsBlockDevices[{index}]" for index in range(len(blocks)))):
                if at(resource.inputs, f"{path}.encrypted") is not True:
                    yield f"{path}.encrypted"
        elif resource.type == "aws:ebs/volume:Volume" and resource.inputs.get("encrypted") is not True:
            yield "encrypted"
        elif resource.type == "azure-native:compute:VirtualMachine":
            # A disk in a storage account of one's own is encrypted only if that is.
            managed = "storageProfile.osDisk.managedDisk"
            yield from [managed] if at(resource.inputs, managed) is None else []


@dataclass(frozen=True)
class Imdsv2:
    """AWS's metadata service asks for a session token.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
    """

    id: str = "imdsv2"
    title: str = "The metadata service has to ask for a token (IMDSv2)"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each machine whose metadata every process with a hole can read."""
        path = "metadataOptions.httpTokens"
        for resource in resources:
            if resource.type == "aws:ec2/instance:Instance":
                off = at(resource.inputs, "metadataOptions.httpEndpoint") == "disabled"
                found = at(resource.inputs, path)
                if found != "required" and not off:
                    fix = f"set {path} to required (components/aws.py)"
                    yield Finding(self.id, self.severity, resource.urn, path, _shown(found), fix)


@dataclass(frozen=True)
class SpotPriceCap:
    """A spot machine has a highest price. Google's has none to set."""

    id: str = "spot-price-cap"
    title: str = "A spot machine should have a highest price"
    severity: Severity = "advisory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each spot machine that may cost as much as an on-demand one."""
        for resource in resources:
            machine = cost.machine(resource.type, resource.inputs)
            if machine is not None and machine.spot and machine.provider != "gcp" and not machine.max_price:
                paths = {"aws": "instanceMarketOptions.spotOptions.maxPrice", "azure": "billingProfile.maxPrice"}
                yield Finding(
                    self.id,
                    self.severity,
                    resource.urn,
                    paths[machine.provider],
                    "not set: up to the on-demand price",
                    "say the most to pay in USD/hour: pulumi config set liftoff:maxPricePerHour 0.60",
                    "maxPricePerHour",
                )


@dataclass(frozen=True)
class RequiredTags:
    """Everything that can be marked says whose it is."""

    keys: tuple[str, ...]
    id: str = "required-tags"
    title: str = "Resources have to carry the tags that say whose they are"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each resource without one of them."""
        for resource in resources:
            where = _TAGGED.get(resource.type)
            marks = (resource.inputs.get(where) or {}) if where else {}
            missing = [key for key in self.keys if not marks.get(key)] if where else []
            if where and missing:
                yield Finding(
                    self.id,
                    self.severity,
                    resource.urn,
                    where,
                    f"without {', '.join(missing)}",
                    "pulumi config set liftoff:owner NAME sets liftoff-owner; others are set in components/tags.py, "
                    "or take them out of requiredTags in policy.yaml",
                    "owner" if "liftoff-owner" in missing else "",
                )


@dataclass(frozen=True)
class Expiry:
    """A node has an end, and not too late a one."""

    most_hours: float
    id: str = "expiry"
    title: str = "A node has to end itself in time"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each machine that is not marked with its end, and each lifetime that is too long."""
        for resource in resources:
            if resource.type in _MARKED_MACHINES:
                where = _TAGGED[resource.type]
                if not (resource.inputs.get(where) or {}).get(_EXPIRY):
                    fix = f"mark the machine with its end: {_EXPIRY}, as components/tags.py does"
                    yield Finding(self.id, self.severity, resource.urn, where, f"without {_EXPIRY}", fix)
            hours = _number(resource.inputs.get("lifetimeSeconds")) / 3600 if resource.type == _SESSION else 0.0
            if self.most_hours and hours > self.most_hours:
                yield Finding(
                    self.id,
                    self.severity,
                    resource.urn,
                    "lifetimeSeconds",
                    f"{hours:g} hours; allowed: {self.most_hours:g}",
                    f"pulumi config set liftoff:lifetimeSeconds {self.most_hours * 3600:.0f}",
                    "lifetimeSeconds",
                )


@dataclass(frozen=True)
class AllowedRegions:
    """Machines are where they may be."""

    patterns: tuple[str, ...]
    id: str = "allowed-regions"
    title: str = "Machines may only be in allowed regions"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each machine that is elsewhere."""
        for resource in resources:
            machine = cost.machine(resource.type, resource.inputs)
            if machine is not None and not _matches(machine.region, self.patterns):
                path = {"aws": "region", "azure": "location", "gcp": "zone"}[machine.provider]
                found = f"{machine.region!r}; allowed: {', '.join(self.patterns)}"
                fix = "pulumi config set liftoff:region REGION, or add it to allowedRegions in policy.yaml"
                yield Finding(self.id, self.severity, resource.urn, path, found, fix, "region")


@dataclass(frozen=True)
class AllowedTypes:
    """Machines are of the types that they may be."""

    patterns: tuple[str, ...]
    id: str = "allowed-types"
    title: str = "Machines may only be of allowed types"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return each machine of another type."""
        paths = {"aws": "instanceType", "azure": "hardwareProfile.vmSize", "gcp": "machineType"}
        for resource in resources:
            machine = cost.machine(resource.type, resource.inputs)
            if machine is not None and not _matches(machine.instance_type, self.patterns):
                found = f"{machine.instance_type!r}; allowed: {', '.join(self.patterns)}"
                fix = "pulumi config set liftoff:instanceType TYPE, or add it to allowedTypes in policy.yaml"
                yield Finding(self.id, self.severity, resource.urn, paths[machine.provider], found, fix, "instanceType")


@dataclass(frozen=True)
class Budget:
    """The stack costs at most so much in a month of 730 hours. What has no price is told only."""

    most: float
    id: str = "budget"
    title: str = "The stack has to stay within its budget"
    severity: Severity = "mandatory"

    def check(self, resources: Sequence[Resource]) -> Iterator[Finding]:
        """Return that it costs too much, or that this can't be told."""
        if not self.most:
            return
        found = cost.of((resource.type, resource.inputs) for resource in resources)
        fix = "take a cheaper type or market (liftoff offers MODEL), or raise budgetUsdPerMonth in policy.yaml"
        if found.monthly > self.most:
            text = f"about {found.monthly:.2f} USD a month; allowed: {self.most:g}"
            yield Finding(self.id, self.severity, "", "", text, fix, "instanceType")
        elif found.unknown:
            text = f"no price is known of {', '.join(found.unknown)}, so that the budget can't be held to them"
            yield Finding(
                self.id, "advisory", "", "", text, "look the price up: liftoff catalog update", "instanceType"
            )


def rules(settings: PolicySettings) -> tuple[Rule, ...]:
    """Return the rules of a stack."""
    return (
        OpenIngress(frozenset(settings.allow_open_ports)),
        PublicSsh(),
        DiskEncryption(),
        Imdsv2(),
        SpotPriceCap(),
        RequiredTags(settings.required_tags),
        Expiry(settings.max_lifetime_hours),
        AllowedRegions(settings.allowed_regions),
        AllowedTypes(settings.allowed_types),
        Budget(settings.budget_usd_per_month),
    )


def check(resources: Iterable[Resource], settings: PolicySettings) -> tuple[Finding, ...]:
    """Return what the rules find, mandatory findings first."""
    ordered = sorted(resources, key=lambda resource: resource.urn)
    severities: Mapping[str, Severity | Literal["off"]] = dict(settings.severities.items())
    found = [
        finding if level is None else replace(finding, severity=level)
        for rule in rules(settings)
        for level in [severities.get(rule.id)]
        if level != "off"
        for finding in rule.check(ordered)
    ]
    return tuple(sorted(found, key=lambda one: one.severity != "mandatory"))


OF_OFFER: Final = frozenset({"allowed-regions", "allowed-types", "budget"})
"""Rules that can be held to an offer before any preview."""


def of_offer(instance_type: str, region: str, price: float, settings: PolicySettings) -> tuple[Finding, ...]:
    """Return the mandatory findings on a machine of this type and place at this price in USD/hour."""
    monthly = price * cost.HOURS_PER_MONTH
    budget = settings.budget_usd_per_month
    found = {
        "allowed-regions": ""
        if _matches(region, settings.allowed_regions)
        else f"the region is {region!r}; allowed: {', '.join(settings.allowed_regions)}",
        "allowed-types": ""
        if _matches(instance_type, settings.allowed_types)
        else f"the type is {instance_type!r}; allowed: {', '.join(settings.allowed_types)}",
        "budget": f"the machine alone is {monthly:.2f} USD a month; allowed: {budget:g}"
        if budget and monthly > budget
        else "",
    }
    severities: Mapping[str, str] = dict(settings.severities.items())
    return tuple(
        Finding(rule, "mandatory", "", "", text, "change policy.yaml")
        for rule, text in found.items()
        if text and severities.get(rule, "mandatory") == "mandatory"
    )


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def _shown(value: Any) -> str:  # noqa: ANN401 - JSON
    return "not set" if value is None else repr(value)
