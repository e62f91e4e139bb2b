"""The controller: hears which keys may need work, and carries out the plan of each.

It never acts on an event. An event puts a key into the queue; a worker looks at what all sources
and the host say of that key, asks for a plan, and carries it out. Several keys are worked on at
once, one key never twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from ..cooperation import BUDGET
from ..election.fence import Fenced
from ..kube.status import ApiError
from ..kube.text import shown
from ..mirror.features import Features
from ..mirror.plan import Action, Delete, Plan, make_plan
from ..mirror.policy import EndpointsApi, Policy
from ..mirror.states import SourceState, State, Status
from ..outages import ONLY_COUNTED
from ..reasons import Code, code_of
from ..telling import tell_failure, tell_recovery
from .failing import Failing
from .feed import Feed
from .fleet import Fleet
from .host import Host
from .outcomes import Delay, Outcomes
from .queue import WorkQueue
from .refusals import Course, Refusals
from .sources import Source
from .statuses import Notice, NoticeListener
from .triggers import last_change

#: Writes in flight at a time.
WORKERS = 16

#: Seconds for which a new source without its first lists may still have mirrors to take over. Later
#: a dead source must not keep others' dead mirrors alive.
STARTING = 10.0

#: Seconds after which a key is tried again that no new attempt can help, and after which writes are
#: tried again that our role did not allow.
HOLD = 600.0

#: Seconds for which stopping waits for the writes in flight.
STOP_TIMEOUT = 3.0


class Controller(Service):
    """
    :ivar fleet: the sources.
    :ivar stats: what was done.
    :ivar statuses: what has become of each name.
    :ivar journal: what was done to each name lately.
    :ivar delays: how long changes took from a source to the host.
    :ivar may_write: whether it carries its plans out; where it may not, it makes them all the
        same, and tells what becomes of each name.
    :param sources: in configured order, which decides between those that start together.
    :param features: what the host knows, or None as long as that is not known.
    :param epoch: the time in seconds since 1970.
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
        told: NoticeListener = lambda _notice: None,
        epoch: Callable[[], float] = lambda: 0.0,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._told = told
        self._outcomes = Outcomes(self._tell, epoch)
        self.stats = self._outcomes.stats
        self.statuses = self._outcomes.statuses
        self.journal = self._outcomes.journal
        self.delays = self._outcomes.delays
        self.queue = WorkQueue(workers, reactor.seconds)
        self.may_write = may_write
        self._reactor = reactor
        self.host = host
        self._features = features
        self._policy = policy or Policy()
        self.fleet = Fleet(reactor, host, self._policy)
        self.fleet.use(sources)
        self._refusals = Refusals()
        self._failing = Failing()
        self._feed = Feed(reactor, self.queue, host, self.fleet, self._pump_soon)
        self._contested: set[str] = set()
        self._early = False  # whether a plan was made while a first list was expected
        self._work: set[Deferred[None]] = set()
        self._pumping: IDelayedCall | None = None
        self._starting: IDelayedCall | None = None
        self._forbidden: IDelayedCall | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources, in configured order."""
        return tuple(source.name for source in self.fleet.sources)

    def use(self, sources: Sequence[Source], spared: Iterable[str] | None = ()) -> None:
        """These are the sources from now on, in this order. What mirrors those that are gone is
        kept, unless the policy says otherwise; what others export is theirs.

        :param spared: the names of others, which cannot be followed now, but are not gone; None
            where those are not known yet.
        """
        before = self.fleet.sources
        self.fleet.use(sources)
        self._policy = replace(
            self._policy,
            spared=None if spared is None else frozenset(spared),
            forgotten=self._policy.forgotten - {source.name for source in sources},
        )
        if not self.running:
            return
        for source in before:
            if source not in sources:
                self._feed.all_of(source)
                self._feed.unfollow(source)
        for source in sources:
            if source not in before:
                self._feed.follow(source)
        self._await(sources)
        self.look_at_everything()

    def forget(self, source: str) -> int:
        """Delete the mirrors of a source that is not configured; how many there are.

        :raises ValueError: it is configured.
        """
        if self.fleet.named(source) is not None:
            raise ValueError(f"source {source!r} is configured: remove it first")
        self._policy = replace(self._policy, forgotten=self._policy.forgotten | {source})
        mirrors = [record.key for record in self.host.services if record.source == source]
        self.look_at_everything()
        return len(mirrors)

    def release(self, source: str) -> int:
        """Let the deletions go ahead that are held; how many there are.

        :raises ValueError: there is no such source.
        """
        if self.fleet.named(source) is None:
            configured = ", ".join(map(repr, self.sources)) or "none"
            raise ValueError(f"no source {source!r} is configured; there is: {configured}")
        released = self.fleet.breaker.release(source)
        self.queue.add(released, source)
        self._pump_soon()
        return len(released)

    def startService(self) -> None:
        Service.startService(self)
        self._await(self.fleet.sources)
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

    def take_over(self) -> None:
        """It may write from now on, where another did so far. What was held meanwhile is held from
        now on, and what is noteworthy is told again: the other may not have come to that."""
        self.fleet.take_over()
        self.statuses.tell_again()
        self.look_at_everything()

    def stand_by(self) -> None:
        """It may write no longer: what is under way is cancelled, its connections dropped."""
        self._cancel_work()
        self.look_at_everything()

    def look_at_everything(self) -> None:
        """Queue every key that a source has or that the host holds a mirror of."""
        self._feed.everything()

    def look_at_keys(self, keys: Iterable[str]) -> None:
        """Queue these."""
        self.queue.add(keys)
        self._pump_soon()

    def look_at(self, source: Source) -> None:
        """Queue every key that the source has or has a mirror under."""
        self._feed.all_of(source)

    def host_changed(self) -> None:
        """The host is of another version: what it refused so far, it may take."""
        self._refusals = Refusals()
        self.look_at_everything()

    def host_recovered(self) -> None:
        """The host answers again: what failed need not wait any longer."""
        self.queue.hurry()
        self._pump_soon()

    def features(self) -> Features | None:
        """What the host knows and takes; None as long as that, or what it has, is not known."""
        told = self._features()
        if told is None:
            return None
        features = self._refusals.apply(told)
        with_slices = (
            features.endpoint_slices and self._policy.endpoints_api is not EndpointsApi.ENDPOINTS
        )
        return features if self.host.synced(with_slices=with_slices) else None

    def each_key(self) -> Iterator[str]:
        """Every name of the host that a source wants or that has a mirror, some more than once."""
        return self._feed.keys()

    def waiting(self, source: str) -> tuple[int, float]:
        """How many names wait for what the source's events have told of them; and for how many
        seconds the first of those, or of what there is to be looked at for its lists."""
        since = (self._feed.arrivals.oldest(source), self.queue.since(source))
        now = self._reactor.seconds()
        age = max((now - oldest for oldest in since if oldest is not None), default=0.0)
        return self._feed.arrivals.count(source), age

    def all_keys(self) -> list[str]:
        """The same, in order, each once."""
        return sorted(set(self.each_key()))

    def states(self, key: str) -> list[SourceState]:
        """What each source says of a name of the host."""
        return self.fleet.states(key)

    def plan(self, key: str, features: Features) -> Plan:
        """What is to be done about a name of the host."""
        return self._plan(key, self.states(key), features)

    def _plan(self, key: str, states: Sequence[SourceState], features: Features) -> Plan:
        return make_plan(
            key,
            states,
            self.host.state(key),
            features,
            self._policy,
            recreate=self._refusals.recreate(key),
            cluster_ip=self._refusals.cluster_ip(key),
            contested=key in self._contested,
        )

    def _tell(self, notice: Notice) -> None:
        if self.may_write():
            self._told(notice)

    def _await(self, sources: Sequence[Source]) -> None:
        """The first lists of those that have none are expected soon."""
        until = self._reactor.seconds() + STARTING
        for source in sources:
            if source.awaited_until == float("-inf"):
                source.awaited_until = until
        if self._starting is not None:
            self._starting.cancel()
        self._starting = self._reactor.callLater(STARTING, self._started)

    def _started(self) -> None:
        self._starting = None
        self._contested.clear()
        if self._early:
            self._early = False
            self.look_at_everything()

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
        features = self.features()
        if features is None:
            self._pump_soon(0.2)
            return
        if self.fleet.review():
            self._pump_soon()
            return
        for source, no_longer_held in self.fleet.breaker.due(self._reactor.seconds()):
            self.queue.add((no_longer_held,), source)
        until = self._reactor.seconds() + BUDGET
        begun = 0
        while not begun or self._reactor.seconds() < until:
            key = self.queue.take(self._reactor.seconds())
            if key is None:
                due = [self.queue.next_due(), self.fleet.breaker.next_due()]
                if times := [time for time in due if time is not None]:
                    self._pump_soon(max(0.0, min(times) - self._reactor.seconds()))
                return
            self._begin(key, features)
            begun += 1
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
        wait_until = self.host.unsettled(key, now)
        if wait_until is not None:
            self.queue.add_later(key, wait_until)
            return
        states = self.states(key)
        self.fleet.believe(key, states)
        self._early = self._early or self.fleet.awaiting()
        plan = self._plan(key, states, features)
        self._feed.arrivals.plan(key)
        if not self.may_write():
            self._feed.arrivals.take(key)
            self._failing.recovered(key, now)
            self._outcomes.foreseen(key, plan)
            return
        self.stats.attempts += 1
        if plan.contested and plan.actions:
            self._contested.add(key)

        def is_wanted(deletion: Delete) -> bool:
            return any(
                isinstance(action, Delete) and action.uid == deletion.uid
                for action in self.plan(key, features).actions
            )

        for action in plan.actions:
            if isinstance(action, Delete) and action.why:
                self.log.info(
                    "{key}: the {kind} is deleted: {why}",
                    reason=Code.RECREATED,
                    key=key,
                    kind=action.resource.kind,
                    why=action.why,
                )
            try:
                await self.host.carry_out(key, action, self._reactor.seconds(), is_wanted)
            except ApiError as error:
                self._refused(key, action, error, features)
                return
            self._refusals.carried_out(key, action)
            self._outcomes.wrote(key, action)
        self._refusals.done(key)
        self.queue.forget(key)
        self._outcomes.carried_out(key, plan, self._delay(key, plan, states))
        tally = self._failing.recovered(key, self._reactor.seconds())
        tell_recovery(self.log, tally, "what could not be written is written, {after}")

    def _delay(self, key: str, plan: Plan, states: Sequence[SourceState]) -> Delay | None:
        """How long what was carried out took, where a source had told of a change."""
        arrivals = self._feed.arrivals.take(key)
        if not arrivals or not plan.actions:
            return None
        # Where that is not the owner's doing, another has let it go.
        first = min(arrivals, key=lambda source: arrivals[source].at)
        source = plan.owner if plan.owner in arrivals else first
        now = self._reactor.seconds()
        changed = None
        if source == plan.owner and arrivals[source].endpoints:
            told = ((s.endpoints, *s.slices) for s in states if s.name == source)
            changed = last_change(record for each in told for record in each if record)
        return Delay(source, now, now - arrivals[source].at, changed)

    def _refused(self, key: str, action: Action, error: ApiError, planned: Features) -> None:
        """
        :raises ApiError: where the usual delay is all that there is to do.
        """
        match self._refusals.judge(key, action, error, planned):
            case Course.AGAIN:
                self.queue.again(key)
            case Course.EVERYTHING:
                if self._forbidden is None and self.running:
                    self._forbidden = self._reactor.callLater(HOLD, self._allow_slices)
                self.queue.again(key)
                self.look_at_everything()
            case Course.HOLD:
                self.queue.add_later(key, self._reactor.seconds() + HOLD)
                self._fail(key, error, HOLD, State.REJECTED)
            case Course.RETRY:
                raise error

    def _allow_slices(self) -> None:
        self._forbidden = None
        self._refusals.slices = True
        self.look_at_everything()

    def _failed(self, failure: Failure, key: str) -> None:
        if failure.check(CancelledError, GeneratorExit, Fenced):
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
        self.log.debug("{key}", key=key, log_failure=failure)
        self._fail(key, error, delay, State.FAILED)

    def _fail(self, key: str, error: BaseException | None, delay: float, state: State) -> None:
        now = self._reactor.seconds()
        status = Status(state, code_of(error), shown(str(error)) or type(error).__name__)
        # The first failure is news, and so is one of another kind; the retries are not.
        left = self._failing.first(key, status.code, now)
        tally = self._failing.failed(key, now)
        facts = {"key": key, "error": status.reason, "delay_seconds": round(delay, 1)}
        self.log.emit(
            LogLevel.debug if left is None else LogLevel.warn,
            "{key}: {error}; again in {delay_seconds:.1f} s{more}",
            reason=status.code,
            state=state.value,
            more=ONLY_COUNTED if left == 0 else "",
            **facts,
        )
        if tally is not None:
            tell_failure(
                self.log,
                tally,
                "{still}{names} could not be written, such as {key}: {error}",
                reason=status.code,
                names="1 name" if tally.parts == 1 else f"{tally.parts} names",
                count=tally.parts,
                **facts,
            )
        exporting = [source.name for source in self.states(key) if source.exports]
        self._outcomes.failed(key, exporting, status)
