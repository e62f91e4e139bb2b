"""Long work in pieces: how much is done in a turn of the reactor, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from servicereflector.cooperation import BUDGET, Cooperation, cooperation_of

success = SynchronousTestCase().successResultOf
failure = SynchronousTestCase().failureResultOf
nothing = SynchronousTestCase().assertNoResult


class Worker:
    """Pieces that take their time, which a clock counts."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cooperation = Cooperation(self.clock)
        self.done: list[str] = []

    def pieces(self, name: str, count: int, seconds: float) -> Iterator[str]:
        for number in range(count):
            self.clock.rightNow += seconds
            self.done.append(f"{name}{number}")
            yield self.done[-1]

    def begin(self, name: str, count: int, seconds: float) -> Deferred[list[str]]:
        pieces = self.pieces(name, count, seconds)
        return Deferred.fromCoroutine(self.cooperation.all_of(pieces))

    def turn(self) -> list[str]:
        """What one turn of the reactor does."""
        before = len(self.done)
        for call in list(self.clock.getDelayedCalls()):
            assert call.getTime() <= self.clock.seconds()
            # Clock.advance would go on with what is put off until the next turn.
            self.clock.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)
        return self.done[before:]


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_short_work_is_done_at_once(worker: Worker) -> None:
    """Nothing waits for the reactor."""
    assert success(worker.begin("a", 3, BUDGET / 4)) == ["a0", "a1", "a2"]


def test_long_work_leaves_the_reactor_its_turns(worker: Worker) -> None:
    """So much is done in each that the budget is used, and all of it in the end."""
    working = worker.begin("a", 5, BUDGET / 2)
    assert worker.done == ["a0", "a1"]
    assert worker.turn() == ["a2", "a3"]
    nothing(working)
    assert worker.turn() == ["a4"]
    assert success(working) == ["a0", "a1", "a2", "a3", "a4"]
    assert worker.clock.getDelayedCalls() == []


def test_short_works_share_the_turn_too(worker: Worker) -> None:
    """What exceeds the budget waits for the next."""
    three = [worker.begin(name, 1, BUDGET * 2 / 3) for name in "abc"]
    assert worker.done == ["a0", "b0"]
    worker.clock.advance(0)
    assert [success(work) for work in three] == [["a0"], ["b0"], ["c0"]]
    assert worker.clock.getDelayedCalls() == []


def test_there_is_one_for_a_reactor() -> None:
    """And it keeps none alive."""
    clock, other = Clock(), Clock()
    assert cooperation_of(clock) is cooperation_of(clock)
    assert cooperation_of(clock) is not cooperation_of(other)


def test_what_comes_together_shares_the_turn(worker: Worker) -> None:
    """The second does not begin at once: ten would stop the reactor ten times as long."""
    first, second = worker.begin("a", 6, BUDGET / 2), worker.begin("b", 2, BUDGET / 2)
    assert worker.done == ["a0", "a1"]
    assert worker.turn() == ["a2", "b0"]
    assert worker.turn() == ["a3", "b1"]
    while not first.called:
        worker.turn()
    assert success(second) == ["b0", "b1"]
    assert success(first) == [f"a{number}" for number in range(6)]
    assert success(worker.begin("c", 1, 0)) == ["c0"]


def test_work_that_fails_fails_alone(worker: Worker) -> None:
    """In its first turn, or in a later one."""

    def broken() -> Iterator[str]:
        yield from worker.pieces("b", 3, BUDGET)
        raise ValueError("broken")

    other = worker.begin("a", 5, BUDGET)
    working = Deferred.fromCoroutine(worker.cooperation.all_of(broken()))
    while not other.called:
        worker.turn()
    assert failure(working).check(ValueError)
    assert len(success(other)) == 5
    at_once = Deferred.fromCoroutine(worker.cooperation.all_of(1 / 0 for _ in range(1)))
    assert failure(at_once).check(ZeroDivisionError)


def test_nothing_more_is_done_for_who_has_gone(worker: Worker) -> None:
    """And others go on."""
    gone, there = worker.begin("a", 5, BUDGET), worker.begin("b", 2, BUDGET)
    gone.cancel()
    assert failure(gone).check(CancelledError)
    while not there.called:
        worker.turn()
    assert worker.done == ["a0", "b0", "b1"]
    assert worker.clock.getDelayedCalls() == []
    assert success(worker.begin("c", 1, 0)) == ["c0"]
