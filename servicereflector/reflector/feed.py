"""What puts keys into the queue: every change of a store that may make work.

A key comes in the lane of the source that told of it, or of whose mirrors it is looked at; what the
host's own objects lead to has a lane, too. It is fresh where an event told that it has changed;
whatever comes of a list, or of a change of something else, is not: there may be thousands of it.
What is looked at as a whole is queued a part at a time, each in a reactor turn of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..store.versioned import Listener, Store
from .arrivals import Arrivals
from .fleet import Fleet
from .host import Host
from .queue import WorkQueue
from .slices import Slices
from .sources import Source


class Feed:
    """
    :ivar arrivals: the changes that events told of and that are not carried out yet.
    :param fed: called when there are keys.
    """

    def __init__(
        self,
        clock: IReactorTime,
        queue: WorkQueue,
        host: Host,
        fleet: Fleet,
        fed: Callable[[], None],
    ) -> None:
        self.arrivals = Arrivals()
        self._clock = clock
        self._queue = queue
        self._host = host
        self._fleet = fleet
        self._fed = fed
        self._epochs: dict[Store | Slices, int] = {}
        self._subscriptions: list[Callable[[], None]] = []
        self._followed: dict[Source, list[Callable[[], None]]] = {}
        self._due: dict[Source | None, None] = {}  # to be queued as a whole; None is everything
        self._parts: Iterator[tuple[str, list[str]]] = iter(())  # of what is being queued
        self._next_part: IDelayedCall | None = None

    def start(self) -> None:
        """Listen from now on, and queue everything."""
        host = self._host
        self._subscriptions += [
            host.namespaces.subscribe(self._namespaces_changed),
            host.services.subscribe(self._host_listener(host.services)),
            host.endpoints.subscribe(self._host_listener(host.endpoints)),
            host.slices.subscribe(self._host_slices_changed),
        ]
        for source in self._fleet.sources:
            self.follow(source)
        self.everything()

    def stop(self) -> None:
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
        for source in tuple(self._followed):
            self.unfollow(source)
        if self._next_part is not None:
            self._next_part.cancel()
            self._next_part = None

    def follow(self, source: Source) -> None:
        """Listen to one more source."""
        ends = self._followed[source] = [source.start()]
        for store in (source.services, source.endpoints, source.slices):
            ends.append(store.subscribe(self._source_listener(source, store)))

    def unfollow(self, source: Source) -> None:
        for unsubscribe in self._followed.pop(source, ()):
            unsubscribe()
        self.arrivals.forget(source.name)
        for store in (source.services, source.endpoints, source.slices):
            self._epochs.pop(store, None)

    def everything(self) -> None:
        """Queue every key that a source has or that the host holds a mirror of."""
        self._queue_soon(None)

    def keys(self) -> Iterator[str]:
        """Every key that a source has or that the host holds a mirror of, some more than once."""
        for _, keys in self.keys_by_lane():
            yield from keys

    def keys_by_lane(self) -> Iterator[tuple[str, list[str]]]:
        """The same, part by part as it is asked for."""
        for source in self._fleet.sources:
            yield source.name, source.host_keys()
        for store in (self._host.services, self._host.endpoints):
            mirrors: dict[str, list[str]] = {source.name: [] for source in self._fleet.sources}
            for record in store:
                if record.source is not None:
                    lane = record.source if record.source in mirrors else ""
                    mirrors.setdefault(lane, []).append(record.key)
            yield from mirrors.items()
        yield "", list(self._host.slices.mirrored())

    def all_of(self, source: Source) -> None:
        """Queue every key that the source has or that the host holds a mirror of it under."""
        self._queue_soon(source)

    def _keys_of(self, source: Source) -> Iterator[tuple[str, list[str]]]:
        for store in (self._host.services, self._host.endpoints):
            yield (
                source.name,
                [r.key for r in store if r.source is not None and source.answers_to(r.source)],
            )
        yield source.name, list(self._host.slices.mirrored(source.answers_to))
        yield source.name, source.host_keys()

    def _queue_soon(self, what: Source | None) -> None:
        self._due[what] = None
        if self._next_part is None:
            self._next_part = self._clock.callLater(0, self._queue_part)

    def _queue_part(self) -> None:
        self._next_part = None
        part = next(self._parts, None)
        if part is None and self._due:
            what = next(iter(self._due))
            del self._due[what]
            self._parts = self.keys_by_lane() if what is None else self._keys_of(what)
            part = next(self._parts, None)
        if part is not None:
            lane, keys = part
            self._queue.add(keys, lane)
            self._next_part = self._clock.callLater(0, self._queue_part)
        self._fed()

    def _host_listener(self, store: Store) -> Listener:
        def listener(keys: tuple[str, ...]) -> None:
            self._queue.add(keys, fresh=not self._is_anew(store))
            self._fed()

        return listener

    def _namespaces_changed(self, namespaces: tuple[str, ...]) -> None:
        for namespace in namespaces:
            self._queue.add(self._host.services.keys_in(namespace))
            for source in self._fleet.sources:
                self._queue.add(source.host_keys_in(namespace), source.name)
        self._fed()

    def _host_slices_changed(self, keys: tuple[str, ...]) -> None:
        anew = self._is_anew(self._host.slices)
        if anew:
            self.everything()  # that there are slices changes every plan
        self._queue.add(keys, fresh=not anew)
        self._fed()

    def _source_listener(self, source: Source, store: Store | Slices) -> Listener:
        def listener(keys: tuple[str, ...]) -> None:
            anew = self._is_anew(store)
            if anew:
                # A new list: what it lacks, the mirrors may still have, or only the status tells.
                gone = [source.host_key(key) for key in keys if source.services.get(key) is None]
                self._queue.add(gone, source.name)
                self._queue_soon(None if self._fleet.awaiting() else source)
                return
            here = [source.host_key(key) for key in keys]
            now = self._clock.seconds()
            for key in here:
                self.arrivals.note(source.name, key, now, endpoints=store is not source.services)
            self._queue.add(here, source.name, fresh=True)
            self._fed()

        return listener

    def _is_anew(self, store: Store | Slices) -> bool:
        """Whether there was a list since this was asked last."""
        before = self._epochs.get(store)
        self._epochs[store] = store.epoch
        return before != store.epoch
