"""When a source falls silent: thresholds, timers, and which of its watches decides."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.mirror.freshness import Freshness, Patience, silence

FRESH, STALE, REMOVED = Freshness.FRESH, Freshness.STALE, Freshness.REMOVED
ORDER = [FRESH, STALE, REMOVED]

#: Sums and differences of such times are exact.
TICK = 1 / 1024
ticks = st.integers(0, 1000) | st.integers(0, 10**9)
times = ticks.map(lambda count: count * TICK)
thresholds = st.none() | times.filter(bool)
patiences = st.builds(Patience, thresholds, thresholds)


@pytest.mark.parametrize(
    ("stale_after", "remove_after", "expected"),
    [
        (None, None, {0: FRESH, math.inf: FRESH}),
        (60, None, {0: FRESH, 59: FRESH, 60: STALE, math.inf: STALE}),
        (None, 60, {0: FRESH, 59: FRESH, 60: REMOVED, math.inf: REMOVED}),
        (60, 90, {0: FRESH, 59: FRESH, 60: STALE, 89: STALE, 90: REMOVED, math.inf: REMOVED}),
        (90, 60, {0: FRESH, 59: FRESH, 60: REMOVED, 90: REMOVED, math.inf: REMOVED}),
        (60, 60, {59: FRESH, 60: REMOVED}),
    ],
)
def test_what_becomes_of_a_silent_source(
    stale_after: float | None, remove_after: float | None, expected: dict[float, Freshness]
) -> None:
    """Both count from when it fell silent; a removal that comes first comes first."""
    patience = Patience(stale_after, remove_after)
    assert {silent: patience.freshness(silent) for silent in expected} == expected


@pytest.mark.parametrize(
    ("stale_after", "remove_after", "expected"),
    [
        (None, None, {0: None, 1000: None}),
        (60, None, {0: 60, 59: 1, 60: None, 1000: None}),
        (None, 60, {0: 60, 59: 1, 60: None, 1000: None}),
        (60, 90, {0: 60, 59: 1, 60: 30, 89: 1, 90: None, 1000: None}),
        (90, 60, {0: 60, 59: 1, 60: None, 80: None, 90: None}),
    ],
)
def test_when_that_changes(
    stale_after: float | None, remove_after: float | None, expected: dict[float, float | None]
) -> None:
    """What is removed does not become stale later on."""
    patience = Patience(stale_after, remove_after)
    assert {silent: patience.next_change(silent) for silent in expected} == expected


@given(patiences, times, times)
def test_a_longer_silence_is_never_better(patience: Patience, one: float, more: float) -> None:
    """And one of no length is always fresh."""
    before, after = patience.freshness(one), patience.freshness(one + more)
    assert ORDER.index(before) <= ORDER.index(after)
    assert patience.freshness(0) is FRESH


@given(patiences, times)
def test_the_next_change_is_exact(patience: Patience, silent: float) -> None:
    """Until then it is the same, and then another; where it is never, it is the same for ever."""
    now, delay = patience.freshness(silent), patience.next_change(silent)
    if delay is None:
        assert patience.freshness(math.inf) is now
        return
    assert delay > 0
    assert patience.freshness(silent + delay - TICK) is now
    assert patience.freshness(silent + delay) is not now


@given(patiences, times.filter(bool))
def test_a_watch_is_opened_anew_in_time(patience: Patience, usual: float) -> None:
    """A source that is quiet but answers is heard twice more before it would count as silent."""
    idle = patience.idle(usual)
    assert 0 < idle <= usual
    assert patience.freshness(2.9 * idle) is FRESH
    assert idle == usual or patience.freshness(3.1 * idle) is not FRESH


@pytest.mark.parametrize(
    ("patience", "idle"),
    [
        (Patience(), 60),
        (Patience(600, 900), 60),
        (Patience(30), 10),
        (Patience(None, 30), 10),
        (Patience(30, 15), 5),
        (Patience(15, 30), 5),
    ],
)
def test_how_long_a_watch_may_be_idle(patience: Patience, idle: float) -> None:
    """A third of what comes first, or as usual."""
    assert patience.idle(60) == idle


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ([], 40),
        ([None], 40),
        ([100.0], 0),
        ([75.0], 25),
        ([75.0, 98.0, 90.0], 25),
        ([75.0, None, 90.0], 40),
        ([130.0], 0),
        ([130.0, 99.0], 1),
    ],
)
def test_the_quietest_watch_decides(heard: list[float | None], expected: float) -> None:
    """One that was never heard has been silent since the program began to ask."""
    assert silence(heard, since=60.0, now=100.0) == expected


@given(st.lists(st.none() | times, min_size=1), times, times)
def test_a_source_is_as_silent_as_its_quietest_watch(
    heard: list[float | None], since: float, now: float
) -> None:
    """Never for less than no time, were a clock set back."""
    told = silence(heard, since, now)
    assert told == max(silence([at], since, now) for at in heard)
    assert told >= 0


def test_the_heard_may_be_told_one_by_one() -> None:
    """As a generator."""
    assert silence((at for at in (95.0, 97.0)), 60.0, 100.0) == 5


def test_the_words_for_people() -> None:
    """They are told in reports."""
    assert [freshness.value for freshness in Freshness] == ["fresh", "stale", "removed"]
