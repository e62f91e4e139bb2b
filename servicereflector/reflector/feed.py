"""What puts keys into the queue: every change of a store that may make work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..store.versioned import Listener, Store
from .host import Host
from .queue import WorkQueue
from .slices import Slices
from .sources import Source


class Feed:
    """
    :ivar starting: whether a source's list may still change what becomes of others' mirrors.
    :param fed: called when there are keys.
    """

    def __init__(
        self, queue: WorkQueue, host: Host, sources: Sequence[Source], fed: Callable[[], None]
    ) -> None:
        self.starting = False
        self._queue = queue
        self._host = host
        self._sources = sources
        self._fed = fed
        self._epochs: dict[Store | Slices, int] = {}
        self._subscriptions: list[Callable[[], None]] = []

    def start(self) -> None:
        """Listen from now on, and queue everything."""
        host = self._host
        self._subscribe(host.namespaces, self._namespaces_changed)
        for store in (host.services, host.endpoints):
            self._subscribe(store, self._keys_changed)
        self._subscribe(host.slices, self._host_slices_changed)
        for source in self._sources:
            for followed in (source.services, source.endpoints, source.slices):
                self._subscribe(followed, self._source_listener(source, followed))
        self.everything()

    def stop(self) -> None:
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()

    def everything(self) -> None:
        """Queue every key that a source has or that the host holds a mirror of."""
        for source in self._sources:
            self._queue.add(record.key for record in source.services)
        for store in (self._host.services, self._host.endpoints):
            self._queue.add(record.key for record in store if record.source is not None)
        self._queue.add(self._host.slices.mirrored())
        self._fed()

    def _subscribe(self, store: Store | Slices, listener: Listener) -> None:
        self._subscriptions.append(store.subscribe(listener))

    def _keys_changed(self, keys: tuple[str, ...]) -> None:
        self._queue.add(keys)
        self._fed()

    def _namespaces_changed(self, namespaces: tuple[str, ...]) -> None:
        stores = [self._host.services, *(source.services for source in self._sources)]
        for namespace in namespaces:
            for store in stores:
                self._queue.add(store.keys_in(namespace))
        self._fed()

    def _host_slices_changed(self, keys: tuple[str, ...]) -> None:
        if self._is_anew(self._host.slices):
            self.everything()  # that there are slices changes every plan
        self._keys_changed(keys)

    def _source_listener(self, source: Source, store: Store | Slices) -> Listener:
        def listener(keys: tuple[str, ...]) -> None:
            self._queue.add(keys)
            if self._is_anew(store):
                # A new list: what it lacks, the mirrors may still have.
                if self.starting:
                    self.everything()
                    return
                mirrors = (self._host.services, self._host.endpoints)
                self._queue.add(r.key for m in mirrors for r in m if r.source == source.name)
                self._queue.add(record.key for record in source.services)
            self._fed()

        return listener

    def _is_anew(self, store: Store | Slices) -> bool:
        """Whether there was a list since this was asked last."""
        before = self._epochs.get(store)
        self._epochs[store] = store.epoch
        return before != store.epoch
