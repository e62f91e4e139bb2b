"""Long work in pieces, so that the reactor has other things to do between them.

All of it that waits in one process is done in turns, a piece of each, and together for no longer
than BUDGET before the reactor looks for other things. Work that is short is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import CooperativeTask, Cooperator, TaskFinished

#: Seconds of a reactor turn that the pieces may take. One that has begun is ended, so the pieces
#: must be short.
BUDGET = 0.02

T = TypeVar("T")


class Cooperation:
    """
    :param clock: whose seconds are counted, and whose turns are waited for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting = 0
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
        if not self._waiting:
            over = self._budget()
            for _ in steps:
                if over():
                    break
            else:
                return found
        self._waiting += 1
        task = self._cooperator.cooperate(steps)
        try:
            await task.whenDone()
        finally:
            self._waiting -= 1
            _stop(task)
        return found

    def _budget(self) -> Callable[[], bool]:
        until = self._clock.seconds() + BUDGET
        return lambda: self._clock.seconds() >= until

    def _next_turn(self, go_on: Callable[[], None]) -> IDelayedCall:
        return self._clock.callLater(0, go_on)


def _stop(task: CooperativeTask[Any]) -> None:
    with suppress(TaskFinished):
        task.stop()
