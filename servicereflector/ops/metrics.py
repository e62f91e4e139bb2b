"""Prometheus metrics, read off the program's parts when they are asked for.

Two names are the Go program's: service_reflector_reconcile_attempts_total and
service_reflector_reconcile_errors_total. One is Kubernetes' own: leader_election_master_status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime

from .. import __version__
from ..access.gate import Access
from ..election.service import LeaderElection
from ..emitter.bounds import Reads
from ..emitter.certificates import Certificates
from ..emitter.streams import StreamStats
from ..listwatch.informer import Informer
from ..mirror.freshness import Freshness
from ..mirror.states import State
from ..reflector.comparison import Comparison, ComparisonStats
from ..reflector.controller import Controller
from .channels import Connections
from .turns import BUCKETS, Turns

_PREFIX = "service_reflector_"


def make_registry(collector: Collector) -> CollectorRegistry:
    """A registry with the process's own metrics and the program's."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(collector)
    return registry


# A family's values are by the values of its labels.


def _counter(
    name: str, told: str, values: Mapping[Any, float], labels: Sequence[str] = ()
) -> Metric:
    metric = CounterMetricFamily(_PREFIX + name, told, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def _gauge(name: str, told: str, values: Mapping[Any, float], labels: Sequence[str] = ()) -> Metric:
    metric = GaugeMetricFamily(_PREFIX + name, told, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


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

    def collect(self) -> Iterator[Metric]:
        yield _gauge("build_info", "The version that runs.", {(__version__,): 1}, ["version"])
        if self._turns is not None:
            yield from self._of_turns(self._turns)
        yield from self._of_informers()
        if self._streams is not None:
            yield from self._of_streams(self._streams)
        if self._controller is not None:
            yield from self._of_controller(self._controller)
        if self._comparison is not None:
            yield from self._of_comparison(self._comparison.stats)
        if self._election is not None:
            yield self._of_election(self._election)
        if self._certificates is not None:
            yield _gauge(
                "emitter_certificate_expiry_timestamp_seconds",
                "When the certificate that the Emitter shows ends.",
                {(): self._certificates.shown.expires},
            )
        if self._reads is not None:
            yield from self._of_reads(self._reads)
        if self._connections is not None:
            yield _gauge(
                "emitter_connections",
                "Open connections of the Emitter's clients.",
                {(): len(self._connections)},
            )
        if self._access is not None:
            yield from self._of_access(self._access)

    @staticmethod
    def _of_access(access: Access) -> Iterator[Metric]:
        yield _counter(
            "emitter_refused_requests",
            "Requests of whom nobody knows, and for what they may not have.",
            {(str(code),): count for code, count in access.stats.refused.items()},
            ["code"],
        )
        yield _gauge(
            "emitter_access_files_bad",
            "How many of the files that say who may ask cannot be used as they are now.",
            {(): len(access.problems)},
        )

    @staticmethod
    def _of_reads(reads: Reads) -> Iterator[Metric]:
        yield _gauge("emitter_lists", "Lists under way.", {(): reads.lists.count})
        yield _counter(
            "emitter_limits",
            "How often a client of the Emitter came up against a limit.",
            {(reason,): count for reason, count in reads.refusals.counts.items()},
            ["limit"],
        )

    @staticmethod
    def _of_turns(turns: Turns) -> Iterator[Metric]:
        bounds = [*map(str, BUCKETS), "+Inf"]
        yield HistogramMetricFamily(
            _PREFIX + "reactor_turn_seconds",
            "How long the reactor did one thing after the other before it looked for new ones.",
            buckets=list(zip(bounds, accumulate(turns.counts), strict=True)),
            sum_value=turns.total,
        )
        took, computed = turns.longest()
        yield _gauge(
            "reactor_longest_turn_seconds", "The longest turn of the last five minutes.", {(): took}
        )
        yield _gauge(
            "reactor_longest_turn_cpu_seconds",
            "The most that one turn of the last five minutes computed.",
            {(): computed},
        )

    def _of_informers(self) -> Iterator[Metric]:
        labels = ("source", "resource")
        followed = {(i.source, i.store.resource.plural): i for i in self._informers}
        counters = {
            "lists": "Lists begun.",
            "watches": "Watches begun.",
            "events": "Watch events received, bookmarks apart.",
            "bookmarks": "Bookmarks received.",
            "bad_objects": "Objects and lines that could not be used, the rejected ones included.",
            "restored": "Lists believed that were older than what had been seen.",
            "troubles": "Failed lists and watches, each followed by a reconnect.",
        }
        names = {"events": "watch_events", "restored": "restores", "troubles": "reconnects"}
        for member, told in counters.items():
            values = {key: float(getattr(i.stats, member)) for key, i in followed.items()}
            yield _counter(names.get(member, member), told, values, labels)
        yield _gauge(
            "objects",
            "Objects known.",
            {key: float(len(i.store)) for key, i in followed.items()},
            labels,
        )
        yield _gauge(
            "connected",
            "Whether the last list or watch succeeded.",
            {key: float(i.stats.connected) for key, i in followed.items()},
            labels,
        )
        yield _counter(
            "rejections",
            "Objects of sources, and lines, that were rejected, by the rule that they break.",
            {
                (*key, reason): float(count)
                for key, i in followed.items()
                for reason, count in i.rejections.counts.items()
            },
            (*labels, "reason"),
        )
        yield _gauge(
            "rejected_objects",
            "Objects that are rejected as they are now.",
            {key: float(len(i.rejections)) for key, i in followed.items()},
            labels,
        )
        now = self._clock.seconds()
        yield _gauge(
            "last_event_age_seconds",
            "Seconds since anything arrived, bookmarks included.",
            {
                key: now - i.stats.heard_at
                for key, i in followed.items()
                if i.stats.heard_at is not None
            },
            labels,
        )

    @staticmethod
    def _of_election(election: LeaderElection) -> Metric:
        """By the name that Kubernetes' own components have for it."""
        metric = GaugeMetricFamily(
            "leader_election_master_status",
            "Whether this process leads by the Lease of that name: 0 for a standby.",
            labels=["name"],
        )
        metric.add_metric([election.candidacy.name], float(election.leads))
        return metric

    @staticmethod
    def _of_streams(streams: StreamStats) -> Iterator[Metric]:
        yield _gauge("emitter_watchers", "Open watches.", {(): streams.watchers})
        yield _counter(
            "emitter_sent_bytes", "Bytes of lists and watch streams.", {(): streams.bytes_sent}
        )
        yield _counter(
            "emitter_slow_watchers", "Watches ended because nobody read.", {(): streams.slow}
        )

    @staticmethod
    def _of_comparison(stats: ComparisonStats) -> Iterator[Metric]:
        yield _counter(
            "comparison_rounds",
            "Comparisons of everything with what it should be that came to their end.",
            {(): stats.rounds},
        )
        by_kind = {
            "compared": "What was compared: plans of keys, objects of the host with the store.",
            "differences": "What was found to be wrong, and is mended: it should never be.",
        }
        for member, told in by_kind.items():
            values = {(kind,): count for kind, count in getattr(stats, member).items()}
            yield _counter(f"comparison_{member}", told, values, ("kind",))
        yield _gauge(
            "comparison_duration_seconds",
            "How long the last comparison took, with its pauses.",
            {(): stats.duration},
        )
        yield _gauge(
            "comparison_longest_slice_seconds",
            "For how long a comparison held the reactor at the most.",
            {(): stats.longest_slice},
        )

    @staticmethod
    def _of_controller(controller: Controller) -> Iterator[Metric]:
        stats = controller.stats
        yield _counter(
            "reconcile_attempts", "Attempts to reconcile a Service.", {(): stats.attempts}
        )
        yield _counter("reconcile_errors", "Attempts that failed.", {(): stats.errors})
        yield _counter(
            "reconcile_conflicts",
            "Writes that found the host changed since it was looked at.",
            {(): stats.conflicts},
        )
        yield _counter("writes", "Objects written.", stats.writes, ("operation", "resource"))
        yield _gauge(
            "queue_length", "Keys that wait to be reconciled.", {(): len(controller.queue)}
        )
        states = controller.statuses.states
        sources = {source for source, _ in states} | set(controller.sources)
        refused = dict.fromkeys(sources, 0) | controller.statuses.refused
        yield _gauge(
            "refused_addresses",
            "Addresses that are left out of mirrors, by what the host and the flags allow.",
            {(source,): count for source, count in refused.items()},
            ("source",),
        )
        yield _gauge(
            "held_deletions",
            "Mirrors that are kept because one list of their source lacked most of them.",
            {(name,): controller.fleet.breaker.count(name) for name in controller.sources},
            ("source",),
        )
        yield _gauge(
            "source_silent",
            "Whether a source has been silent for longer than the flags allow.",
            {
                (s.name,): float(s.freshness is not Freshness.FRESH)
                for s in controller.fleet.sources
            },
            ("source",),
        )
        yield _gauge(
            "mirrored_services",
            "Exported Services by what has become of them.",
            {(source, s.value): states[source, s] for source in sources for s in State},
            ("source", "state"),
        )
