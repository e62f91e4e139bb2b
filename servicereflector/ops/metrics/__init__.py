"""Prometheus metrics, read off the program's parts when they are asked for.

What is counted is counted as it happens: a scrape costs what there are sources, not what they have.
Two names are the Go program's: service_reflector_reconcile_attempts_total and
service_reflector_reconcile_errors_total. One is Kubernetes' own: leader_election_master_status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime

from ...access.gate import Access
from ...election.service import LeaderElection
from ...emitter.bounds import Reads
from ...emitter.certificates import Certificates
from ...emitter.streams import StreamStats
from ...listwatch.informer import Informer
from ...reflector.comparison import Comparison
from ...reflector.controller import Controller
from ..channels import Connections
from ..turns import Turns
from . import emitter, informers, process, reflector


def make_registry(collector: Collector) -> CollectorRegistry:
    """A registry with the process's own metrics and the program's."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(collector)
    return registry


class ProgramCollector(Collector):
    """
    :param streams: the Emitter's, None without that role.
    :param controller: the Reflector's, None without that role.
    :param comparison: None where nothing is compared.
    :param election: None where the Reflector is alone.
    :param turns: the reactor's, None where they are not measured.
    :param certificates: what the Emitter shows, None where it speaks no TLS.
    :param access: who may ask the Emitter, None where everybody may.
    :param reads: of the Emitter's clients, None without that role.
    :param connections: of the Emitter's clients, None without that role.
    :param quotas: tells which part of each quota of a source is used.
    """

    def __init__(
        self,
        clock: IReactorTime,
        informers: Sequence[Informer],
        streams: StreamStats | None,
        controller: Controller | None,
        comparison: Comparison | None = None,
        election: LeaderElection | None = None,
        turns: Turns | None = None,
        certificates: Certificates | None = None,
        access: Access | None = None,
        reads: Reads | None = None,
        connections: Connections | None = None,
        quotas: Callable[[], Mapping[str, Mapping[str, float]]] = dict,
    ) -> None:
        self._clock = clock
        self._informers = informers
        self._streams = streams
        self._controller = controller
        self._comparison = comparison
        self._election = election
        self._turns = turns
        self._certificates = certificates
        self._access = access
        self._reads = reads
        self._connections = connections
        self._quotas = quotas

    def collect(self) -> Iterator[Metric]:
        yield process.of_version()
        if self._turns is not None:
            yield from process.of_turns(self._turns)
        if self._election is not None:
            yield process.of_election(self._election)
        yield from informers.of_informers(self._informers, self._clock.seconds())
        if self._controller is not None:
            yield from reflector.of_controller(self._controller)
            yield from reflector.of_delays(self._controller)
            yield informers.of_quotas(self._quotas())
        if self._comparison is not None:
            yield from reflector.of_comparison(self._comparison.stats)
        if self._streams is not None:
            yield from emitter.of_streams(self._streams)
            yield emitter.of_limits(self._reads, self._connections)
        if self._certificates is not None:
            yield emitter.of_certificates(self._certificates)
        if self._reads is not None:
            yield from emitter.of_reads(self._reads)
        if self._connections is not None:
            yield emitter.of_connections(self._connections)
        if self._access is not None:
            yield from emitter.of_access(self._access)
