"""Failures in a row of what is tried again and again: which of them people are told.

One line for each change, not for each try:

- The first failure is told, and the first of each kind.
- Of those that follow one is told when a minute has passed since the first, and then after 5, 15
  and 60 minutes, and every hour; with how many there were.
- The first success is told, with how long it had failed; where one success proves little, once
  successes have lasted for a while.

What fails together is one outage: the watches of a source are its parts, and what one of them has
told, no other tells. It is over when none of them fails any more; and for those parts that fail no
more, when what still fails does so for another reason, such as a right that is missing.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from .reasons import Code

#: Seconds after the first failure at which people are reminded; later every hour.
REMINDERS = (60.0, 300.0, 900.0, 3600.0)

#: Seconds for which what is asked often must have succeeded to be told as well again.
HEALTHY = 10.0

_MINUTE = 60.0
_HOUR = 3600.0

#: What stands behind the last line of a :class:`Ration`.
ONLY_COUNTED = "; more like this are only counted for a minute"


@dataclass(frozen=True, slots=True)
class Tally:
    """How much has failed.

    :ivar attempts: that failed, of all parts.
    :ivar seconds: since the first of them.
    :ivar parts: that fail now.
    """

    attempts: int
    seconds: float
    parts: int = 1

    def __str__(self) -> str:
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{attempts} in {duration(self.seconds)}"


@dataclass(slots=True)
class _Part:
    """
    :ivar kinds: as what it failed since it began.
    :ivar last: as what it failed lastly.
    :ivar since: when its successes began, None while there are none.
    """

    began: float
    last: Code
    attempts: int = 0
    kinds: set[Code] = field(default_factory=set)
    since: float | None = None


class Outage:
    """Times are seconds of one clock that is never set."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}  # that fail, or have not succeeded for long
        self._began = 0.0
        self._over = 0.0  # since when those succeed that fail no more
        self._attempts = 0
        self._reminded = 0  # how many reminders are behind

    def failed(self, code: Code, now: float, part: str = "") -> Tally | None:
        """Note a failure; what to tell of it, None for nothing: for its kind, how much of the part
        has failed; for the time, how much of all."""
        if not self._parts:
            self._began = self._over = now
            self._attempts = self._reminded = 0
        failing = self._parts.setdefault(part, _Part(now, code))
        # Thousands of names may fail, nearly always alike: the first that does ends the search.
        news = code not in failing.kinds and not any(
            other.last is code for name, other in self._parts.items() if name != part
        )
        failing.kinds.add(code)
        failing.last, failing.since = code, None
        failing.attempts += 1
        self._attempts += 1
        # A failure that is told for its kind is as good as a reminder.
        reminded, self._reminded = self._reminded, _reminders(now - self._began)
        if news:
            return Tally(failing.attempts, now - failing.began, len(self._parts))
        if self._reminded > reminded:
            return Tally(self._attempts, now - self._began, len(self._parts))
        return None

    def recovered(self, now: float, part: str = "", lasting: float = 0.0) -> Tally | None:
        """Note a success, or that the part is not tried any more; what to tell, None for nothing:
        of all, where nothing fails any more; of the part, where others fail for other reasons.

        :param lasting: seconds for which successes must have lasted; note another one then.
        """
        failed = self._parts.get(part)
        if failed is None:
            return None
        if failed.since is None:
            failed.since = now
        if now - failed.since < lasting:
            return None
        del self._parts[part]
        self._over = max(self._over, failed.since)
        if not self._parts:
            return Tally(self._attempts, self._over - self._began, 0)
        if failed.kinds.isdisjoint(other.last for other in self._parts.values()):
            return Tally(failed.attempts, failed.since - failed.began, len(self._parts))
        return None


class Ration:
    """So many lines a minute of one sort: what causes them could fill the log.

    :param most: lines in a minute.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._since = float("-inf")
        self._used = 0

    def take(self, now: float) -> int:
        """How many are left after this one; below 0, this one is not to be told."""
        if now >= self._since + _MINUTE:
            self._since, self._used = now, 0
        self._used += 1
        return self._most - self._used


def _reminders(lasted: float) -> int:
    """How many are due by then."""
    if lasted < REMINDERS[-1]:
        return bisect_right(REMINDERS, lasted)
    return len(REMINDERS) + int((lasted - REMINDERS[-1]) // _HOUR)


def duration(seconds: float) -> str:
    """For people: ``4 s``, ``5 min``, ``2 h 30 min``."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"
