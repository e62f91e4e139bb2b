"""Families of metrics: values by the values of their labels, under the program's own prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from ...reflector.delays import BOUNDS, Histogram

PREFIX = "service_reflector_"


def counter(
    name: str, told: str, values: Mapping[Any, float], labels: Sequence[str] = ()
) -> Metric:
    """
    :param name: without the prefix and ``_total``.
    """
    metric = CounterMetricFamily(PREFIX + name, told, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def gauge(name: str, told: str, values: Mapping[Any, float], labels: Sequence[str] = ()) -> Metric:
    metric = GaugeMetricFamily(PREFIX + name, told, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def histograms(name: str, told: str, by_source: Mapping[str, Histogram]) -> Metric:
    """One of delays for each source."""
    metric = HistogramMetricFamily(PREFIX + name, told, labels=("source",))
    for source, histogram in by_source.items():
        buckets = buckets_of(BOUNDS, histogram.counts)
        metric.add_metric((source,), buckets, histogram.total)
    return metric


def buckets_of(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """As Prometheus has them, each with what is in those before it.

    :param counts: of each bucket alone, one more than there are bounds.
    """
    return list(zip([*map(str, bounds), "+Inf"], accumulate(counts), strict=True))
