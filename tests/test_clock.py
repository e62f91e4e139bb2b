"""The reactor's clock: nobody sets it."""

from __future__ import annotations

import time

import pytest
from twisted.internet.base import ReactorBase

from servicereflector.clock import count_steadily


class Bare(ReactorBase):
    def installWaker(self) -> None:
        """It is never waited for."""


def test_timers_count_by_a_clock_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of the system's time, and also when they are moved."""
    now = 1000.0
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: now)
    reactor = Bare()
    count_steadily(reactor)
    count_steadily(reactor)  # it does so already
    fired: list[str] = []
    reactor.callLater(5, fired.append, "five")
    moved = reactor.callLater(60, fired.append, "moved")
    moved.reset(7)
    assert moved.getTime() == 1007
    assert reactor.timeout() == 5
    now += 5
    reactor.runUntilCurrent()
    assert fired == ["five"]
    now += 2
    reactor.runUntilCurrent()
    assert fired == ["five", "moved"]


def test_a_reactor_that_has_begun_is_refused() -> None:
    """Its calls are due by the other clock."""
    reactor = Bare()
    call = reactor.callLater(5, lambda: None)
    with pytest.raises(RuntimeError, match="delayed calls"):
        count_steadily(reactor)
    call.cancel()
    count_steadily(reactor)


def test_a_reactor_with_a_clock_of_its_own_keeps_it() -> None:
    class Own(Bare):
        def seconds(self) -> float:
            return 7.0

    reactor = Own()
    count_steadily(reactor)
    assert reactor.seconds() == 7.0
