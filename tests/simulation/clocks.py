"""One clock for all, and what each process sees of it: it may sleep, and it may be dead."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer

_Entry = tuple[float, int, DelayedCall, "ProcessClock | None"]


class HeapClock(Clock):
    """A Clock for thousands of calls: the usual one sorts all of them again and again."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._numbers = count()

    def callLater(self, delay, callable, *args, **kw):  # type: ignore[no-untyped-def]
        return self.call_for(None, delay, callable, args, kw)

    def call_for(
        self,
        owner: ProcessClock | None,
        delay: float,
        callable: Callable[..., object],
        args: tuple[object, ...],
        kw: dict[str, object],
    ) -> DelayedCall:
        assert delay >= 0, delay

        def push(call: DelayedCall) -> None:
            heappush(self._heap, (call.getTime(), next(self._numbers), call, owner))

        call = DelayedCall(
            self.rightNow + delay, callable, args, kw, lambda _call: None, push, self.seconds
        )
        push(call)
        return call

    def push_again(self, entries: list[_Entry]) -> None:
        for entry in entries:
            heappush(self._heap, entry)

    def next_due(self) -> float | None:
        """When the next call is due, if there is one."""
        heap = self._heap
        while heap:
            due, _, call, owner = heap[0]
            if call.cancelled or call.called or (owner is not None and owner.dead):
                heappop(heap)
            elif owner is not None and owner.asleep:
                owner.late.append(heappop(heap))
            elif (later := call.getTime()) > due:
                heappop(heap)
                heappush(heap, (later, next(self._numbers), call, owner))
            else:
                return due
        return None

    def run_next(self) -> bool:
        """Run the first call that is due now; whether there was one."""
        due = self.next_due()
        if due is None or due > self.rightNow:
            return False
        call = heappop(self._heap)[2]
        call.called = 1
        call.func(*call.args, **call.kw)
        return True

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        while self.run_next():
            pass

    def getDelayedCalls(self) -> list[DelayedCall]:  # type: ignore[override]
        return [
            call
            for _, _, call, owner in sorted(self._heap, key=lambda entry: entry[:2])
            if _is_live(call, owner)
        ]

    def calls_of(self, owner: ProcessClock) -> list[DelayedCall]:
        entries = [*self._heap, *owner.late]
        return list(
            {id(e[2]): e[2] for e in entries if e[3] is owner and _is_live(e[2], owner)}.values()
        )


def _is_live(call: DelayedCall, owner: ProcessClock | None) -> bool:
    return not (call.cancelled or call.called or (owner is not None and owner.dead))


@implementer(IReactorTime)
class ProcessClock:
    """
    :ivar asleep: a machine that is suspended; its calls are all late when it wakes.
    :ivar dead: nothing that it wanted to do later happens.
    """

    def __init__(self, clock: HeapClock) -> None:
        self.clock = clock
        self.asleep = False
        self.dead = False
        self.late: list[_Entry] = []

    def seconds(self) -> float:
        return self.clock.rightNow

    def callLater(self, delay, callable, *args, **kw):  # type: ignore[no-untyped-def]
        return self.clock.call_for(self, delay, callable, args, kw)

    def getDelayedCalls(self) -> list[DelayedCall]:
        return self.clock.calls_of(self)

    def sleep(self) -> None:
        self.asleep = True

    def wake(self) -> None:
        self.asleep = False
        late, self.late = self.late, []
        self.clock.push_again(late)
