"""Keys in lines: fresh ones before the others, and every lane in its turn. Values in, values out.

A lane has two lines: of what is *fresh*, because an event told of it, and of what is only looked at
again, *resync*. One key is taken of each lane in turn. Fresh lines go first, but each eighth key is
one of resync, which so never starves.

A key stands in every line that it was added to, and the first that comes to it takes it out of all:
to add a key never delays it. Hence one key of a lane waits for at most

- fresh: a key of each other lane with fresh ones for each fresh key before it in its own, and one
  of resync for each seven of all these;
- resync: eight times as many keys as there are lanes with a line of resync, for each key before it
  and itself.

Memory is a place for each key, lane and urgency; nothing is kept of a key or lane that does not
wait. To add is O(1), and so is to take, amortised over the places that a key leaves, beside the
closed lanes that are passed over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import NamedTuple

#: Of so many keys one is of resync where any waits.
RESYNC_SHARE = 8

#: Since when each key stands there. Not a dict, of which to find the first key takes long where
#: many before it were deleted.
_Line = OrderedDict[str, float]


class Place(NamedTuple):
    """
    :ivar lane: what is served in turn: the name of a source, or ``""`` for the host.
    """

    lane: str
    fresh: bool


class Lanes:
    def __init__(self) -> None:
        self._lines: dict[bool, OrderedDict[str, _Line]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._places: dict[str, tuple[Place, ...]] = {}
        self._fresh_in_a_row = 0

    def __len__(self) -> int:
        """How many keys wait."""
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def since(self, lane: str) -> float | None:
        """Since when the first key of the lane has waited, None where none does."""
        lines = [self._lines[fresh].get(lane) for fresh in (True, False)]
        return min((next(iter(line.values())) for line in lines if line), default=None)

    def count(self, lane: str) -> int:
        """How many keys wait in the lane; one of both lines is two."""
        return sum(len(self._lines[fresh].get(lane, ())) for fresh in (True, False))

    def add(self, keys: Collection[str], place: Place, now: float = 0.0) -> None:
        """Have the keys wait here, too, at the end; one that does so already stays where it is."""
        if not keys:
            return
        line = self._lines[place.fresh].setdefault(place.lane, OrderedDict())
        here = (place,)
        for key in keys:
            if key not in line:
                line[key] = now
                self._places[key] = self._places.get(key, ()) + here

    def take(self, is_open: Callable[[str], bool]) -> tuple[str, Place] | None:
        """The next key and the place that it was taken from; None where no open lane has any.

        :param is_open: whether a lane is to be served now. One that is not keeps its turn.
        """
        fresh_first = self._fresh_in_a_row < RESYNC_SHARE - 1
        for fresh in (fresh_first, not fresh_first):
            lane = next(filter(is_open, self._lines[fresh]), None)
            if lane is not None:
                self._fresh_in_a_row = self._fresh_in_a_row + 1 if fresh else 0
                self._lines[fresh].move_to_end(lane)
                key = next(iter(self._lines[fresh][lane]))
                self._leave(key)
                return key, Place(lane, fresh)
        return None

    def _leave(self, key: str) -> None:
        for lane, fresh in self._places.pop(key):
            line = self._lines[fresh][lane]
            del line[key]
            if not line:
                del self._lines[fresh][lane]
