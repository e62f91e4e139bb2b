"""The changes that sources have told of and that are not carried out yet. Values only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class Arrival:
    """What a source has told of a name.

    :ivar at: when the first of its changes arrived, in the reactor's seconds.
    :ivar endpoints: whether any of them was of Endpoints or slices.
    :ivar planned: whether a plan was made with them.
    :ivar later: what has come since.
    """

    at: float
    endpoints: bool
    planned: bool = False
    later: Arrival | None = None


class Arrivals:
    """By source and name; memory is bounded by the names that wait."""

    def __init__(self) -> None:
        # Not a dict, of which to find the first name takes long where many before it are gone.
        self._sources: dict[str, OrderedDict[str, Arrival]] = {}

    def note(self, source: str, key: str, now: float, *, endpoints: bool) -> None:
        """The source told of a change."""
        arrival = self._sources.setdefault(source, OrderedDict()).setdefault(
            key, Arrival(now, endpoints)
        )
        if arrival.planned:
            arrival.later = arrival.later or Arrival(now, endpoints)
            arrival = arrival.later
        arrival.endpoints = arrival.endpoints or endpoints

    def plan(self, key: str) -> None:
        """A plan is made with all that was told of the name, also of what a failed one was."""
        for told in self._sources.values():
            if key in told:
                arrival = told[key]
                arrival.planned = True
                if arrival.later is not None:
                    arrival.endpoints = arrival.endpoints or arrival.later.endpoints
                    arrival.later = None

    def take(self, key: str) -> dict[str, Arrival]:
        """The name's last plan is carried out: what waited for it, by source. What was told after
        it was made waits on."""
        taken = {}
        for source, told in self._sources.items():
            arrival = told.get(key)
            if arrival is not None and arrival.planned:
                taken[source] = told.pop(key)
                if arrival.later is not None:
                    told[key] = arrival.later
        return taken

    def forget(self, source: str) -> None:
        """Nobody follows it any more."""
        self._sources.pop(source, None)

    def count(self, source: str) -> int:
        """How many names wait."""
        return len(self._sources.get(source, ()))

    def oldest(self, source: str) -> float | None:
        """When the change arrived that has waited for longest. One that came while its name was
        written stands behind those that came before the end of that."""
        waiting = self._sources.get(source)
        return next(iter(waiting.values())).at if waiting else None
