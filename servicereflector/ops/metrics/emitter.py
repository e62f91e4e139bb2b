"""Of the Emitter: what it sends, to whom, and how close that is to its limits."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from ...access.gate import Access
from ...emitter.bounds import Reads
from ...emitter.certificates import Certificates
from ...emitter.streams import StreamStats
from ..channels import Connections
from .families import counter, gauge


def of_streams(streams: StreamStats) -> Iterator[Metric]:
    yield gauge("emitter_watchers", "Open watches.", {(): streams.watchers})
    yield counter(
        "emitter_sent_bytes", "Bytes of lists and watch streams.", {(): streams.bytes_sent}
    )
    yield counter("emitter_slow_watchers", "Watches ended because nobody read.", {(): streams.slow})


def of_certificates(certificates: Certificates) -> Metric:
    return gauge(
        "emitter_certificate_expiry_timestamp_seconds",
        "When the certificate that the Emitter shows ends.",
        {(): certificates.shown.expires},
    )


def of_reads(reads: Reads) -> Iterator[Metric]:
    yield gauge("emitter_lists", "Lists under way.", {(): reads.lists.count})
    yield counter(
        "emitter_limits",
        "How often a client of the Emitter came up against a limit.",
        {(reason,): count for reason, count in reads.refusals.counts.items()},
        ["limit"],
    )


def of_connections(connections: Connections) -> Metric:
    return gauge(
        "emitter_connections",
        "Open connections of the Emitter's clients.",
        {(): len(connections)},
    )


def of_limits(reads: Reads | None, connections: Connections | None) -> Metric:
    used = {
        "watches": reads.watches.used if reads is not None else None,
        "lists": reads.lists.used if reads is not None else None,
        "connections": connections.used if connections is not None else None,
    }
    return gauge(
        "emitter_limit_used_ratio",
        "Which part of what all clients together may have is in use, where there is a limit.",
        {(limit,): part for limit, part in used.items() if part is not None},
        ["limit"],
    )


def of_access(access: Access) -> Iterator[Metric]:
    yield counter(
        "emitter_refused_requests",
        "Requests of whom nobody knows, and for what they may not have.",
        {(str(code),): count for code, count in access.stats.refused.items()},
        ["code"],
    )
    yield gauge(
        "emitter_access_files_bad",
        "How many of the files that say who may ask cannot be used as they are now.",
        {(): len(access.problems)},
    )
