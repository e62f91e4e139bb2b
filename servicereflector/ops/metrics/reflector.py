"""Of the Reflector: what it does, what has become of Services, and how long changes take."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from ...mirror.freshness import Freshness
from ...mirror.states import State
from ...reflector.comparison import ComparisonStats
from ...reflector.controller import Controller
from .families import counter, gauge, histograms


def of_controller(controller: Controller) -> Iterator[Metric]:
    stats = controller.stats
    yield counter("reconcile_attempts", "Attempts to reconcile a Service.", {(): stats.attempts})
    yield counter("reconcile_errors", "Attempts that failed.", {(): stats.errors})
    yield counter(
        "reconcile_conflicts",
        "Writes that found the host changed since it was looked at.",
        {(): stats.conflicts},
    )
    yield counter("writes", "Objects written.", stats.writes, ("operation", "resource"))
    yield gauge("queue_length", "Keys that wait to be reconciled.", {(): len(controller.queue)})
    states = controller.statuses.states
    sources = {source for source, _ in states} | set(controller.sources)
    refused = dict.fromkeys(sources, 0) | controller.statuses.refused
    yield gauge(
        "refused_addresses",
        "Addresses that are left out of mirrors, by what the host and the flags allow.",
        {(source,): count for source, count in refused.items()},
        ("source",),
    )
    yield gauge(
        "held_deletions",
        "Mirrors that are kept because one list of their source lacked most of them.",
        {(name,): controller.fleet.breaker.count(name) for name in controller.sources},
        ("source",),
    )
    yield gauge(
        "source_silent",
        "Whether a source has been silent for longer than the flags allow.",
        {(s.name,): float(s.freshness is not Freshness.FRESH) for s in controller.fleet.sources},
        ("source",),
    )
    yield gauge(
        "mirrored_services",
        "Exported Services by what has become of them.",
        {(source, s.value): states[source, s] for source in sources for s in State},
        ("source", "state"),
    )


def of_comparison(stats: ComparisonStats) -> Iterator[Metric]:
    yield counter(
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
        yield counter(f"comparison_{member}", told, values, ("kind",))
    yield gauge(
        "comparison_duration_seconds",
        "How long the last comparison took, with its pauses.",
        {(): stats.duration},
    )
    yield gauge(
        "comparison_longest_slice_seconds",
        "For how long a comparison held the reactor at the most.",
        {(): stats.longest_slice},
    )


def of_delays(controller: Controller) -> Iterator[Metric]:
    delays = controller.delays
    yield histograms(
        "propagation_seconds",
        "From a source's event to the end of the writes that it led to.",
        delays.propagation,
    )
    yield histograms(
        "network_programming_seconds",
        "From a change of a source's Pods, by its Endpoints' word, to the end of the writes.",
        delays.programming,
    )
    yield counter(
        "early_changes",
        "Changes of a source's Pods that are still to come, by the clock of this machine.",
        {(source,): count for source, count in delays.early.items()},
        ("source",),
    )
    waiting = {source: controller.waiting(source) for source in controller.sources}
    yield gauge(
        "waiting_changes",
        "Names of which a source told a change that is not carried out yet.",
        {(source,): count for source, (count, _) in waiting.items()},
        ("source",),
    )
    yield gauge(
        "oldest_waiting_change_seconds",
        "For how long the first of them has waited, or of what a list told: how far the host is"
        " behind the source.",
        {(source,): age for source, (_, age) in waiting.items()},
        ("source",),
    )
    yield gauge(
        "lane_length",
        "Keys that a worker could begin now, by the source that they are looked at for.",
        {(source,): controller.queue.ready_in(source) for source in controller.sources},
        ("source",),
    )
