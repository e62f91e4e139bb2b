"""How much of a source is taken in. What goes beyond is rejected, one object at a time.

What is in keeps its place: a new object goes before none that was there, and a larger version of
one for which there is no room leaves the version that was good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..kube.objects import Record
from ..kube.resources import ENDPOINTSLICES, SERVICES, Resource
from ..kube.slices import service_key
from ..kube.strangers import Rejected
from .rejections import QUOTA


@dataclass(frozen=True, slots=True)
class Quotas:
    """Of one source; 0 is no limit. Endpoints count by their bytes only.

    :ivar size: bytes of JSON of all its objects.
    """

    services: int = 20_000
    slices: int = 100_000
    size: int = 1 << 30

    def most(self, resource: Resource) -> int:
        """How many objects of the resource there may be."""
        return {SERVICES: self.services, ENDPOINTSLICES: self.slices}.get(resource, 0)


class Room:
    """What a source has used of its quotas, over all its resources."""

    def __init__(self, quotas: Quotas | None = None) -> None:
        self.quotas = quotas or Quotas()
        self._used: dict[Resource, int] = {}
        self._waiting: list[Callable[[], None]] = []

    @property
    def used(self) -> int:
        """Bytes."""
        return sum(self._used.values())

    def forget(self, resource: Resource) -> None:
        """Nothing of the resource is kept any more."""
        self._used.pop(resource, None)

    def subscribe(self, freed: Callable[[], None]) -> Callable[[], None]:
        """Hear that there is more room; the result ends it."""
        self._waiting.append(freed)
        return lambda: self._waiting.remove(freed)

    def replace(
        self, resource: Resource, known: Callable[[str], Record | None], records: Iterable[Record]
    ) -> tuple[list[Record], list[Rejected]]:
        """Of a whole list what there is room for, and what not.

        :param known: the record of a key as it is kept now.
        """
        before = self._used.get(resource, 0)
        fresh = {record.key: record for record in records}
        if self._fits(resource, fresh):
            self._used[resource] = sum(len(record.body) for record in fresh.values())
            if self._used[resource] < before:
                self._tell()
            return list(fresh.values()), []
        kept = {key: old for key in fresh if (old := known(key)) is not None}
        self._used[resource] = sum(len(record.body) for record in kept.values())
        taken, rejected = [], []
        count = len(kept)
        for key, record in sorted(fresh.items(), key=lambda item: item[0] not in kept):
            old = kept.get(key)
            error = self._refusal(resource, record, old, count)
            if error is None:
                self._take(resource, record, old)
                taken.append(record)
                count += old is None
            else:
                rejected.append(error)
                if old is not None:
                    taken.append(old)
        if self._used[resource] < before:
            self._tell()
        return taken, rejected

    def _fits(self, resource: Resource, fresh: Mapping[str, Record]) -> bool:
        """Whether there is room for all: the usual case, and five times as fast."""
        most, size = self.quotas.most(resource), self.quotas.size
        total = sum(len(record.body) for record in fresh.values())
        others = self.used - self._used.get(resource, 0)
        return not (most and len(fresh) > most) and not (size and others + total > size)

    def admit(self, resource: Resource, record: Record, old: Record | None, count: int) -> None:
        """Take a version of an object in.

        :param count: how many objects of the resource there are now.
        :raises Rejected: where there is no room.
        """
        error = self._refusal(resource, record, old, count)
        if error is not None:
            raise error
        self._take(resource, record, old)
        if old is not None and len(record.body) < len(old.body):
            self._tell()

    def leave(self, resource: Resource, old: Record) -> None:
        """An object is gone."""
        self._used[resource] -= len(old.body)
        self._tell()

    def _take(self, resource: Resource, record: Record, old: Record | None) -> None:
        grown = len(record.body) - (len(old.body) if old is not None else 0)
        self._used[resource] = self._used.get(resource, 0) + grown

    def _refusal(
        self, resource: Resource, record: Record, old: Record | None, count: int
    ) -> Rejected | None:
        grown = len(record.body) - (len(old.body) if old is not None else 0)
        most, size = self.quotas.most(resource), self.quotas.size
        if old is None and most and count >= most:
            why = f"the source has more than {most} {resource.plural}"
        elif size and grown > 0 and self.used + grown > size:
            why = f"the source has more than {size} bytes"
        else:
            return None
        service = record.key if resource is not ENDPOINTSLICES else service_key(record)
        return Rejected(QUOTA, f"{record.key}: {why}", record.key, service)

    def _tell(self) -> None:
        for freed in tuple(self._waiting):
            freed()
