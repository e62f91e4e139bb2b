"""The clock that the program's reactor counts by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twisted.python import runtime

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase


def count_steadily(reactor: ReactorBase) -> None:
    """Have the reactor count by a clock that nobody sets, before anything is scheduled.

    Twisted counts by the system's time: when that is set back by hours, every timer comes hours
    late, and when it is set forward all come at once. What is a time for people comes from
    ``time.time`` (``Surroundings.epoch``) and never from the reactor.

    A reactor that has a clock of its own, as asyncio's, keeps it.

    :raises RuntimeError: something is scheduled already, at a time of the other clock.
    """
    if reactor.seconds is not runtime.seconds:
        return
    if reactor.getDelayedCalls():
        raise RuntimeError("the reactor has delayed calls, by a clock that may be set")
    # An attribute of the instance: all of ReactorBase, and its DelayedCalls, ask there.
    reactor.seconds = _steady


def _steady() -> float:
    """Seconds that, where the system can tell, go on while it is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
