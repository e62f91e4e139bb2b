"""What was done to each name lately, and how long it took: for whoever asks. Values only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

#: How much is kept of a name.
ENTRIES = 8

#: The names of which something is kept: those that changed last.
NAMES = 2_000


@dataclass(slots=True)
class Pages:
    """Of one name. Not a deque, which takes 600 bytes for whatever it holds.

    :ivar changes: when, in seconds since 1970, and what.
    :ivar delays: seconds from a source's event to the end of the writes that it led to.
    """

    changes: tuple[tuple[float, str], ...] = ()
    delays: tuple[float, ...] = ()


class Journal:
    def __init__(self) -> None:
        self._pages: OrderedDict[str, Pages] = OrderedDict()

    def note(self, key: str, epoch: float, what: str) -> None:
        """
        :param epoch: the time, in seconds since 1970.
        """
        pages = self._of(key)
        pages.changes = (*pages.changes, (epoch, what))[-ENTRIES:]

    def delayed(self, key: str, seconds: float) -> None:
        pages = self._of(key)
        pages.delays = (*pages.delays, seconds)[-ENTRIES:]

    def changes(self, key: str) -> Sequence[tuple[float, str]]:
        """The oldest first."""
        return self._pages[key].changes if key in self._pages else ()

    def delays(self, key: str) -> Sequence[float]:
        """The oldest first."""
        return self._pages[key].delays if key in self._pages else ()

    def _of(self, key: str) -> Pages:
        pages = self._pages.setdefault(key, Pages())
        self._pages.move_to_end(key)
        if len(self._pages) > NAMES:
            self._pages.popitem(last=False)
        return pages
