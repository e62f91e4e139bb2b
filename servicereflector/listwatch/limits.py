"""What a server may cost its client: how long it may keep it waiting, how much it may send."""

from __future__ import annotations

from dataclasses import dataclass

_MI = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """They hold for the host and for every source alike; times are seconds, sizes bytes.

    :ivar connect_timeout: for the TCP connection.
    :ivar request_timeout: for a whole request, and for the headers of a watch.
    :ivar list_timeout: for one page of a list: as long as kube-apiserver works on a request.
    :ivar idle_timeout: that a watch may be silent before another one takes its place.
    :ivar max_line: the longest line of a watch that is kept; etcd refuses objects above 1.5 MB.
    :ivar max_body: the largest body of an answer, decompressed, and the largest list in all its
        pages together.
    :ivar max_reads: under way at a time, watches apart; others wait in line, and their timeout
        counts from when they were asked for.
    """

    connect_timeout: float = 10.0
    request_timeout: float = 30.0
    list_timeout: float = 60.0
    idle_timeout: float = 90.0
    max_line: int = 8 * _MI
    max_body: int = 256 * _MI
    max_reads: int = 8
