"""The work queue: which key to look at next. Values and times in, keys out.

A key waits once however often it is added, in the order that :mod:`.lanes` tells, and is never in
two hands at a time: one that is added while it is worked on comes back when that is done. A failed
key comes back after a delay of its own, which doubles with each failure in a row.

Where writes are slow, as where they time out, one lane could occupy all workers. It gets another
only while it has less than three times as many as are free: three quarters of them at the most, and
the next lane that comes three quarters of the rest.

Memory is bounded by the number of keys: what :class:`Lanes` keeps of those that wait, and a count
and a time of those that failed. What is done with a key takes O(1), amortised; a delay O(log n).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable

from .lanes import Lanes, Place

FIRST_DELAY = 0.2
LAST_DELAY = 60.0

#: How many times as many workers as are free one lane may have.
BUSY_PER_FREE = 3

#: Entries of the heap that may be out of date before it is made anew, beside as many as are not.
MOST_OUTDATED = 64


class WorkQueue:
    """
    :param workers: how many keys may be worked on at a time.
    :param seconds: the time that :meth:`since` is told in.
    """

    def __init__(self, workers: int = 16, seconds: Callable[[], float] = lambda: 0.0) -> None:
        self._workers = workers
        self._seconds = seconds
        self._ready = Lanes()
        self._working: dict[str, Place] = {}  # by key: where it was taken from
        self._busy: Counter[str] = Counter()  # workers by lane
        self._again: dict[str, dict[Place, None]] = {}  # added while being worked on
        self._failures: dict[str, int] = {}
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, tuple[float, str]] = {}  # the valid entry of _later, and the lane

    def __len__(self) -> int:
        """Keys that wait, now or for later; not the ones being worked on."""
        return len(self._ready) + len(self._again) + len(self._due)

    def __contains__(self, key: str) -> bool:
        """Whether the key waits, now or for later, or is being worked on."""
        return key in self._ready or key in self._working or key in self._due

    @property
    def ready(self) -> int:
        """Keys that a worker could begin now."""
        return len(self._ready)

    def ready_in(self, lane: str) -> int:
        """The same of one lane; a key that waits both as fresh and as resync is two."""
        return self._ready.count(lane)

    def since(self, lane: str) -> float | None:
        """Since when the first of them has waited, None where there is none."""
        return self._ready.since(lane)

    @property
    def working(self) -> int:
        return len(self._working)

    def add(self, keys: Iterable[str], lane: str = "", *, fresh: bool = False) -> None:
        """
        :param lane: the source that is the cause, ``""`` for the host.
        :param fresh: whether an event told that the key has changed.
        """
        self._add(list(keys), Place(lane, fresh))

    def again(self, key: str) -> None:
        """Have a key that is worked on come back at once, as urgent as it was."""
        self._add([key], self._working[key])

    def _add(self, keys: list[str], place: Place) -> None:
        for key in keys:
            self._due.pop(key, None)
            if key in self._working:
                self._again.setdefault(key, {})[place] = None
        ready = [key for key in keys if key not in self._working]
        self._ready.add(ready, place, self._seconds())

    def take(self, now: float) -> str | None:
        """The next key to work on, to be given back by :meth:`done`; None if there is none, or no
        worker for one."""
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            if self._is_valid(due, key):
                self._add([key], Place(self._due[key][1], fresh=False))
        if len(self._working) >= self._workers:
            return None
        taken = self._ready.take(self._may_work)
        if taken is None:
            return None
        key, place = taken
        self._working[key] = place
        self._busy[place.lane] += 1
        return key

    def _may_work(self, lane: str) -> bool:
        return self._busy[lane] < BUSY_PER_FREE * (self._workers - len(self._working))

    def done(self, key: str) -> None:
        """The work on the key has ended, well or badly."""
        lane = self._working.pop(key).lane
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]
        for place in self._again.pop(key, ()):
            self._add([key], place)

    def forget(self, key: str) -> None:
        """The key has succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    def retry(self, key: str, now: float) -> float:
        """Have the key come back after its own delay, in seconds, which is the result."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = float(min(LAST_DELAY, FIRST_DELAY * 2 ** min(failures, 16)))
        self.add_later(key, now + delay)
        return delay

    def hurry(self) -> None:
        """Have every key that failed come back now: what made it fail is over."""
        for key in [key for key in self._due if key in self._failures]:
            self._add([key], Place(self._due[key][1], fresh=False))

    def add_later(self, key: str, due: float) -> None:
        """Have the key come back at ``due``, or earlier if it is added or due before."""
        if key in self._ready or key in self._again:
            return
        if key in self._due and self._due[key][0] <= due:
            return
        lane = self._working[key].lane if key in self._working else ""
        self._due[key] = due, lane
        heapq.heappush(self._later, (due, key))
        if len(self._later) > 2 * len(self._due) + MOST_OUTDATED:
            self._later = [(due, key) for key, (due, _) in self._due.items()]
            heapq.heapify(self._later)

    def next_due(self) -> float | None:
        """When the earliest delayed key is due, None if there is none."""
        while self._later and not self._is_valid(*self._later[0]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def _is_valid(self, due: float, key: str) -> bool:
        return key in self._due and self._due[key][0] == due
