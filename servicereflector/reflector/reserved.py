"""The host's own addresses, which no source may put behind a mirror, as far as they are known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from urllib.parse import urlsplit

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..kube.subsets import flatten
from ..mirror.addresses import Reserved
from ..mirror.networks import Network, Plain, plain_of
from ..store.versioned import Store

#: Seconds. Every mirror that is created has a new ClusterIP, too.
DELAY = 30.0

#: Services that are read in one turn of the reactor: a few milliseconds' worth.
PART = 250

#: The Service of a cluster's own API.
_API = "default/kubernetes"

#: The members of a Service's spec that have its addresses, as they stand in a record's JSON. To
#: parse all Services of a cluster would hold up the reactor.
_CLUSTER_IPS = re.compile(rb'"clusterIPs?":("[^"]*"|\[[^]]*\])')
_TEXT = re.compile(rb'"([^"]*)"')


class HostAddresses(Service):
    """Follows the host's Services and the Endpoints of its API.

    :ivar ranges: what ClusterIPs are taken from, as far as that is known.
    :param url: of the host's API server.
    :param changed: called when other addresses are refused than before; after a while where it is
        ClusterIPs of which no range told, which are seldom behind a mirror.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        services: Store,
        endpoints: Store,
        url: str,
        ranges: Iterable[Network] = (),
        *,
        changed: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self.ranges = tuple(ranges)
        self._services = services
        self._endpoints = endpoints
        self._changed = changed
        self._by_service: dict[str, set[Plain]] = {}
        self._cluster_ips: Counter[Plain] = Counter()
        named = plain_of(urlsplit(url).hostname or "") if url else None
        self._named = frozenset() if named is None else frozenset({named})
        self._api_servers = self._named
        self._reserved: Reserved | None = None
        self._later: IDelayedCall | None = None
        self._pending: dict[str, None] = {}
        self._next_part: IDelayedCall | None = None
        self._subscriptions: list[Callable[[], None]] = []

    def startService(self) -> None:
        Service.startService(self)
        self._services_changed(tuple({*self._by_service, *(r.key for r in self._services)}))
        self._endpoints_changed((_API,))
        self._subscriptions = [
            self._services.subscribe(self._services_changed),
            self._endpoints.subscribe(self._endpoints_changed),
        ]

    def stopService(self) -> None:
        Service.stopService(self)
        while self._subscriptions:
            self._subscriptions.pop()()
        if self._next_part is not None:
            self._next_part.cancel()
            self._next_part = None
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def reserved(self) -> Reserved:
        if self._reserved is None:
            self._reserved = Reserved(self._cluster_ips, self.ranges, self._api_servers)
        return self._reserved

    def learn(self, ranges: Iterable[Network]) -> None:
        """These are the ranges from now on."""
        self.ranges = tuple(ranges)
        self._reserved = None
        self._stop_waiting()
        self._changed()

    def _services_changed(self, keys: tuple[str, ...]) -> None:
        """At once, where they are few; a new list in parts, each in a turn of its own."""
        self._pending.update(dict.fromkeys(keys))
        if self._next_part is None:
            self._look_at_part()

    def _look_at_part(self) -> None:
        self._next_part = None
        keys = list(islice(self._pending, PART))
        for key in keys:
            del self._pending[key]
        self._read(keys)
        if self._pending:
            self._next_part = self._reactor.callLater(0, self._look_at_part)

    def _read(self, keys: Iterable[str]) -> None:
        news = False
        for key in keys:
            record = self._services.get(key)
            before = self._by_service.pop(key, set())
            after = set() if record is None else _cluster_ips(record.body)
            if after:
                self._by_service[key] = after
            self._cluster_ips.update(after - before)
            for gone in before - after:
                self._cluster_ips[gone] -= 1
                if not self._cluster_ips[gone]:
                    del self._cluster_ips[gone]
            for address in before ^ after:
                news = news or not any(network.holds(address) for network in self.ranges)
        if news and self._later is None:
            self._later = self._reactor.callLater(DELAY, self._look)

    def _look(self) -> None:
        self._later = None
        self._changed()

    def _endpoints_changed(self, keys: tuple[str, ...]) -> None:
        if _API not in keys:
            return
        record = self._endpoints.get(_API)
        subsets = record.document().get("subsets") if record is not None else None
        told = (plain_of(address.ip) for address, _ in flatten(subsets))
        found = self._named | {address for address in told if address is not None}
        if found != self._api_servers:
            self._api_servers, self._reserved = found, None
            self._changed()


def _cluster_ips(body: bytes) -> set[Plain]:
    members = b"".join(_CLUSTER_IPS.findall(body))
    told = (plain_of(text.decode("utf-8", "replace")) for text in _TEXT.findall(members))
    return {address for address in told if address is not None}
