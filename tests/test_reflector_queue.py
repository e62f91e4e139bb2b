"""The work queue against a naive model."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from servicereflector.reflector.queue import FIRST_DELAY, LAST_DELAY, WorkQueue

keys = st.sampled_from("abcd")


class QueueAgainstModel(RuleBasedStateMachine):
    """The model knows for each key whether it waits, until when, and whether it is in a hand."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WorkQueue()
        self.now = 100.0
        self.due: dict[str, float] = {}  # every key that is to come, and from when on
        self.working: set[str] = set()
        self.failures: dict[str, int] = {}

    @rule(added=st.lists(keys, max_size=3))
    def add(self, added: list[str]) -> None:
        self.queue.add(added)
        self.due |= dict.fromkeys(added, 0.0)

    @rule(key=keys, delay=st.sampled_from((0.0, 0.1, 1.0, 5.0)))
    def add_later(self, key: str, delay: float) -> None:
        self.queue.add_later(key, self.now + delay)
        self.comes(key, self.now + delay)

    def comes(self, key: str, due: float) -> None:
        self.due[key] = min(due, self.due.get(key, due))

    @rule()
    def take(self) -> None:
        key = self.queue.take(self.now)
        ready = {k for k, due in self.due.items() if due <= self.now and k not in self.working}
        if key is None:
            assert not ready, "a key was forgotten"
            return
        assert key in ready, "too early, twice, or in two hands"
        del self.due[key]
        self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(data=st.data(), succeeded=st.booleans())
    def done(self, data: st.DataObject, succeeded: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        if succeeded:
            self.queue.forget(key)
            self.failures.pop(key, None)
        else:
            delay = self.queue.retry(key, self.now)
            failures = self.failures.get(key, 0)
            assert delay == min(LAST_DELAY, FIRST_DELAY * 2**failures)
            self.failures[key] = failures + 1
            self.comes(key, self.now + delay)
        self.queue.done(key)
        self.working.discard(key)

    @rule(seconds=st.sampled_from((0.1, 0.25, 1.0, 70.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_counts_are_right(self) -> None:
        assert self.queue.working == len(self.working)
        assert len(self.queue) == len(self.due)

    @invariant()
    def the_next_due_key_is_told(self) -> None:
        """A wake-up for it can only be too early, never too late or missing."""
        later = [due for due in self.due.values() if due > self.now]
        told = self.queue.next_due()
        if later:
            assert told is not None
            assert told <= min(later)

    def teardown(self) -> None:
        """Nothing is lost: when all hands are empty, every key that was to come comes."""
        for done in sorted(self.working):
            self.queue.done(done)
        taken = []
        while (key := self.queue.take(self.now + 100)) is not None:
            taken.append(key)
        assert sorted(taken) == sorted(self.due)


TestQueueAgainstModel = QueueAgainstModel.TestCase


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue()


def test_a_key_waits_once(queue: WorkQueue) -> None:
    """However often it is added."""
    queue.add(["a", "b", "a"])
    queue.add(["a"])
    assert [queue.take(0), queue.take(0), queue.take(0)] == ["a", "b", None]


def test_a_key_added_while_worked_on_comes_back_when_that_is_done(queue: WorkQueue) -> None:
    """And not before."""
    queue.add(["a"])
    queue.take(0)
    queue.add(["a"])
    assert queue.take(0) is None
    queue.done("a")
    assert queue.take(0) == "a"


def test_delays_double_and_are_capped(queue: WorkQueue) -> None:
    """However often a key fails."""
    delays = [queue.retry("a", 0) for _ in range(2000)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[9:] == [LAST_DELAY] * len(delays[9:])


def test_a_success_makes_the_next_failure_the_first(queue: WorkQueue) -> None:
    """For this key only."""
    for key in "aab":
        queue.retry(key, 0)
    queue.forget("a")
    assert (queue.retry("a", 0), queue.retry("b", 0)) == (0.2, 0.4)


def test_news_end_the_delay_of_a_failed_key(queue: WorkQueue) -> None:
    """What made it fail may be over."""
    queue.retry("a", 0)
    assert queue.take(0) is None
    queue.add(["a"])
    assert queue.take(0) == "a"
    queue.done("a")
    assert queue.take(100) is None


def test_a_delay_is_never_made_longer(queue: WorkQueue) -> None:
    """The earlier of two wins."""
    queue.add_later("a", 1)
    queue.add_later("a", 5)
    assert queue.next_due() == 1
    assert queue.take(1) == "a"
    queue.done("a")
    assert queue.take(10) is None
