"""Who a client is, and how much of something each may have at a time."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass

from ..kube.status import ApiError


@dataclass(frozen=True, slots=True)
class Bound:
    """How many there may be at a time, 0 for any number."""

    all: int = 0
    per_client: int = 0


UNBOUND = Bound()


def client_of(host: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address, which one machine has for itself.

    :param host: an address; what is none, as of a Unix socket, is a client as it stands.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:  # a socket of both families tells it so
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


class Full(Exception):
    """
    :ivar reason: for counting: what there is too much of.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Places:
    """So many in all, and so many of each client.

    :param kind: what is counted, such as ``watches``.
    """

    def __init__(self, kind: str, bound: Bound) -> None:
        self._kind = kind
        self._bound = bound
        self._taken: Counter[str] = Counter()
        self.count = 0

    @property
    def full(self) -> bool:
        return 0 < self._bound.all <= self.count

    @property
    def used(self) -> float | None:
        """Which part of all places is taken, None where there is any number."""
        return self.count / self._bound.all if self._bound.all else None

    @property
    def clients(self) -> int:
        """How many have any."""
        return len(self._taken)

    def check(self, client: str) -> None:
        """
        :raises Full: there is no place for the client.
        """
        if 0 < self._bound.per_client <= self._taken[client]:
            raise Full(f"{self._kind}_per_client")
        if self.full:
            raise Full(self._kind)

    def take(self, client: str) -> None:
        self.count += 1
        self._taken[client] += 1

    def leave(self, client: str) -> None:
        self.count -= 1
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]


def too_many(full: Full) -> ApiError:
    kind, _, of_one = full.reason.partition("_per_")
    whose = f"this {of_one}" if of_one else "all clients"
    return ApiError(
        429, f"Too many requests: {whose} may have no more {kind} at a time", retry_after=1
    )
