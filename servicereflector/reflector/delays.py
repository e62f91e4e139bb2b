"""How long changes took from a source to the written mirror: in all, and minute by minute of the
last hour. Values only; every time and delay is in seconds."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

MINUTE = 60.0
MINUTES = 60

#: Upper bounds, each of a bucket that takes what is not in one before it; one more has the rest.
BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)


@dataclass(slots=True)
class Histogram:
    """
    :ivar counts: by bucket.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    longest: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def median(self) -> float:
        """As Prometheus has it: evenly spread within its bucket, but none is above the longest.

        :raises ValueError: nothing was observed.
        """
        half = self.count / 2
        if not half:
            raise ValueError("nothing was observed")
        reached = list(accumulate(self.counts))
        bucket = next(number for number, count in enumerate(reached) if count >= half)
        lower = BOUNDS[bucket - 1] if bucket else 0.0
        upper = BOUNDS[bucket] if bucket < len(BOUNDS) else self.longest
        within = 1 - (reached[bucket] - half) / self.counts[bucket]
        return min(lower + (upper - lower) * within, self.longest)


@dataclass(frozen=True, slots=True)
class Minute:
    """The delays that were observed in one.

    :ivar start: by the clock that they were observed by.
    """

    start: float
    count: int
    median: float
    longest: float


class Delays:
    """
    :ivar propagation: by source, from its event's arrival to the end of the writes that it led to.
    :ivar programming: by source, from the moment when Pods changed, as its Endpoints tell that.
    :ivar early: by source, how many such moments are still to come, by this machine's clock. They
        count as no delay.
    """

    def __init__(self) -> None:
        self.propagation: dict[str, Histogram] = {}
        self.programming: dict[str, Histogram] = {}
        self.early: dict[str, int] = {}
        self._minutes: OrderedDict[float, Histogram] = OrderedDict()

    def observe(self, source: str, seconds: float, now: float) -> None:
        """What the source told was written so long after it had arrived."""
        self.propagation.setdefault(source, Histogram()).observe(seconds)
        start = now // MINUTE * MINUTE
        self._minutes.setdefault(start, Histogram()).observe(seconds)
        if len(self._minutes) > MINUTES:
            self._minutes.popitem(last=False)

    def observe_programming(self, source: str, seconds: float) -> None:
        """Pods of the source had changed so long before that was written, by both clocks."""
        self.programming.setdefault(source, Histogram()).observe(max(0.0, seconds))
        self.early.setdefault(source, 0)
        self.early[source] += seconds < 0

    def minutes(self, now: float) -> Sequence[Minute]:
        """The last hour, oldest first, without those in which nothing was observed."""
        first = now // MINUTE * MINUTE - (MINUTES - 1) * MINUTE
        return [
            Minute(start, told.count, told.median(), told.longest)
            for start, told in self._minutes.items()
            if start >= first
        ]
