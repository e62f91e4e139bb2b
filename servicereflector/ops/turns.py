"""How long the reactor's turns take: nothing else happens while one lasts.

A turn begins when poll returns and ends when poll is called again. Twisted tells nobody of either,
so the poller of the epoll reactor is wrapped, as Synapse has it (synapse/metrics/_reactor_metrics).
A reactor of another kind is left alone, and not measured.
"""

from __future__ import annotations

import select
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from ..reasons import Code

#: Upper bounds of the histogram's buckets, in seconds.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

#: Seconds above which a turn is told of in the log.
LONG = 0.1

#: Seconds between two warnings.
QUIET = 60.0

#: Seconds for which the longest turn is remembered, to a minute.
REMEMBERED = 300.0
_SLOT = 60.0


class Turns:
    """
    :ivar counts: of turns, by the bucket; the last is of those above all bounds.
    :ivar total: the seconds of all turns.
    :param elapsed: a clock's seconds.
    :param computed: the seconds that this thread has computed: what the machine gave to others
        while a turn lasted is not in it.
    """

    log = Logger()

    def __init__(
        self,
        elapsed: Callable[[], float] = time.perf_counter,
        computed: Callable[[], float] = time.thread_time,
    ) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0
        self._elapsed = elapsed
        self._computed = computed
        self._began: tuple[float, float] | None = None
        # When each minute began, and its longest turns by both clocks.
        self._minutes: deque[tuple[float, float, float]] = deque()
        self._warned_at = float("-inf")
        self._untold: list[float] = []

    def begin(self) -> None:
        """Poll has returned."""
        self._began = self._elapsed(), self._computed()

    def end(self) -> None:
        """Poll is about to be called."""
        if self._began is None:
            return
        now = self._elapsed()
        took, computed = now - self._began[0], self._computed() - self._began[1]
        self._began = None
        self.counts[bisect_left(BUCKETS, took)] += 1
        self.total += took
        self._remember(now, took, computed)
        if took > LONG:
            self._warn(now, took, computed)

    def longest(self) -> tuple[float, float]:
        """The seconds that any turn of the last minutes took at most, and computed at most."""
        self._forget(self._elapsed())
        if not self._minutes:
            return 0.0, 0.0
        _, took, computed = zip(*self._minutes, strict=True)
        return max(took), max(computed)

    def _remember(self, now: float, took: float, computed: float) -> None:
        if not self._minutes or now >= self._minutes[-1][0] + _SLOT:
            self._forget(now)
            self._minutes.append((now, took, computed))
            return
        began, longest, most = self._minutes[-1]
        if took > longest or computed > most:
            self._minutes[-1] = began, max(took, longest), max(computed, most)

    def _forget(self, now: float) -> None:
        while self._minutes and now >= self._minutes[0][0] + REMEMBERED:
            self._minutes.popleft()

    def _warn(self, now: float, took: float, computed: float) -> None:
        if now < self._warned_at + QUIET:
            self._untold.append(took)
            return
        more = ""
        if self._untold:
            more = f"; {len(self._untold)} more before, of {max(self._untold):.3f} s at most"
        self._warned_at, self._untold = now, []
        self.log.warn(
            "the reactor did nothing else for {took:.3f} s, {computed:.3f} s of it computing{more}",
            reason=Code.REACTOR_BLOCKED,
            took=took,
            computed=computed,
            more=more,
        )


class _Poller:
    """An epoll object that tells when poll is called and returns."""

    def __init__(self, poller: Any, turns: Turns) -> None:
        self.turns = turns
        self._poll = poller.poll
        self.register = poller.register
        self.modify = poller.modify
        self.unregister = poller.unregister

    def poll(self, *arguments: Any) -> Any:
        self.turns.end()
        try:
            return self._poll(*arguments)
        finally:
            self.turns.begin()


def measure(reactor: Any) -> Turns | None:
    """The turns of this reactor from now on; None where it has no epoll to be wrapped."""
    poller = getattr(reactor, "_poller", None)
    if isinstance(poller, _Poller):
        return poller.turns
    epoll = getattr(select, "epoll", None)
    if epoll is None or not isinstance(poller, epoll):
        return None
    turns = Turns()
    reactor._poller = _Poller(poller, turns)
    return turns
