"""Who may reach which port: the three clouds' ways to say it, as one."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from automation.policy.rule import Resource

SSH: Final = 22
_ALL: Final = (0, 65535)
# Azure's words for everybody: https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
_ANYWHERE: Final = frozenset({"*", "internet", "any"})


@dataclass(frozen=True)
class Opening:
    """A source that is let in.

    Attributes:
        resource: the resource that lets it in.
        path: the property that names the source.
        first: first port.
        last: last port.
        source: a network, or a cloud's word for one.
    """

    resource: Resource
    path: str
    first: int
    last: int
    source: str

    @property
    def from_anywhere(self) -> bool:
        """Whether that is everybody."""
        try:
            # Half of all addresses is nobody's own network.
            return ip_network(self.source, strict=False).prefixlen <= 1
        except ValueError:
            return self.source.lower() in _ANYWHERE

    def covers(self, port: int) -> bool:
        """Tell whether a port is open."""
        return self.first <= port <= self.last

    @property
    def ports(self) -> str:
        """The ports in words."""
        return (
            "every port"
            if (self.first, self.last) == _ALL
            else (f"port {self.first}" if self.first == self.last else f"ports {self.first} to {self.last}")
        )


def openings(resources: Iterable[Resource]) -> Iterator[Opening]:
    """Return everything that is let in."""
    for resource in resources:
        read = _READERS.get(resource.type)
        if read is not None:
            yield from read(resource)


def _aws_group(resource: Resource) -> Iterator[Opening]:
    for index, rule in enumerate(_objects(resource.inputs.get("ingress"))):
        yield from _aws(resource, rule, f"ingress[{index}].")


def _aws_rule(resource: Resource) -> Iterator[Opening]:
    if resource.inputs.get("type", "ingress") == "ingress":
        yield from _aws(resource, resource.inputs, "")


def _aws(resource: Resource, rule: Mapping[str, Any], path: str) -> Iterator[Opening]:
    protocol = str(rule.get("protocol") or rule.get("ipProtocol") or "")
    first, last = (
        _ALL if protocol in ("-1", "all") else (_port(rule.get("fromPort"), 0), _port(rule.get("toPort"), 65535))
    )
    for key in ("cidrBlocks", "ipv6CidrBlocks"):
        for number, source in enumerate(rule.get(key) or []):
            yield Opening(resource, f"{path}{key}[{number}]", first, last, str(source))
    for key in ("cidrIpv4", "cidrIpv6"):
        if rule.get(key):
            yield Opening(resource, f"{path}{key}", first, last, str(rule[key]))


def _azure_group(resource: Resource) -> Iterator[Opening]:
    for index, rule in enumerate(_objects(resource.inputs.get("securityRules"))):
        yield from _azure(resource, rule, f"securityRules[{index}].")


def _azure_rule(resource: Resource) -> Iterator[Opening]:
    yield from _azure(resource, resource.inputs, "")


def _azure(resource: Resource, rule: Mapping[str, Any], path: str) -> Iterator[Opening]:
    if rule.get("direction") != "Inbound" or rule.get("access") != "Allow":
        return
    ranges = [
        *(rule.get("destinationPortRanges") or []),
        *([rule.get("destinationPortRange")] if rule.get("destinationPortRange") else []),
    ]
    sources = [
        (f"{path}sourceAddressPrefixes[{number}]", one)
        for number, one in enumerate(rule.get("sourceAddressPrefixes") or [])
    ]
    if rule.get("sourceAddressPrefix"):
        sources.append((f"{path}sourceAddressPrefix", rule["sourceAddressPrefix"]))
    for first, last in map(_range, ranges or ["*"]):
        for where, source in sources:
            yield Opening(resource, where, first, last, str(source))


def _gcp(resource: Resource) -> Iterator[Opening]:
    inputs = resource.inputs
    if inputs.get("direction", "INGRESS") != "INGRESS" or inputs.get("disabled") or not inputs.get("allows"):
        return
    ports = [port for allow in _objects(inputs["allows"]) for port in allow.get("ports") or ["*"]]
    sources = inputs.get("sourceRanges")
    if sources is None and not inputs.get("sourceTags") and not inputs.get("sourceServiceAccounts"):
        # https://cloud.google.com/firewall/docs/firewalls#sources: without any source it is everybody.
        sources = ["0.0.0.0/0"]
    for first, last in map(_range, ports):
        for number, source in enumerate(sources or []):
            yield Opening(resource, f"sourceRanges[{number}]", first, last, str(source))


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _range(text: object) -> tuple[int, int]:
    if str(text) == "*":
        return _ALL
    first, _, last = str(text).partition("-")
    return _port(first, 0), _port(last or first, 65535)


def _port(value: object, unknown: int) -> int:
    try:
        return int(float(str(value)))
    except ValueError:
        return unknown


_READERS: Final = {
    "aws:ec2/securityGroup:SecurityGroup": _aws_group,
    "aws:ec2/securityGroupRule:SecurityGroupRule": _aws_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _aws_rule,
    "azure-native:network:NetworkSecurityGroup": _azure_group,
    "azure-native:network:SecurityRule": _azure_rule,
    "gcp:compute/firewall:Firewall": _gcp,
}
