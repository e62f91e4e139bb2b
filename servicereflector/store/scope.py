"""What one reader may know of: what lies outside of its scope does not exist for it."""

from __future__ import annotations

from dataclasses import dataclass

from ..kube.globs import matches_any
from ..kube.objects import Record
from ..kube.selectors import LabelSelector

_EVERY_LABEL = LabelSelector()


@dataclass(frozen=True, slots=True)
class Part:
    """The objects of these namespaces with these labels.

    :ivar namespaces: globs; none for all namespaces.
    """

    namespaces: tuple[str, ...] = ()
    labels: LabelSelector = _EVERY_LABEL

    def shows(self, record: Record) -> bool:
        if self.namespaces and not matches_any(record.namespace, self.namespaces):
            return False
        return self.labels.matches(record.labels)


@dataclass(frozen=True, slots=True)
class Scope:
    """All that any of its parts shows."""

    parts: tuple[Part, ...]

    def shows(self, record: Record) -> bool:
        return any(part.shows(record) for part in self.parts)


EVERYTHING = Scope((Part(),))
