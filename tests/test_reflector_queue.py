"""The work queue against a naive model, and what its order promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from servicereflector.reflector.lanes import RESYNC_SHARE, Place
from servicereflector.reflector.queue import FIRST_DELAY, LAST_DELAY, MOST_OUTDATED, WorkQueue

WORKERS = 5

keys = st.sampled_from("abcd")
lanes = st.sampled_from(["", "east", "north"])
places = st.builds(Place, lanes, st.booleans())


class QueueAgainstModel(RuleBasedStateMachine):
    """The model has every place where a key waits in one list, and each line a number, which it is
    given when it begins and when it is served: the lowest is next."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.queue = WorkQueue(WORKERS, lambda: self.now)
        self.waiting: list[tuple[Place, str]] = []
        self.since: dict[tuple[Place, str], float] = {}
        self.turns: dict[Place, int] = {}
        self.turn = 0
        self.fresh_in_a_row = 0
        self.working: dict[str, Place] = {}
        self.again: dict[str, list[Place]] = {}
        self.later: dict[str, tuple[float, str]] = {}
        self.failures: dict[str, int] = {}

    @rule(added=st.lists(keys, max_size=3), place=places)
    def add(self, added: list[str], place: Place) -> None:
        self.queue.add(added, place.lane, fresh=place.fresh)
        for key in added:
            self.comes(key, place)

    @rule(key=keys, delay=st.sampled_from((0.0, 0.1, 1.0, 5.0)))
    def add_later(self, key: str, delay: float) -> None:
        self.queue.add_later(key, self.now + delay)
        self.comes_later(key, self.now + delay)

    def comes(self, key: str, place: Place) -> None:
        self.later.pop(key, None)
        if key in self.working:
            self.again.setdefault(key, []).append(place)
        elif (place, key) not in self.waiting:
            if not self.line(place):
                self.took_turn(place)
            self.waiting.append((place, key))
            self.since[place, key] = self.now

    def comes_later(self, key: str, due: float) -> None:
        waits = key in self.again or any(key == k for _, k in self.waiting)
        if not waits and due < self.later.get(key, (float("inf"),))[0]:
            lane = self.working[key].lane if key in self.working else ""
            self.later[key] = due, lane

    def line(self, place: Place) -> list[str]:
        return [key for at, key in self.waiting if at == place]

    def took_turn(self, place: Place) -> None:
        self.turn += 1
        self.turns[place] = self.turn

    def may_work(self, lane: str) -> bool:
        busy = [place.lane for place in self.working.values()].count(lane)
        return busy < 3 * (WORKERS - len(self.working))

    def expected(self) -> tuple[Place, str] | None:
        """Which key is next, and from where."""
        for due, key in sorted((due, key) for key, (due, _) in self.later.items()):
            if due <= self.now:
                self.comes(key, Place(self.later[key][1], fresh=False))
        open_places = {place for place, _ in self.waiting if self.may_work(place.lane)}
        turn_of_resync = self.fresh_in_a_row >= RESYNC_SHARE - 1
        best = min(
            open_places,
            key=lambda place: (place.fresh == turn_of_resync, self.turns[place]),
            default=None,
        )
        return None if best is None else (best, self.line(best)[0])

    @rule()
    def take(self) -> None:
        expected = self.expected()
        key = self.queue.take(self.now)
        if expected is None:
            assert key is None
            return
        place, first = expected
        assert key == first
        self.fresh_in_a_row = self.fresh_in_a_row + 1 if place.fresh else 0
        self.waiting = [(at, k) for at, k in self.waiting if k != key]
        self.took_turn(place)
        self.working[key] = place

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
            self.comes_later(key, self.now + delay)
        self.finish(key)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done_but_at_once_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.queue.again(key)
        self.comes(key, self.working[key])
        self.finish(key)

    def finish(self, key: str) -> None:
        self.queue.done(key)
        del self.working[key]
        for place in self.again.pop(key, ()):
            self.comes(key, place)

    @rule(seconds=st.sampled_from((0.1, 0.25, 1.0, 70.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_counts_are_right(self) -> None:
        waiting = {key for _, key in self.waiting}
        assert self.queue.working == len(self.working)
        assert self.queue.ready == len(waiting)
        known = waiting | self.again.keys() | self.later.keys()
        assert len(self.queue) == len(waiting) + len(self.again) + len(self.later)
        assert {key for key in "abcd" if key in self.queue} == known | self.working.keys()

    @invariant()
    def each_lane_tells_what_waits_and_since_when(self) -> None:
        for lane in ("", "east", "north"):
            since = [self.since[one] for one in self.waiting if one[0].lane == lane]
            assert self.queue.ready_in(lane) == len(since)
            assert self.queue.since(lane) == min(since, default=None)

    @invariant()
    def the_next_due_key_is_told(self) -> None:
        """A wake-up for it can only be too early, never too late or missing."""
        later = [due for due, _ in self.later.values()]
        assert self.queue.next_due() == min(later, default=None)

    def teardown(self) -> None:
        """Nothing is lost: when all hands are empty, every key that was to come comes, once."""
        expected = {key for _, key in self.waiting} | self.again.keys() | self.later.keys()
        for key in sorted(self.working):
            self.queue.done(key)
        assert sorted(drained(self.queue, self.now + 100)) == sorted(expected)
        assert entries(self.queue) <= len(self.failures)


def drained(queue: WorkQueue, now: float = 0.0) -> Iterator[str]:
    """Every key, each worked on in no time."""
    while (key := queue.take(now)) is not None:
        yield key
        queue.done(key)


def entries(part: object) -> int:
    """How many things it holds, in all of its containers."""
    if isinstance(part, dict):
        return len(part) + sum(map(entries, part.values())) - fixed(part)
    if isinstance(part, (list, tuple)):
        return len(part)
    return entries(vars(part)) - len(vars(part)) if hasattr(part, "__dict__") else 0


def fixed(part: dict[object, object]) -> int:
    """The two kinds of lines are always there."""
    return 2 if part.keys() == {True, False} else 0


TestQueueAgainstModel = QueueAgainstModel.TestCase


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue(WORKERS)


# What comes when


Step = Callable[[WorkQueue, int], None]


def add_others(lane: str, fresh: bool, count: int) -> Step:
    """New keys each time."""

    def step(queue: WorkQueue, number: int) -> None:
        added = [f"{lane}-{fresh}-{number}-{n}" for n in range(count)]
        queue.add(added, lane, fresh=fresh)

    return step


def again_itself(lane: str, fresh: bool) -> Step:
    """Neither the cause nor the urgency of another change is any reason to wait longer."""
    return lambda queue, _: queue.add(["mine"], lane, fresh=fresh)


others = st.sampled_from(["", "east", "north"])
crowd = st.builds(add_others, others, st.booleans(), st.integers(1, 30))
steps = st.lists(
    st.one_of(st.none(), st.none(), crowd, st.builds(again_itself, others, st.booleans())),
    max_size=40,
)


def taken_before_mine(queue: WorkQueue, meanwhile: list[Step | None]) -> int:
    """Of other lanes' steps, while one key after the other is taken."""
    for number in range(10_000):
        step = meanwhile[number] if number < len(meanwhile) else None
        if step is not None:
            step(queue, number)
        key = queue.take(0)
        assert key is not None, "it was lost"
        queue.done(key)
        if key == "mine":
            return number
    raise AssertionError("it starved")


@given(before=st.lists(crowd, max_size=10), meanwhile=steps)
def test_a_fresh_key_waits_for_one_of_each_other_lane(
    before: list[Step], meanwhile: list[Step | None]
) -> None:
    """And for the share of resync; whatever else waits there, and comes."""
    queue = WorkQueue(WORKERS)
    for number, step in enumerate(before):
        step(queue, -number - 1)
        if number % 3 == 0:
            queue.done(queue.take(0) or "")
    queue.add(["mine"], "west", fresh=True)
    assert taken_before_mine(queue, meanwhile) <= 3 + 1


@given(before=st.lists(crowd, max_size=10), meanwhile=steps, ahead=st.integers(0, 3))
def test_resync_never_starves(before: list[Step], meanwhile: list[Step | None], ahead: int) -> None:
    """However much is fresh, of however many lanes."""
    queue = WorkQueue(WORKERS)
    for number, step in enumerate(before):
        step(queue, -number - 1)
    queue.add([f"ahead-{n}" for n in range(ahead)], "west")
    queue.add(["mine"], "west")
    lanes_of_resync = 4
    assert taken_before_mine(queue, meanwhile) < RESYNC_SHARE * lanes_of_resync * (ahead + 1)


def test_without_fresh_keys_resync_has_every_turn(queue: WorkQueue) -> None:
    queue.add("abc", "east")
    queue.add("xyz", "north")
    assert "".join(drained(queue)) == "axbycz"


def test_fresh_keys_go_before_resync(queue: WorkQueue) -> None:
    """Of all lanes, but for each eighth."""
    queue.add("abcd", "east")
    queue.add("0123456789", "north", fresh=True)
    assert "".join(drained(queue)) == "0123456a789bcd"


def test_what_another_source_tells_of_a_key_does_not_wait_for_the_first(queue: WorkQueue) -> None:
    """Both export it, and one has told of thousands before."""
    queue.add([f"many/{n}" for n in range(10_000)], "east", fresh=True)
    queue.add(["both"], "east", fresh=True)
    queue.add(["both"], "north", fresh=True)
    before = [key for key, _ in zip(drained(queue), range(3), strict=False)]
    assert before == ["many/0", "both", "many/1"]
    assert "both" not in list(drained(queue))


def test_what_is_fresh_does_not_wait_longer_than_as_resync(queue: WorkQueue) -> None:
    """Its source tells of thousands before the one that was next of resync."""
    queue.add(["mine"], "east")
    queue.add([f"many/{n}" for n in range(100)], "east", fresh=True)
    queue.add(["mine"], "east", fresh=True)
    assert list(drained(queue)).index("mine") == RESYNC_SHARE - 1


# Workers


def test_slow_work_of_one_lane_leaves_workers_for_the_others() -> None:
    """Three quarters for the first, and of what is left for the next; one for a third."""
    queue = WorkQueue(16)

    def begun(lane: str) -> int:
        queue.add([f"{lane}/{n}" for n in range(100)], lane, fresh=True)
        count = 0
        while queue.take(0) is not None:
            count += 1
        return count

    assert [begun(lane) for lane in ("slow", "slower", "third", "fourth")] == [12, 3, 1, 0]


def test_a_lane_without_workers_keeps_its_turn() -> None:
    """When one of its keys is done, it is the next to be served."""
    queue = WorkQueue(4)
    queue.add("abcd", "east", fresh=True)
    assert [queue.take(0) for _ in range(4)] == ["a", "b", "c", None]
    queue.add("xy", "north", fresh=True)
    assert queue.take(0) == "x"
    queue.done("a")
    queue.done("b")
    assert queue.take(0) == "d"


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_few_workers_are_all_used(workers: int) -> None:
    queue = WorkQueue(workers)
    queue.add("abcd", "east")
    assert [queue.take(0) for _ in range(4)] == [*"abcd"[:workers], *[None] * (4 - workers)]


# How much it takes


def test_twenty_thousand_keys_of_three_lanes_are_soon_through() -> None:
    """Each was added as fresh and as resync by all of them; to look for one would take minutes."""
    queue = WorkQueue()
    names = [f"default/service-{n}" for n in range(20_000)]
    for lane in ("east", "north", ""):
        for fresh in (False, True):
            queue.add(names, lane, fresh=fresh)
    assert len(queue) == queue.ready == 20_000
    assert entries(queue) >= 6 * 20_000
    assert len(set(drained(queue))) == 20_000
    assert entries(queue) == 0


def test_what_it_holds_is_bounded_by_its_keys(queue: WorkQueue) -> None:
    """However often they are added, fail and are put off."""
    for round_number in range(2_000):
        for lane in ("east", ""):
            queue.add("abc", lane)
            queue.add("abc", lane, fresh=True)
        held = entries(queue)
        taken = [queue.take(0), queue.take(0), queue.take(0)]
        for key in filter(None, taken):
            queue.retry(key, float(round_number))
            queue.done(key)
        # Four places of each, twice: by line and by key; the lines; a failure; the delays.
        assert max(held, entries(queue)) <= 3 * (4 * 2 + 1 + 3) + 4 + MOST_OUTDATED + 2


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


def test_what_failed_is_hurried_in_its_lane_and_what_only_waits_is_not(queue: WorkQueue) -> None:
    """As when the host answers again: what it has refused it still refuses."""
    queue.add(["failed"], "east")
    assert queue.take(0) == "failed"
    queue.retry("failed", 0)
    queue.done("failed")
    queue.add_later("refused", 600)
    queue.hurry()
    queue.add(["fresh"], "west", fresh=True)
    assert [queue.take(0) for _ in range(3)] == ["fresh", "failed", None]
    assert queue.next_due() == 600


def test_a_delay_is_never_made_longer(queue: WorkQueue) -> None:
    """The earlier of two wins."""
    queue.add_later("a", 1)
    queue.add_later("a", 5)
    assert queue.next_due() == 1
    assert queue.take(1) == "a"
    queue.done("a")
    assert queue.take(10) is None
