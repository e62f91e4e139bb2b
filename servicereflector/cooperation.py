"""Long work in pieces, so that the reactor has other things to do between them.

All of it that waits in one process is done in turns, a piece of each, and together for no longer
than BUDGET before the reactor looks for other things. Work that is short is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, proxy

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import CooperativeTask, Cooperator, TaskFinished

#: Seconds of a reactor turn that the pieces may take. One that has begun is ended, so the pieces
#: must be short.
BUDGET = 0.005

#: Seconds of work that do not count.
_NOTHING = 0.001

T = TypeVar("T")

_all: WeakKeyDictionary[IReactorTime, Cooperation] = WeakKeyDictionary()


def cooperation_of(reactor: IReactorTime) -> Cooperation:
    """The one of this reactor, so that all who work there share its turns."""
    found = _all.get(reactor)
    if found is None:
        found = _all[reactor] = Cooperation(reactor)
    return found


class Cooperation:
    """
    :param clock: whose seconds are counted, and whose turns are waited for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = proxy(clock)
        self._waiting = 0
        self._spent = 0.0  # of this turn, by work that was done at once
        self._cooperator = Cooperator(self._budget, self._next_turn)

    async def all_of(self, pieces: Iterable[T]) -> list[T]:
        """Everything that ``pieces`` yields. To be cancelled is to ask it for no more.

        What is taken from elsewhere while it yields may have changed from one piece to the next.
        """
        found: list[T] = []

        def work() -> Any:
            for piece in pieces:
                found.append(piece)
                yield None

        steps = work()
        if not self._waiting and self._spent < BUDGET and self._begin(steps):
            return found
        self._waiting += 1
        task = self._cooperator.cooperate(steps)
        try:
            await task.whenDone()
        finally:
            self._waiting -= 1
            _stop(task)
        return found

    def _begin(self, steps: Iterator[None]) -> bool:
        """Whether the work was ended with what is left of this turn."""
        began = self._clock.seconds()
        over = self._budget()
        try:
            return all(not over() for _ in steps)
        finally:
            took = self._clock.seconds() - began
            if took > _NOTHING:
                if not self._spent:
                    self._next_turn(self._forget)
                self._spent += took

    def _forget(self) -> None:
        self._spent = 0.0

    def _budget(self) -> Callable[[], bool]:
        until = self._clock.seconds() + max(0.0, BUDGET - self._spent)
        return lambda: self._clock.seconds() >= until

    def _next_turn(self, go_on: Callable[[], None]) -> IDelayedCall:
        call: IDelayedCall = self._clock.callLater(0, go_on)
        return call


def _stop(task: CooperativeTask[Any]) -> None:
    with suppress(TaskFinished):
        task.stop()
