"""Of the process: its version, its reactor, who leads."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from ... import __version__
from ...election.service import LeaderElection
from ..turns import BUCKETS, Turns
from .families import PREFIX, buckets_of, gauge


def of_version() -> Metric:
    return gauge("build_info", "The version that runs.", {(__version__,): 1}, ["version"])


def of_turns(turns: Turns) -> Iterator[Metric]:
    yield HistogramMetricFamily(
        PREFIX + "reactor_turn_seconds",
        "How long the reactor did one thing after the other before it looked for new ones.",
        buckets=buckets_of(BUCKETS, turns.counts),
        sum_value=turns.total,
    )
    took, computed = turns.longest()
    yield gauge(
        "reactor_longest_turn_seconds", "The longest turn of the last five minutes.", {(): took}
    )
    yield gauge(
        "reactor_longest_turn_cpu_seconds",
        "The most that one turn of the last five minutes computed.",
        {(): computed},
    )


def of_election(election: LeaderElection) -> Metric:
    """By the name that Kubernetes' own components have for it."""
    metric = GaugeMetricFamily(
        "leader_election_master_status",
        "Whether this process leads by the Lease of that name: 0 for a standby.",
        labels=["name"],
    )
    metric.add_metric([election.candidacy.name], float(election.leads))
    return metric
