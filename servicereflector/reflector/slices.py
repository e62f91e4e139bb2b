"""A cluster's EndpointSlices by the Service that their label names, as far as they are known.

A slice has a name of its own; everything else here goes by the key of the Service. Whether a
cluster serves slices may not be known yet, and may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..kube.objects import Record
from ..kube.slices import service_key
from ..store.versioned import Listener, Store


class SliceIndex:
    """The slices of one store by Service; it follows what :meth:`changed` is told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._service: dict[str, str] = {}  # by the slice's key
        # Nearly every Service has one, and a set would take 200 bytes for it.
        self._slices: dict[str, str | set[str]] = {}
        self.changed([record.key for record in store])

    def of(self, service: str) -> tuple[Record, ...]:
        """The Service's slices, in the order of their names."""
        known = self._slices.get(service, ())
        keys = (known,) if isinstance(known, str) else sorted(known)
        found = (self._store.get(key) for key in keys)
        return tuple(record for record in found if record is not None)

    def changed(self, keys: Iterable[str]) -> set[str]:
        """These slices came, changed or went: the keys of the Services that had or have them."""
        affected = set()
        for key in keys:
            record = self._store.get(key)
            before = self._service.get(key, "")
            after = service_key(record) if record is not None else ""
            affected.add(before)
            affected.add(after)
            if before == after:
                continue
            if before:
                self._remove(before, key)
            if after:
                self._add(after, key)
        affected.discard("")
        return affected

    def _add(self, service: str, key: str) -> None:
        self._service[key] = service
        others = self._slices.setdefault(service, key)
        if isinstance(others, set):
            others.add(key)
        elif others != key:
            self._slices[service] = {others, key}

    def _remove(self, service: str, key: str) -> None:
        del self._service[key]
        of_service = self._slices[service]
        if isinstance(of_service, set):
            of_service.discard(key)
        if of_service == key or not of_service:
            del self._slices[service]


class Slices:
    """
    :ivar known: whether it was ever known what slices there are; that there are none counts.
    :ivar epoch: counts the lists, as a Store's does, and each time that they are forgotten.
    """

    def __init__(self) -> None:
        self.known = False
        self.epoch = 0
        self.store: Store | None = None
        self._index: SliceIndex | None = None
        self._listed = 0  # the store's epoch
        self._unsubscribe: Callable[[], None] = lambda: None
        self._listeners: list[Listener] = []

    @property
    def synced(self) -> bool:
        """Whether a first complete list is in."""
        return self.store is not None and self.store.synced

    def of(self, service: str) -> tuple[Record, ...]:
        return self._index.of(service) if self._index is not None else ()

    def mirrored(self, of: Callable[[str], bool] = lambda _source: True) -> set[str]:
        """The keys of the Services that have slices which the program made, if only these.

        :param of: which sources are meant.
        """
        mirrors = ((record, record.source) for record in self.store or ())
        return {
            service_key(record) for record, source in mirrors if source is not None and of(source)
        } - {""}

    def follow(self, store: Store) -> None:
        """They are in this store from now on."""
        self._unsubscribe()
        self.store = store
        self._index = SliceIndex(store)
        self._listed = 0
        self._unsubscribe = store.subscribe(self._changed)
        if store.synced:
            self._changed(())

    def forget(self) -> None:
        """There are none to be had."""
        if self.store is None and self.known:
            return
        self._unsubscribe()
        self._unsubscribe = lambda: None
        self.store = self._index = None
        self.known = True
        self.epoch += 1
        self._tell(())

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Hear the keys of the Services whose slices changed; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _changed(self, keys: tuple[str, ...]) -> None:
        assert self.store is not None
        assert self._index is not None
        services = self._index.changed(keys)
        if self.store.epoch != self._listed:
            self._listed = self.store.epoch
            self.known = True
            self.epoch += 1
        self._tell(tuple(services))

    def _tell(self, services: tuple[str, ...]) -> None:
        for listener in tuple(self._listeners):
            listener(services)
