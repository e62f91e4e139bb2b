"""Exponential backoff with full jitter: how long to wait after the n-th failure in a row."""

from __future__ import annotations

from collections.abc import Callable

#: Seconds: what a server may ask for at most. A stranger's "never" must not be obeyed.
MAX_RETRY_AFTER = 300.0


class Backoff:
    """
    The ceiling doubles from ``first`` to ``last``; the delay is drawn evenly below the ceiling, so
    that many clients of one failed server do not come back together. After ``healthy`` seconds
    without a failure it begins anew. The figures are client-go's (tools/cache/reflector.go), which
    knows no :meth:`succeeded`: one failure after another would wait ever longer there, although
    each had been overcome.

    :param random: a draw from [0, 1).
    """

    def __init__(
        self,
        random: Callable[[], float],
        first: float = 0.8,
        last: float = 30.0,
        healthy: float = 120.0,
    ) -> None:
        self._random = random
        self._first = first
        self._last = last
        self._healthy = healthy
        self._failures = 0
        self._failed_at = 0.0

    def succeeded(self) -> None:
        """What had failed has worked for a while: the next failure is the first."""
        self._failures = 0

    def delay(self, now: float, retry_after: float | None = None) -> float:
        """Note a failure; the seconds to wait, not less than the server asked for."""
        if self._failures and now - self._failed_at >= self._healthy:
            self._failures = 0
        self._failed_at = now
        # 2**32 is past any ceiling: the exponent is capped to keep the number small.
        ceiling = min(self._last, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(ceiling * self._random(), min(retry_after or 0.0, MAX_RETRY_AFTER))
