"""The changes that sources have told of and that are not carried out yet. Values only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class Arrival:
    """
    :ivar at: when the first of a name's changes arrived, in the reactor's seconds.
    :ivar endpoints: whether any of them was of Endpoints or slices.
    """

    at: float
    endpoints: bool


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
        arrival.endpoints = arrival.endpoints or endpoints

    def take(self, key: str) -> Arrival | None:
        """The name is carried out: what waited of it, of whatever source, if anything did."""
        found = [told.pop(key) for told in self._sources.values() if key in told]
        if not found:
            return None
        return Arrival(min(one.at for one in found), any(one.endpoints for one in found))

    def forget(self, source: str) -> None:
        """Nobody follows it any more."""
        self._sources.pop(source, None)

    def count(self, source: str) -> int:
        """How many names wait."""
        return len(self._sources.get(source, ()))

    def oldest(self, source: str) -> float | None:
        """When the change arrived that has waited for longest."""
        waiting = self._sources.get(source)
        return next(iter(waiting.values())).at if waiting else None
