"""Which addresses a source may put behind a mirror, and how they are called in the host.

A source decides where the traffic of the host's Pods goes. So what leads back into a node, or into
the host's own cluster, is refused always; and the operator may allow no more than some networks.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from .networks import MAPPED, Network, Plain, plain_of, read_network


class Reason(str, Enum):
    """Why an address is refused."""

    INVALID = "no address"
    UNSPECIFIED = "unspecified"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    API_SERVER = "the host's API server"
    SERVICE_RANGE = "a ClusterIP of the host"
    NOT_ALLOWED = "not allowed"


_ALWAYS = [
    (read_network(cidr), reason)
    for cidr, reason in (
        # Linux takes the first of them for the host itself, and all of them for none.
        ("0.0.0.0/8", Reason.UNSPECIFIED),
        ("127.0.0.0/8", Reason.LOOPBACK),
        ("169.254.0.0/16", Reason.LINK_LOCAL),
        ("224.0.0.0/4", Reason.MULTICAST),
        ("255.255.255.255/32", Reason.BROADCAST),
        ("::/128", Reason.UNSPECIFIED),
        ("::1/128", Reason.LOOPBACK),
        ("fe80::/10", Reason.LINK_LOCAL),
        ("ff00::/8", Reason.MULTICAST),
    )
]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The addresses of one network are called like those of another one of the same size."""

    before: Network
    after: Network

    def of(self, address: Plain) -> Plain:
        return self.after.version, self.after.first + address[1] - self.before.first


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What the operator says of a source's addresses.

    :ivar allowed: none for all that are not refused always.
    :ivar rewrites: the first that fits is applied, before anything is judged; see :func:`ordered`.
    """

    allowed: tuple[Network, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()


ANY = AddressRules()


@dataclass(frozen=True, slots=True)
class Reserved:
    """The host's own addresses, which no source may name.

    :ivar cluster_ips: those of its Services.
    :ivar service_ranges: what it takes those from, as far as that is known.
    :ivar api_servers: where its API is served.
    """

    cluster_ips: Container[Plain] = frozenset()
    service_ranges: tuple[Network, ...] = ()
    api_servers: Container[Plain] = frozenset()

    def refusal(self, address: Plain) -> Reason | None:
        if address in self.api_servers:
            return Reason.API_SERVER
        if address in self.cluster_ips:
            return Reason.SERVICE_RANGE
        for network in self.service_ranges:
            if network.holds(address):
                return Reason.SERVICE_RANGE
        return None


NOTHING = Reserved()


@lru_cache(maxsize=16384)
def _judged(text: str) -> Plain | Reason:
    """The address, or why it is refused in every host."""
    address = plain_of(text)
    if address is None:
        return Reason.INVALID
    return next((reason for network, reason in _ALWAYS if network.holds(address)), address)


def refusal_of(text: str, rules: AddressRules, reserved: Reserved) -> Reason | None:
    """Why nothing may be sent to this address, which is rewritten already; None if it may."""
    address = _judged(text)
    if isinstance(address, Reason):
        return address
    if (own := reserved.refusal(address)) is not None:
        return own
    if rules.allowed and not any(network.holds(address) for network in rules.allowed):
        return Reason.NOT_ALLOWED
    return None


def rewritten(text: str, rules: AddressRules) -> str:
    """The address as it is called in the host."""
    address = plain_of(text) if rules.rewrites else None
    if address is None:
        return text
    for rewrite in rules.rewrites:
        if rewrite.before.holds(address):
            version, number = rewrite.of(address)
            if version == 6:
                return str(ipaddress.IPv6Address(number))
            if ":" in text:
                return str(ipaddress.IPv6Address(MAPPED << 32 | number))
            return str(ipaddress.IPv4Address(number))
    return text


def ordered(rewrites: Iterable[Rewrite]) -> tuple[Rewrite, ...]:
    """The longest prefix first; of equal ones the first stays the first."""
    return tuple(sorted(rewrites, key=lambda rewrite: rewrite.before.size))


def read_rewrite(text: str) -> Rewrite:
    """``FROM=TO``.

    :raises ValueError: telling what is valid.
    """
    before, equals, after = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not of the form FROM=TO, as 10.1.0.0/16=100.64.0.0/16 is")
    rewrite = Rewrite(read_network(before), read_network(after))
    one, other = rewrite.before, rewrite.after
    if (one.version, one.size) != (other.version, other.size):
        raise ValueError(f"{text!r} has prefixes of different lengths or families")
    return rewrite
