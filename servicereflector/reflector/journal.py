"""What was done to each name lately, and how long it took: for whoever asks. Values only."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

#: How much is kept of a name.
ENTRIES = 8

#: The names of which something is kept: those that changed last.
NAMES = 2_000


@dataclass(slots=True)
class Pages:
    """Of one name.

    :ivar changes: when, in seconds since 1970, and what.
    :ivar delays: seconds from a source's event to the end of the writes that it led to.
    """

    changes: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=ENTRIES))
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=ENTRIES))


class Journal:
    def __init__(self) -> None:
        self._pages: OrderedDict[str, Pages] = OrderedDict()

    def note(self, key: str, epoch: float, what: str) -> None:
        """
        :param epoch: the time, in seconds since 1970.
        """
        self._of(key).changes.append((epoch, what))

    def delayed(self, key: str, seconds: float) -> None:
        self._of(key).delays.append(seconds)

    def changes(self, key: str) -> Sequence[tuple[float, str]]:
        """The oldest first."""
        return tuple(self._pages[key].changes) if key in self._pages else ()

    def delays(self, key: str) -> Sequence[float]:
        """The oldest first."""
        return tuple(self._pages[key].delays) if key in self._pages else ()

    def _of(self, key: str) -> Pages:
        pages = self._pages.setdefault(key, Pages())
        self._pages.move_to_end(key)
        if len(self._pages) > NAMES:
            self._pages.popitem(last=False)
        return pages
