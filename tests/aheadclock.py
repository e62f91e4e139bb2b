"""A clock for tests of a process that has stood still: its timers have yet to find out."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer


@implementer(IReactorTime)
class AheadClock:
    """Delays are those of another clock.

    :ivar ahead: gives the seconds that its time goes before the other's.
    """

    def __init__(self, clock: Clock, ahead: Callable[[], float] = lambda: 0.0) -> None:
        self.ahead = ahead
        self._clock = clock

    def seconds(self) -> float:
        return self._clock.seconds() + self.ahead()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> IDelayedCall:
        return self._clock.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return list(self._clock.getDelayedCalls())
