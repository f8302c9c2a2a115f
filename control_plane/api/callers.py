"""Who asks, as far as the connection tells."""

from ipaddress import IPv6Address, ip_address
from typing import Final

from starlette.requests import HTTPConnection

_IPV6_PREFIX: Final = 64
"""One customer's network has this prefix at least, and every address in it: https://www.rfc-editor.org/rfc/rfc6177."""


def address_of(request: HTTPConnection) -> str:
    """Return the address that a request came from; of IPv6 its network, whose addresses are one caller's to choose."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    network = int(address) >> (128 - _IPV6_PREFIX) << (128 - _IPV6_PREFIX)
    return f"{IPv6Address(network)}/{_IPV6_PREFIX}"
