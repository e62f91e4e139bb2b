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
from ..mirror.plan import Action, Delete, make_plan
from ..mirror.policy import EndpointsApi, Policy
from .feed import Feed
from .host import Host
from .queue import WorkQueue
from .refusals import Course, Refusals
from .sources import Source
from .statuses import ConflictListener, Statuses

#: Writes in flight at a time.
WORKERS = 16

#: Keys that one reactor turn begins at most: a backlog must not stop the reactor.
KEYS_PER_TURN = 50

#: Seconds after the start for which a source without its first lists may still have mirrors to take
#: over. Later a dead source must not keep others' dead mirrors alive.
STARTING = 10.0

#: Seconds after which a key is tried again that no new attempt can help, and after which writes are
#: tried again that our role did not allow.
HOLD = 600.0

#: Seconds for which stopping waits for the writes in flight.
STOP_TIMEOUT = 3.0


@dataclass(slots=True)
class Stats:
    """What the controller did.

    :ivar conflicts: writes that found the object changed, gone or there already: news, not errors.
    """

    attempts: int = 0
    errors: int = 0
    conflicts: int = 0
    writes: dict[tuple[str, str], int] = field(default_factory=dict)


class Controller(Service):
    """
    :param sources: in configured order, which decides between those that start together.
    :param features: what the host knows, or None as long as that is not known.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        host: Host,
        sources: Sequence[Source],
        *,
        features: Callable[[], Features | None],
        policy: Policy | None = None,
        workers: int = WORKERS,
        in_conflict: ConflictListener = lambda _key, _source, _reason: None,
    ) -> None:
        self.stats = Stats()
        self.statuses = Statuses(in_conflict)
        self.queue = WorkQueue()
        self._reactor = reactor
        self._host = host
        self._sources = tuple(sources)
        self._features = features
        self._policy = policy or Policy()
        self._workers = workers
        self._refusals = Refusals()
        self._feed = Feed(self.queue, host, self._sources, self._pump_soon)
        self._work: set[Deferred[None]] = set()
        self._pumping: IDelayedCall | None = None
        self._starting: IDelayedCall | None = None
        self._forbidden: IDelayedCall | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources, in configured order."""
        return tuple(source.name for source in self._sources)

    def startService(self) -> None:
        Service.startService(self)
        self._starting = self._reactor.callLater(STARTING, self._started)
        self._feed.starting = True
        self._feed.start()

    def stopService(self) -> Deferred[None]:
        """Take no more keys; the result fires when the writes in flight have ended."""
        Service.stopService(self)
        self._feed.stop()
        for call in (self._pumping, self._starting, self._forbidden):
            if call is not None:
                call.cancel()
        self._pumping = self._starting = self._forbidden = None
        stopped = DeferredList(self._work, consumeErrors=True)
        late = self._reactor.callLater(STOP_TIMEOUT, self._cancel_work)

        def ended(_result: object) -> None:
            if late.active():
                late.cancel()

        return stopped.addBoth(ended)

    def look_at_everything(self) -> None:
        """Queue every key that a source has or that the host holds a mirror of."""
        self._feed.everything()

    def host_changed(self) -> None:
        """The host is of another version: what it refused so far, it may take."""
        self._refusals = Refusals()
        self.look_at_everything()

    def _started(self) -> None:
        self._starting = None
        self._feed.starting = False
        self.look_at_everything()

    def _states(self, key: str) -> list[SourceState]:
        starting = self._starting is not None
        return [source.state(key, starting) for source in self._sources]

    def _cancel_work(self) -> None:
        for work in tuple(self._work):
            work.cancel()

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
        told = self._features()
        features = self._refusals.apply(told) if told is not None else None
        if features is None or not self._host.synced(with_slices=self._needs_slices(features)):
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

    def _needs_slices(self, features: Features) -> bool:
        return features.endpoint_slices and self._policy.endpoints_api is not EndpointsApi.ENDPOINTS

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
        plan = make_plan(
            namespace,
            self._states(key),
            self._host.state(namespace, key),
            features,
            self._policy,
            recreate=self._refusals.recreate(key),
            cluster_ip=self._refusals.cluster_ip(key),
        )
        for action in plan.actions:
            if isinstance(action, Delete) and action.why:
                self.log.info(
                    "{key}: the {kind} is deleted: {why}",
                    key=key,
                    kind=action.resource.kind,
                    why=action.why,
                )
            try:
                await self._host.carry_out(key, action, self._reactor.seconds())
            except ApiError as error:
                self._refused(key, action, error, features)
                return
            self._refusals.carried_out(key, action)
            self._count(action)
        self._refusals.done(key)
        self.queue.forget(key)
        self.statuses.note(key, plan.statuses)

    def _refused(self, key: str, action: Action, error: ApiError, planned: Features) -> None:
        """
        :raises ApiError: where the usual delay is all that there is to do.
        """
        match self._refusals.judge(key, action, error, planned):
            case Course.AGAIN:
                self.queue.add((key,))
            case Course.EVERYTHING:
                if self._forbidden is None and self.running:
                    self._forbidden = self._reactor.callLater(HOLD, self._allow_slices)
                self.queue.add((key,))
                self.look_at_everything()
            case Course.HOLD:
                self.queue.add_later(key, self._reactor.seconds() + HOLD)
                self._note_failure(key, error, HOLD)
            case Course.RETRY:
                raise error

    def _allow_slices(self) -> None:
        self._forbidden = None
        self._refusals.slices = True
        self.look_at_everything()

    def _count(self, action: Action) -> None:
        what = (type(action).__name__.lower(), action.resource.plural)
        self.stats.writes[what] = self.stats.writes.get(what, 0) + 1

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
        # Not a refusal but a fault of ours, or an object of a shape that was never seen: the trace
        # helps whoever mends it.
        self.log.debug("{key}: {trace}", key=key, trace=failure.getTraceback())
        self._note_failure(key, error, delay)

    def _note_failure(self, key: str, error: BaseException | None, delay: float) -> None:
        self.stats.errors += 1
        reason = str(error) or type(error).__name__
        exporting = {source.name for source in self._states(key) if source.exports}
        self.log.warn(
            "{key}: {reason}; again in {delay:.1f} s", key=key, reason=reason, delay=delay
        )
        self.statuses.note(key, {name: Status(State.FAILED, reason) for name in exporting})
