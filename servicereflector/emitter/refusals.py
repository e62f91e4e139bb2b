"""What was refused to clients, counted; the log says so now and then."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from twisted.logger import Logger

from ..reasons import Code

#: Seconds between two lines of the log: who makes us refuse does not fill it.
LOG_PERIOD = 60.0

#: Every reason, so that a metric has it before it happens.
REASONS = (
    "connections",
    "connections_per_client",
    "evicted",
    "header_timeout",
    "body_timeout",
    "stalled",
    "url_size",
    "header_size",
    "body_size",
    "malformed",
    "watches",
    "watches_per_client",
    "lists",
    "lists_per_client",
)


class Refusals:
    """
    :param seconds: of a clock that is never set.
    :ivar counts: by reason.
    """

    log = Logger()

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._seconds = seconds
        self._told_at: float | None = None
        self._untold: Counter[str] = Counter()

    def add(self, reason: str, client: str) -> None:
        self.counts[reason] += 1
        self._untold[reason] += 1
        now = self._seconds()
        if self._told_at is not None and now < self._told_at + LOG_PERIOD:
            return
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(self._untold.items()))
        self._told_at = now
        self._untold.clear()
        self.log.warn(
            "clients were refused: {told}; at last {client}",
            reason=Code.CLIENTS_REFUSED,
            told=told,
            client=client,
        )
