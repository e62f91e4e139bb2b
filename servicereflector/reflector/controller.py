"""The controller: hears which keys may need work, and carries out the plan of each.

It never acts on an event. An event puts a key into the queue; a worker looks at what all sources
and the host say of that key, asks for a plan, and carries it out. Several keys are worked on at
once, one key never twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.objects import split_key
from ..kube.status import ApiError
from ..mirror.features import Features
from ..mirror.ownership import SourceState, State, Status
from ..mirror.plan import Action, make_plan
from ..store.versioned import Store
from .host import Host
from .queue import WorkQueue

#: Writes in flight at a time.
WORKERS = 16

#: Keys that one reactor turn begins at most: a backlog must not stop the reactor.
KEYS_PER_TURN = 50

#: Seconds after the start for which a source without its first lists may still have mirrors to take
#: over. Later a dead source must not keep others' dead mirrors alive.
STARTING = 10.0

#: Seconds for which stopping waits for the writes in flight.
STOP_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class Source:
    """A source's stores, by the name that its mirrors carry."""

    name: str
    services: Store
    endpoints: Store

    @property
    def synced(self) -> bool:
        return self.services.synced and self.endpoints.synced

    def state(self, key: str, starting: bool) -> SourceState:
        return SourceState(
            self.name,
            self.synced,
            self.services.get(key),
            self.endpoints.get(key),
            awaited=starting and not self.synced,
        )


@dataclass(slots=True)
class Stats:
    """What the controller did.

    :ivar conflicts: writes that found the object changed, gone or there already: news, not errors.
    """

    attempts: int = 0
    errors: int = 0
    conflicts: int = 0
    writes: dict[tuple[str, str], int] = field(default_factory=dict)


#: Told when a source's Service turns out to be in conflict: the key, the source, the reason.
ConflictListener = Callable[[str, str, str], None]


