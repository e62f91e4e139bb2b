"""The work queue: which key to look at next. Values and times in, keys out.

A key waits once however often it is added, and is never in two hands at a time: one that is added
while it is worked on comes back when that is done. A failed key comes back after a delay of its
own, which doubles with each failure in a row.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

FIRST_DELAY = 0.2
LAST_DELAY = 60.0


class WorkQueue:
    def __init__(self) -> None:
        self._ready: deque[str] = deque()
        self._waiting: set[str] = set()  # what is in _ready
        self._working: set[str] = set()
        self._again: set[str] = set()  # added while being worked on
        self._failures: dict[str, int] = {}
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}  # the valid entry of _later for a key

    def __len__(self) -> int:
        """Keys that wait, now or for later; not the ones being worked on."""
        return len(self._waiting) + len(self._again) + len(self._due)

    @property
    def working(self) -> int:
        return len(self._working)

    def add(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._due.pop(key, None)
            if key in self._working:
                self._again.add(key)
            elif key not in self._waiting:
                self._waiting.add(key)
                self._ready.append(key)

    def take(self, now: float) -> str | None:
        """The next key to work on, to be given back by :meth:`done`; None if nothing is due."""
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                self.add((key,))
        if not self._ready:
            return None
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: str) -> None:
        """The work on the key has ended, well or badly."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add((key,))

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

    def add_later(self, key: str, due: float) -> None:
        """Have the key come back at ``due``, or earlier if it is added or due before."""
        if key in self._waiting or key in self._again or self._due.get(key, due) < due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, key))

    def next_due(self) -> float | None:
        """When the earliest delayed key is due, None if there is none."""
        while self._later and self._due.get(self._later[0][1]) != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None
