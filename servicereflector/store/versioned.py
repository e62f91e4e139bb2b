"""The versioned store: all objects of one resource as one cluster's API tells them.

It is fed with lists and watch events and keeps the upstream's own resourceVersions, so whatever
reads it can resume anywhere where the same upstream is read. It encodes nothing, knows no clock
and no socket; who wants to hear of changes subscribes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..kube.objects import Record
from ..kube.resources import Resource
from ..kube.status import expired_list, expired_watch
from ..kube.watchevents import EventType
from .history import Change, History

#: Called with the keys that changed; with none where only the version has.
Listener = Callable[[tuple[str, ...]], None]
Predicate = Callable[[Record], bool]

#: kube-apiserver keeps about 100 to 100,000 events a resource in its watch cache.
MAX_CHANGES = 20_000
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Selection:
    """A consistent answer to a list.

    :ivar next_start: where the next page starts, if there is one; else ``""``.
    :ivar remaining: how many keys follow, selected or not.
    """

    records: tuple[Record, ...]
    version: int
    next_start: str = ""
    remaining: int = 0


class Store:
    """The current objects and the recent changes.

    :ivar version: the newest resourceVersion that the upstream told.
    :ivar floor: the oldest version from which every later change is still known.
    :ivar epoch: counts the lists; a reader that began in another epoch cannot go on, since what
        happened between two lists is not known.
    """

    def __init__(
        self, resource: Resource, *, max_changes: int = MAX_CHANGES, max_bytes: int = MAX_BYTES
    ) -> None:
        self.resource = resource
        self.version = 0
        self.floor = 0
        self.epoch = 0
        self.history = History(max_changes, max_bytes)
        self._records: dict[str, Record] = {}
        self._order: list[str] = []
        self._listeners: list[Listener] = []

    @property
    def synced(self) -> bool:
        """Whether a first complete list is in."""
        return self.epoch > 0

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def get(self, key: str) -> Record | None:
        return self._records.get(key)

    def keys_in(self, namespace: str) -> list[str]:
        """The keys of one namespace, in order."""
        first = bisect_left(self._order, namespace + "/")
        return self._order[first : bisect_left(self._order, namespace + "0")]  # "0" follows "/"

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Hear of every change; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def replace(self, records: Iterable[Record], version: int) -> None:
        """Take over a complete list. The history before it is gone, and with it every reader's."""
        fresh = {record.key: record for record in records}
        changed = [key for key in self._records if key not in fresh]
        changed += [
            key
            for key, record in fresh.items()
            if (known := self._records.get(key)) is None or known.body != record.body
        ]
        self._records = fresh
        self._order = sorted(fresh)
        self.version = self.floor = version
        self.epoch += 1
        self.history.clear()
        self._tell(tuple(changed))

    def apply(self, event_type: EventType, record: Record) -> None:
        """Take over one event. One that is not newer than the store is a repetition: ignored."""
        if record.version <= self.version:
            return
        key = record.key
        old = self._records.get(key)
        self.version = record.version
        if event_type is EventType.DELETED:
            if old is None:
                self._tell((key,))  # of what was kept for it elsewhere, nothing may be left
                return
            del self._records[key]
            del self._order[bisect_left(self._order, key)]
            change = Change(record.version, old, None, record)
        else:
            if old is None:
                insort(self._order, key)
            self._records[key] = record
            change = Change(record.version, old, record, record)
        dropped = self.history.append(change)
        if dropped is not None:
            self.floor = dropped
        self._tell((key,))

    def advance(self, version: int) -> None:
        """Take over a bookmark: nothing has changed up to this version."""
        if version > self.version:
            self.version = version
            self._tell(())

    def position_after(self, version: int) -> int:
        """Where a reader starts that has seen everything up to ``version``.

        :raises ApiError: 410, where the history no longer reaches back to it.
        """
        if version < self.floor:
            raise expired_watch(version, self.floor)
        return self.history.position_after(version)

    def select(
        self,
        predicate: Predicate,
        *,
        at: int | None = None,
        start: str = "",
        limit: int = 0,
        namespace: str = "",
        exists: Predicate | None = None,
    ) -> Selection:
        """The selected objects in the order of their keys.

        :param at: the version to look at; None for the newest.
        :param start: the key from which on; one that is not there stands where it would be.
        :param limit: at most so many objects; 0 for all.
        :param namespace: of this namespace only; ``""`` for all.
        :param exists: false of objects that are not to be told of, not even by their number;
            None where there are none.
        :raises ApiError: 410, where the history no longer reaches back to ``at``.
        """
        records, order = self._at(at)
        first = bisect_left(order, start)
        last = len(order)
        if namespace:
            first = max(first, bisect_left(order, namespace + "/"))
            last = bisect_left(order, namespace + "0")
        found: list[Record] = []
        for index in range(first, last):
            record = records[order[index]]
            if predicate(record):
                found.append(record)
                if len(found) != limit:
                    continue
                remaining = last - index - 1
                if exists is not None:
                    remaining = sum(exists(records[key]) for key in order[index + 1 : last])
                if remaining:
                    # The least key after this one, as etcd's pages go on.
                    start = order[index] + "\0"
                    return Selection(tuple(found), at or self.version, start, remaining)
        return Selection(tuple(found), self.version if at is None else at)

    def _at(self, version: int | None) -> tuple[dict[str, Record], list[str]]:
        if version is None or version >= self.version:
            return self._records, self._order
        if version < self.floor:
            raise expired_list()
        position = self.history.position_after(version)
        if position == self.history.end:
            return self._records, self._order
        undone: dict[str, Record | None] = {}
        for change in self.history.since(position):
            undone.setdefault(change.key, change.old)
        records = {**self._records}
        for key, old in undone.items():
            if old is None:
                records.pop(key, None)
            else:
                records[key] = old
        return records, sorted(records)

    def _tell(self, keys: tuple[str, ...]) -> None:
        for listener in tuple(self._listeners):
            listener(keys)
