"""Which mirrors are shown: those that a query takes, what somebody should look at first.

There may be tens of thousands, so it is done in pieces. They are sorted by runs that are merged as
far as they are asked for: to sort all of them at once would take long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge

from ..mirror.states import Status
from .query import Query, rank

#: Names that are looked at in one piece; rows that are.
RUN = 500
ROWS = 20

#: Sorts by how urgent it is, name and source; no two have the same three.
Entry = tuple[int, str, str, Status]

Names = Sequence[tuple[str, Mapping[str, Status]]]


def runs(names: Names, query: Query) -> Iterator[list[Entry]]:
    """The mirrors that are asked for, sorted in each piece."""
    for start in range(0, len(names), RUN):
        yield sorted(
            (rank(status), key, source, status)
            for key, statuses in names[start : start + RUN]
            for source, status in statuses.items()
            if query.takes(key, source, status)
        )


def window(sorted_runs: Iterable[list[Entry]], start: int, stop: int) -> Iterator[list[Entry]]:
    """Those from one place to another, all runs being one; pieces of them may be empty."""
    found: list[Entry] = []
    for place, entry in enumerate(merge(*sorted_runs)):
        if place >= stop:
            break
        if place >= start:
            found.append(entry)
        if len(found) == ROWS or (not found and place % RUN == 0):
            yield found
            found = []
    yield found
