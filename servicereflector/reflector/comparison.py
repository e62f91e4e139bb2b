"""The Service that compares, from time to time, all that is desired with all that is there.

Level-triggered work needs an event, or a store that is right. Should one have been missed, or a
store be wrong, nobody would notice: here it is looked for, and should never be found.

- The host's stores are compared with a list of the mirrors, a page at a time. A store that is wrong
  is listed anew.
- For every key that does not wait for anything the plan must be empty; else it is queued. What does
  not write compares no plans: there is always something that others have not done yet.

A round is done in slices of the reactor's time, with a pause after each, which is longer while keys
wait to be worked on; so it is never in the way, and comes to its end all the same. A request that
fails ends the round, and the next is not far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.annotations import REFLECTED
from ..listwatch.informer import Informer
from ..reasons import Code
from .controller import Controller
from .differences import judge

#: Seconds that a slice takes at most, but for its last key.
BUDGET = 0.02

#: Seconds between two slices: a fifth of the time is the comparison's at most.
PAUSE = 0.08

#: The same while keys wait to be worked on.
LONG_PAUSE = 1.0

#: Seconds after which what looked wrong is looked at again: what is just being done is no
#: difference.
CONFIRM = 1.0

#: Seconds between two looks at whether a store has caught up.
INTERVAL = 5.0

#: Seconds that a watch may lag: a dead one is opened anew after 90.
LAG = 120.0

#: Part of the period by which it may be shorter or longer, so that clusters do not go together.
JITTER = 0.1

#: Differences of a kind that are told by their keys in one round.
MOST_TOLD = 10


class RequestFailed(Exception):
    """The host did not answer as it should; the message says how."""


@dataclass(slots=True)
class ComparisonStats:
    """
    :ivar compared: by kind: the keys whose plan was made, the objects that were listed.
    :ivar differences: by kind.
    :ivar duration: of the last round, in seconds, its pauses included.
    :ivar longest_slice: that there ever was, in seconds.
    """

    rounds: int = 0
    compared: dict[str, int] = field(default_factory=lambda: {"plan": 0, "store": 0})
    differences: dict[str, int] = field(default_factory=lambda: {"plan": 0, "store": 0})
    duration: float = 0.0
    longest_slice: float = 0.0


class Comparison(Service):
    """
    :ivar stats: what it did and found.
    :param informers: those that follow the host's Services and what is behind them.
    :param writes: whether the controller carries its plans out now.
    :param period: seconds between two rounds.
    :param random: a draw from [0, 1).
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        controller: Controller,
        informers: Callable[[], Iterable[Informer]],
        *,
        writes: Callable[[], bool],
        period: float,
        random: Callable[[], float],
    ) -> None:
        self.stats = ComparisonStats()
        self._reactor = reactor
        self._controller = controller
        self._informers = informers
        self._writes = writes
        self._period = period
        self._random = random
        self._timer: IDelayedCall | None = None
        self._round: Deferred[None] | None = None

    def startService(self) -> None:
        Service.startService(self)
        self._wait()

    def stopService(self) -> None:
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._round is not None:
            self._round.cancel()

    def _wait(self) -> None:
        period = self._period * (1 - JITTER + 2 * JITTER * self._random())
        self._timer = self._reactor.callLater(period, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._round = Deferred.fromCoroutine(self._compare())
        self._round.addErrback(self._failed).addBoth(self._ended)

    def _failed(self, failure: Failure) -> None:
        if failure.check(RequestFailed):
            self.log.debug("the comparison ends early: {error}", error=failure.value)
        elif not failure.check(CancelledError, GeneratorExit):
            self.log.failure("the comparison failed", failure, reason=Code.INTERNAL_ERROR)

    def _ended(self, _result: None) -> None:
        self._round = None
        if self.running:
            self._wait()

    async def _compare(self) -> None:
        began = self._reactor.seconds()
        for informer in tuple(self._informers()):
            if informer.store.synced:
                await self._compare_store(informer)
        if self._writes():
            await self._compare_plans()
        self.stats.rounds += 1
        self.stats.duration = self._reactor.seconds() - began

    # Plans

    async def _compare_plans(self) -> None:
        wrong = await self._look_at(self._keys())
        if wrong:
            await self._sleep(CONFIRM)
            wrong = await self._look_at(wrong)
        self._tell("plan", wrong, "there is something to do of which nothing had told")
        self._controller.look_at_keys(wrong)

    def _keys(self) -> Iterator[str]:
        """All that there are now, each once."""
        seen: set[str] = set()
        for key in self._controller.each_key():
            if key not in seen:
                seen.add(key)
                yield key

    async def _look_at(self, keys: Iterable[str]) -> list[str]:
        """Those that the plan would do something about, a slice at a time."""
        wrong = []
        began = self._reactor.seconds()
        for key in keys:
            if self._is_wrong(key):
                wrong.append(key)
            self.stats.compared["plan"] += 1
            if self._reactor.seconds() - began >= BUDGET:
                began = await self._next_slice(began)
        self._note_slice(began)
        return wrong

    def _is_wrong(self, key: str) -> bool:
        controller = self._controller
        features = controller.features()
        if features is None or key in controller.queue:
            return False
        if controller.host.unsettled(key, self._reactor.seconds()) is not None:
            return False
        return bool(controller.plan(key, features).actions)

    # Stores

    async def _compare_store(self, informer: Informer) -> None:
        """Compare it until it is right, found to be wrong, or known to have lost its API."""
        store = informer.store
        changed: set[str] = set()
        unsubscribe = store.subscribe(changed.update)
        try:
            deadline = self._reactor.seconds() + LAG
            listed, version = await self._list(informer)
            await self._sleep(CONFIRM)
            while True:
                began = self._reactor.seconds()
                late = began >= deadline
                if late and not informer.stats.connected:
                    return
                held = {r.key: r.version for r in store if r.labels.get(REFLECTED) == "true"}
                verdict = judge(listed, version, held, store.version, changed=changed, late=late)
                self._note_slice(began)
                if verdict.wrong or not verdict.undecided:
                    break
                await self._sleep(INTERVAL)
        finally:
            unsubscribe()
        resource = store.resource.plural
        self._tell("store", verdict.wrong, f"what is known of the host's {resource} is wrong")
        if verdict.wrong:
            informer.relist()

    async def _list(self, informer: Informer) -> tuple[dict[str, int], int]:
        """The versions of the mirrors by their keys, and the list's own."""
        listed: dict[str, int] = {}
        token = ""
        while True:
            try:
                page = await informer.page(f"{REFLECTED}=true", token)
            except Exception as error:
                raise RequestFailed(str(error) or type(error).__name__) from error
            listed.update((record.key, record.version) for record in page.records)
            self.stats.compared["store"] += len(page.records)
            token = page.continue_token
            if not token:
                return listed, page.version
            await self._sleep(PAUSE)

    # Slices

    async def _next_slice(self, began: float) -> float:
        """Let others work; when the next slice begins."""
        self._note_slice(began)
        await self._sleep(LONG_PAUSE if self._controller.queue.ready else PAUSE)
        return self._reactor.seconds()

    def _note_slice(self, began: float) -> None:
        took = self._reactor.seconds() - began
        self.stats.longest_slice = max(self.stats.longest_slice, took)

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds)

    def _tell(self, kind: str, keys: Iterable[str], what: str) -> None:
        told = list(keys)
        self.stats.differences[kind] += len(told)
        for key in told[:MOST_TOLD]:
            text, code = "the comparison found {key}: {what}", Code.COMPARISON_DIFFERENCE
            self.log.warn(text, reason=code, key=key, what=what)
        if len(told) > MOST_TOLD:
            self.log.warn(
                "the comparison found {count} more: {what}",
                reason=Code.COMPARISON_DIFFERENCE,
                count=len(told) - MOST_TOLD,
                what=what,
            )
