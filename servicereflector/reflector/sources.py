"""A source as the controller sees it: its stores."""

from __future__ import annotations

from dataclasses import dataclass

from ..mirror.ownership import SourceState
from ..store.versioned import Store
from .slices import Slices


@dataclass(frozen=True, slots=True)
class Source:
    """A source's stores, by the name that its mirrors carry."""

    name: str
    services: Store
    endpoints: Store
    slices: Slices

    @property
    def synced(self) -> bool:
        """Whether its first lists are in. A source whose slices are still to come is not planned
        from its Endpoints: with each start of the program every mirror would be rewritten twice."""
        return self.services.synced and self.endpoints.synced and self.slices.known

    def state(self, key: str, starting: bool) -> SourceState:
        """
        :param starting: whether first lists are still expected to come any moment.
        """
        return SourceState(
            self.name,
            self.synced,
            service=self.services.get(key),
            endpoints=self.endpoints.get(key),
            awaited=starting and not self.synced,
            slices=self.slices.of(key),
        )
