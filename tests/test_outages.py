"""Which failures of what is tried again and again people are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.outages import REMINDERS, Outage, Ration, Tally, duration
from servicereflector.reasons import Code

CODES = (Code.UNREACHABLE, Code.TIMED_OUT, Code.SERVER_ERROR)
PARTS = ("services", "endpoints")

#: How much later, of which part, and as what it failed, None for a success.
steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 3.5, 30.0, 60.0, 299.0, 600.0, 3600.0, 9000.0]),
        st.sampled_from(PARTS),
        st.sampled_from([None, *CODES]),
    ),
    max_size=60,
)


def due(lasted: float) -> list[float]:
    """When reminders of an outage are due, as the rule is written."""
    hours = range(1, int(lasted // 3600) + 1)
    return [at for at in (60.0, 300.0, 900.0, *(3600.0 * hour for hour in hours)) if at <= lasted]


class Model:
    """The rules once more, from a list of all that happened in an outage."""

    def __init__(self) -> None:
        self.began = 0.0
        self.past: list[tuple[float, str, Code]] = []  # failures of all parts since it began
        self.streaks: dict[str, list[tuple[float, Code]]] = {}  # by part that fails

    def failed(self, now: float, part: str, code: Code) -> Tally | None:
        if not self.streaks:
            self.began, self.past = now, []
        before = due(self.past[-1][0] - self.began) if self.past else []
        others = [streak[-1][1] for name, streak in self.streaks.items() if name != part]
        mine = self.streaks.setdefault(part, [])
        news = code not in [*others, *(told for _, told in mine)]
        mine.append((now, code))
        self.past.append((now, part, code))
        if news:
            return Tally(len(mine), now - mine[0][0], len(self.streaks))
        if len(due(now - self.began)) > len(before):
            return Tally(len(self.past), now - self.began, len(self.streaks))
        return None

    def recovered(self, now: float, part: str) -> Tally | None:
        mine = self.streaks.pop(part, None)
        if mine is None:
            return None
        if not self.streaks:
            return Tally(len(self.past), now - self.began, 0)
        if {code for _, code in mine} & {streak[-1][1] for streak in self.streaks.values()}:
            return None
        return Tally(len(mine), now - mine[0][0], len(self.streaks))


@given(steps)
def test_a_failure_is_told_for_its_kind_or_for_the_time(
    taken: list[tuple[float, str, Code | None]],
) -> None:
    """The first of each kind of a part, unless another part fails so; and the first after each
    reminder is due. The end is that of all parts, or of what failed for another reason."""
    outage, model, now = Outage(), Model(), 0.0
    for later, part, code in taken:
        now += later
        if code is None:
            assert outage.recovered(now, part) == model.recovered(now, part)
        else:
            assert outage.failed(code, now, part) == model.failed(now, part, code)


def test_a_part_that_always_fails_does_not_hide_the_others() -> None:
    """The role lacks a right, and the server goes away twice."""
    outage = Outage()
    assert outage.failed(Code.FORBIDDEN, 0.0, "slices") == Tally(1, 0.0, 1)
    for began in (1000.0, 2000.0):
        outage.failed(Code.FORBIDDEN, began - 1, "slices")
        assert outage.failed(Code.UNREACHABLE, began, "services") == Tally(1, 0.0, 2)
        assert outage.failed(Code.UNREACHABLE, began, "endpoints") is None
        assert outage.failed(Code.UNREACHABLE, began, "slices") is None
        assert outage.recovered(began + 30, "endpoints") is None
        assert outage.failed(Code.FORBIDDEN, began + 31, "slices") is None
        assert outage.recovered(began + 40, "services") == Tally(1, 40.0, 1)
    # For good, in the end.
    told = outage.recovered(5000.0, "slices")
    assert told is not None
    assert (told.seconds, told.parts) == (5000.0, 0)


@given(st.lists(st.floats(0.1, 300.0), min_size=1, max_size=200))
def test_what_fails_for_long_is_told_rarely(delays: list[float]) -> None:
    """Once, and then no more often than reminders are due."""
    outage, now = Outage(), 0.0
    told = [outage.failed(Code.UNREACHABLE, now)]
    for delay in delays:
        now += delay
        told.append(outage.failed(Code.UNREACHABLE, now))
    lines = [tally for tally in told if tally is not None]
    assert lines[0] == Tally(1, 0.0)
    assert len(lines) <= 1 + len(due(now))


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=50))
def test_what_fails_again_at_once_has_not_recovered(taken: list[tuple[int, bool]]) -> None:
    """A success that must last for ten seconds, and never does."""
    outage, now, failed = Outage(), 0.0, 1
    assert outage.failed(Code.WATCH_CUT, now) is not None
    for later, tried in taken:
        if tried:
            assert outage.recovered(now, lasting=10.0) is None
        now += later
        failed += 1
        told = outage.failed(Code.WATCH_CUT, now)
        assert told is None or now >= REMINDERS[0]
    assert outage.recovered(now, lasting=10.0) is None
    assert outage.recovered(now + 10, lasting=10.0) == Tally(failed, now, 0)


def test_the_time_until_it_lasted_is_no_part_of_the_outage() -> None:
    """Of several parts the last success ends it, whichever is known to last first."""
    outage = Outage()
    outage.failed(Code.TIMED_OUT, 100.0, "services")
    outage.failed(Code.TIMED_OUT, 101.0, "endpoints")
    assert outage.recovered(130.0, "endpoints", lasting=10.0) is None
    assert outage.recovered(120.0, "services") is None
    assert outage.recovered(140.0, "endpoints", lasting=10.0) == Tally(2, 30.0, 0)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "0.2 s"),
        (4.4, "4 s"),
        (119.4, "119 s"),
        (120.0, "2 min"),
        (3599.0, "59 min"),
        (3600.0, "1 h"),
        (9000.0, "2 h 30 min"),
    ],
)
def test_durations_are_for_people(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_tally_is_told_in_words() -> None:
    assert str(Tally(12, 300.0)) == "12 attempts in 5 min"
    assert str(Tally(1, 0.0)) == "1 attempt in 0.0 s"


@given(st.lists(st.floats(0, 40), max_size=60))
def test_a_ration_is_so_many_lines_a_minute(delays: list[float]) -> None:
    """Counted from the first of them; the last is known as such."""
    ration, now = Ration(3), 0.0
    since, used = float("-inf"), 0
    for delay in delays:
        now += delay
        if now >= since + 60:
            since, used = now, 0
        used += 1
        assert ration.take(now) == 3 - used
