"""Networks as numbers: whether an address is in one of them is asked for every endpoint."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

#: An address as its IP version and its number; an IPv4-mapped one is the IPv4 that it stands for.
Plain = tuple[int, int]

#: The first bits of IPv4-mapped IPv6 addresses.
MAPPED = 0xFFFF


class Network(NamedTuple):
    """The addresses from the first to the last, as numbers."""

    version: int
    first: int
    last: int

    def holds(self, address: Plain) -> bool:
        return self.version == address[0] and self.first <= address[1] <= self.last

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @classmethod
    def of(cls, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Network:
        first, last = int(network.network_address), int(network.broadcast_address)
        if network.version == 6 and first >> 32 == last >> 32 == MAPPED:
            return cls(4, first & 0xFFFFFFFF, last & 0xFFFFFFFF)
        return cls(network.version, first, last)


@lru_cache(maxsize=16384)
def plain_of(text: str) -> Plain | None:
    """None for what is no address to the API, which takes neither a zone nor leading zeros."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text:
        return None
    number = int(address)
    if address.version == 6 and number >> 32 == MAPPED:
        return 4, number & 0xFFFFFFFF
    return address.version, number


def read_network(text: str) -> Network:
    """A CIDR, or one address.

    :raises ValueError: telling what is valid.
    """
    try:
        return Network.of(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network: say a CIDR such as 10.1.0.0/16") from None
    raise ValueError(f"{text!r} has bits beyond its prefix: say {network}")


#: How the API server says of an address that it has no such cluster IPs. Since 1.20 the words
#: before that have changed, these have not (pkg/registry/core/service/ipallocator).
_RANGE = re.compile(r"range of valid IPs is ([0-9A-Fa-f.:]+/[0-9]{1,3})")


def told_ranges(message: str) -> tuple[Network, ...]:
    """The ranges of cluster IPs that the refusal of an impossible one names."""
    found = []
    for cidr in _RANGE.findall(message):
        try:
            found.append(Network.of(ipaddress.ip_network(cidr, strict=False)))
        except ValueError:
            continue
    return tuple(found)
