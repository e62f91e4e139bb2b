"""The names that could not be written: which of their failures to tell. Values only."""

from __future__ import annotations

from ..outages import REMINDERS, Outage, Ration, Tally
from ..reasons import Code

#: First failures of names that are told in a minute: a host that refuses one may refuse all.
MOST_TOLD = 10


class Failing:
    """Times are the reactor's seconds."""

    def __init__(self) -> None:
        self._outage = Outage()
        self._codes: dict[str, set[Code]] = {}  # by key, since it was last written
        self._ration = Ration(MOST_TOLD)

    def first(self, key: str, code: Code, now: float) -> int | None:
        """Whether to tell this failure for itself, as the first of its kind: how many more may be
        told in this minute; None where it is not to be told."""
        codes = self._codes.setdefault(key, set())
        if code in codes:
            return None
        codes.add(code)
        left = self._ration.take(now)
        return left if left >= 0 else None

    def failed(self, key: str, now: float) -> Tally | None:
        """Note a failure; of how many people are to be reminded, None for not now."""
        # Each name tells its own kinds: of the sum only the reminders are wanted.
        tally = self._outage.failed(Code.HOST_REFUSED, now, key)
        return tally if tally is not None and tally.seconds >= REMINDERS[0] else None

    def recovered(self, key: str, now: float) -> Tally | None:
        """It is written, or no longer ours to write; the sum of all where none fails any more and
        people have been reminded of them."""
        self._codes.pop(key, None)
        tally = self._outage.recovered(now, key)
        return tally if tally is not None and tally.seconds >= REMINDERS[0] else None
