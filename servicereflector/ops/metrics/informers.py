"""Of what is followed: the host's and the sources' objects, and how far each source is behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric

from ...listwatch.informer import Informer
from .families import counter, gauge


def of_informers(informers: Iterable[Informer], now: float) -> Iterator[Metric]:
    """
    :param now: in the reactor's seconds.
    """
    labels = ("source", "resource")
    followed = {(i.source, i.store.resource.plural): i for i in informers}
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
        yield counter(names.get(member, member), told, values, labels)
    yield gauge(
        "objects",
        "Objects known.",
        {key: float(len(i.store)) for key, i in followed.items()},
        labels,
    )
    yield gauge(
        "connected",
        "Whether the last list or watch succeeded.",
        {key: float(i.stats.connected) for key, i in followed.items()},
        labels,
    )
    yield counter(
        "rejections",
        "Objects of sources, and lines, that were rejected, by the rule that they break.",
        {
            (*key, reason): float(count)
            for key, i in followed.items()
            for reason, count in i.rejections.counts.items()
        },
        (*labels, "reason"),
    )
    yield gauge(
        "rejected_objects",
        "Objects that are rejected as they are now.",
        {key: float(len(i.rejections)) for key, i in followed.items()},
        labels,
    )
    yield gauge(
        "last_event_age_seconds",
        "Seconds since anything arrived, bookmarks included.",
        {
            key: now - i.stats.heard_at
            for key, i in followed.items()
            if i.stats.heard_at is not None
        },
        labels,
    )


def of_quotas(used: Mapping[str, Mapping[str, float]]) -> Metric:
    """
    :param used: which part, by source and quota.
    """
    return gauge(
        "source_quota_used_ratio",
        "Which part of what is taken of a source is in use, where there is a limit.",
        {(source, quota): part for source, parts in used.items() for quota, part in parts.items()},
        ("source", "quota"),
    )