class Controller(Service):
    """
    :param sources: in configured order, which decides between those that start together.
    :param features: what the host knows, or None as long as that is not known.
    :param prune: whether mirrors of sources that are not configured are deleted.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        host: Host,
        sources: Sequence[Source],
        *,
        features: Callable[[], Features | None],
        prune: bool = False,
        workers: int = WORKERS,
        in_conflict: ConflictListener = lambda _key, _source, _reason: None,
    ) -> None:
        self.stats = Stats()
        self.statuses: dict[str, dict[str, Status]] = {}
        self.queue = WorkQueue()
        self._reactor = reactor
        self._host = host
        self._sources = tuple(sources)
        self._features = features
        self._prune = prune
        self._workers = workers
        self._in_conflict = in_conflict
        self._epochs: dict[Store, int] = {}
        self._subscriptions: list[Callable[[], None]] = []
        self._work: set[Deferred[None]] = set()
        self._pumping: IDelayedCall | None = None
        self._starting: IDelayedCall | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources, in configured order."""
        return tuple(source.name for source in self._sources)

    def startService(self) -> None:
        Service.startService(self)
        host = self._host
        self._subscribe(host.namespaces, self._namespaces_changed)
        for store in (host.services, host.endpoints):
            self._subscribe(store, self._keys_changed)
        for source in self._sources:
            for store in (source.services, source.endpoints):
                self._subscribe(store, self._source_listener(source, store))
        self._starting = self._reactor.callLater(STARTING, self._started)
        self.look_at_everything()

    def stopService(self) -> Deferred[None]:
        """Take no more keys; the result fires when the writes in flight have ended."""
        Service.stopService(self)
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
        for call in (self._pumping, self._starting):
            if call is not None:
                call.cancel()
        self._pumping = self._starting = None
        stopped = DeferredList(self._work, consumeErrors=True)
        late = self._reactor.callLater(STOP_TIMEOUT, self._cancel_work)

        def ended(_result: object) -> None:
            if late.active():
                late.cancel()

        return stopped.addBoth(ended)

    def look_at_everything(self) -> None:
        """Queue every key that a source has or that the host holds a mirror of."""
        for source in self._sources:
            self.queue.add(record.key for record in source.services)
        for store in (self._host.services, self._host.endpoints):
            self.queue.add(record.key for record in store if record.source is not None)
        self._pump_soon()

    def _started(self) -> None:
        self._starting = None
        self.look_at_everything()

    def _states(self, key: str) -> list[SourceState]:
        starting = self._starting is not None
        return [source.state(key, starting) for source in self._sources]

    def _cancel_work(self) -> None:
        for work in tuple(self._work):
            work.cancel()

    def _subscribe(self, store: Store, listener: Callable[[tuple[str, ...]], None]) -> None:
        self._subscriptions.append(store.subscribe(listener))

    def _keys_changed(self, keys: tuple[str, ...]) -> None:
        self.queue.add(keys)
        self._pump_soon()

    def _namespaces_changed(self, namespaces: tuple[str, ...]) -> None:
        stores = [self._host.services, *(source.services for source in self._sources)]
        for namespace in namespaces:
            for store in stores:
                self.queue.add(store.keys_in(namespace))
        self._pump_soon()

    def _source_listener(self, source: Source, store: Store) -> Callable[[tuple[str, ...]], None]:
        def listener(keys: tuple[str, ...]) -> None:
            self.queue.add(keys)
            if self._epochs.get(store) != store.epoch:
                # A new list: what it lacks, the mirrors may still have.
                self._epochs[store] = store.epoch
                if self._starting is not None:
                    self.look_at_everything()
                    return
                mirrors = (self._host.services, self._host.endpoints)
                self.queue.add(r.key for m in mirrors for r in m if r.source == source.name)
                self.queue.add(record.key for record in source.services)
            self._pump_soon()

        return listener

    def _pump_soon(self, delay: float = 0.0) -> None:
        due = self._reactor.seconds() + delay
        if not self.running or (self._pumping is not None and self._pumping.getTime() <= due):
            return
        if self._pumping is not None:
            self._pumping.cancel()
        self._pumping = self._reactor.callLater(delay, self._pump)

    def _pump(self) -> None:
        """Begin as many keys as there are free workers; the rest waits for a later turn."""
        self._pumping = None
        features = self._features()
        if not self._host.synced or features is None:
            self._pump_soon(0.2)
            return
        for _ in range(KEYS_PER_TURN):
            if self.queue.working >= self._workers:
                return
            key = self.queue.take(self._reactor.seconds())
            if key is None:
                due = self.queue.next_due()
                if due is not None:
                    self._pump_soon(max(0.0, due - self._reactor.seconds()))
                return
            self._begin(key, features)
        self._pump_soon()

    def _begin(self, key: str, features: Features) -> None:
        work = Deferred.fromCoroutine(self._reconcile(key, features))
        self._work.add(work)
        work.addErrback(self._failed, key)
        work.addBoth(self._ended, key, work)

    def _ended(self, _result: None, key: str, work: Deferred[None]) -> None:
        self._work.discard(work)
        self.queue.done(key)
        self._pump_soon()

    async def _reconcile(self, key: str, features: Features) -> None:
        now = self._reactor.seconds()
        wait_until = self._host.unsettled(key, now)
        if wait_until is not None:
            self.queue.add_later(key, wait_until)
            return
        self.stats.attempts += 1
        namespace, _ = split_key(key)
        host = self._host.state(namespace, key)
        plan = make_plan(namespace, self._states(key), host, features, prune=self._prune)
        for action in plan.actions:
            await self._host.carry_out(key, action, self._reactor.seconds())
            self._count(action)
        self.queue.forget(key)
        self._note(key, plan.statuses)

    def _count(self, action: Action) -> None:
        what = (type(action).__name__.lower(), action.resource.plural)
        self.stats.writes[what] = self.stats.writes.get(what, 0) + 1

    def _note(self, key: str, statuses: dict[str, Status]) -> None:
        before = self.statuses.get(key, {})
        if statuses:
            self.statuses[key] = statuses
        else:
            self.statuses.pop(key, None)
        for source, status in statuses.items():
            if before.get(source) != status:
                # Pending is what nearly every new Service is for a moment.
                level = self.log.debug if status.state is State.PENDING else self.log.info
                level(
                    "{key} of {source}: {state}{reason}",
                    key=key,
                    source=source,
                    state=status.state.value,
                    reason=f": {status.reason}" if status.reason else "",
                )
                if status.state is State.CONFLICT:
                    self._in_conflict(key, source, status.reason)
        for source in before.keys() - statuses.keys():
            self.log.info("{key} of {source}: no longer mirrored", key=key, source=source)

    def _failed(self, failure: Failure, key: str) -> None:
        if failure.check(CancelledError):
            return
        error = failure.value
        delay = self.queue.retry(key, self._reactor.seconds())
        if isinstance(error, ApiError) and error.code in (404, 409):
            # The host has moved on since we looked: look again.
            self.stats.conflicts += 1
            self.log.debug("{key}: {error}; looking again", key=key, error=error.message)
            return
        self.stats.errors += 1
        reason = str(error) or type(error).__name__
        exporting = {source.name for source in self._states(key) if source.exports}
        self.log.warn(
            "{key}: {reason}; again in {delay:.1f} s", key=key, reason=reason, delay=delay
        )
        # Not a refusal but a fault of ours, or an object of a shape that was never seen: the trace
        # helps whoever mends it.
        self.log.debug("{key}: {trace}", key=key, trace=failure.getTraceback())
        self._note(key, {name: Status(State.FAILED, reason) for name in exporting})
