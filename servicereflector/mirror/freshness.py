"""When a source falls silent, and when what is mirrored from it is no longer to be relied on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Freshness(Enum):
    """In the order in which a silent source goes through them."""

    FRESH = "fresh"
    STALE = "stale"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Patience:
    """Both are seconds of silence, above 0, or None for never. If removal comes first, nothing is
    ever stale.

    :ivar stale_after: from when on a source's endpoints count as not ready.
    :ivar remove_after: from when on they are withdrawn. It does not count from ``stale_after``.
    """

    stale_after: float | None = None
    remove_after: float | None = None

    def freshness(self, silent: float) -> Freshness:
        """
        :param silent: for how many seconds the source has been silent.
        """
        if self.remove_after is not None and silent >= self.remove_after:
            return Freshness.REMOVED
        if self.stale_after is not None and silent >= self.stale_after:
            return Freshness.STALE
        return Freshness.FRESH

    def next_change(self, silent: float) -> float | None:
        """In how many seconds the freshness changes if nothing is heard, None for never."""
        if self.freshness(silent) is Freshness.REMOVED:
            return None
        return min((after - silent for after in self._thresholds() if after > silent), default=None)

    def idle(self, usual: float) -> float:
        """For how many seconds a watch may be silent before it is opened anew.

        A source that is healthy but has nothing to tell is thus heard several times before it would
        count as silent.

        :param usual: what it is where that does not matter.
        """
        return min((usual, *(after / 3 for after in self._thresholds())))

    def _thresholds(self) -> list[float]:
        return [after for after in (self.stale_after, self.remove_after) if after is not None]


def silence(heard: Iterable[float | None], since: float, now: float) -> float:
    """For how many seconds a source has been silent: its quietest watch decides.

    :param heard: when each of its watches last brought anything; None for never.
    :param since: when the program began to ask, or to lead: from which never counts, and before.
    """
    quietest = min((since if at is None else max(at, since) for at in heard), default=since)
    return max(0.0, now - quietest)
