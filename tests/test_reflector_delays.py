"""How long changes take: what waits, what is observed of it, and what is told."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.objects import Record
from servicereflector.mirror.plan import Plan
from servicereflector.reflector.arrivals import Arrivals
from servicereflector.reflector.delays import BOUNDS, MINUTE, MINUTES, Delays, Histogram
from servicereflector.reflector.outcomes import Delay, Outcomes
from servicereflector.reflector.triggers import LAST_CHANGE, last_change

delays = st.floats(0, 1000)


def histogram(observed: Sequence[float]) -> Histogram:
    told = Histogram()
    for seconds in observed:
        told.observe(seconds)
    return told


@given(st.lists(delays))
def test_each_delay_is_in_one_bucket(observed: list[float]) -> None:
    """The first whose bound it does not exceed; the last has the rest."""
    told = histogram(observed)
    lower = (-1.0, *BOUNDS)
    upper = (*BOUNDS, float("inf"))
    expected = [
        sum(low < seconds <= high for seconds in observed)
        for low, high in zip(lower, upper, strict=True)
    ]
    assert told.counts == expected
    assert told.count == len(observed)
    assert told.total == pytest.approx(sum(observed))


@given(st.lists(delays, min_size=1))
def test_the_median_is_in_the_bucket_of_the_median(observed: list[float]) -> None:
    """And never above the longest."""
    told = histogram(observed)
    low = statistics.median_low(observed)
    bucket = next((n for n, bound in enumerate(BOUNDS) if low <= bound), len(BOUNDS))
    lower = BOUNDS[bucket - 1] if bucket else 0.0
    upper = BOUNDS[bucket] if bucket < len(BOUNDS) else told.longest
    assert min(lower, told.longest) <= told.median() <= min(upper, told.longest)


def test_of_nothing_there_is_no_median() -> None:
    """An error of who asks."""
    with pytest.raises(ValueError, match="nothing was observed"):
        Histogram().median()


@given(st.lists(st.tuples(st.floats(0, 3 * 3600), delays), max_size=300))
def test_the_last_hour_is_told_by_the_minute(observed: list[tuple[float, float]]) -> None:
    """Oldest first, no minute without a delay; all of it is in the histogram of the source."""
    observed.sort()
    told = Delays()
    for now, seconds in observed:
        told.observe("east", seconds, now)
    now = observed[-1][0] if observed else 0.0
    by_minute: dict[float, list[float]] = {}
    for when, seconds in observed:
        by_minute.setdefault(when // MINUTE * MINUTE, []).append(seconds)
    first = now // MINUTE * MINUTE - (MINUTES - 1) * MINUTE
    expected = {start: each for start, each in by_minute.items() if start >= first}
    minutes = told.minutes(now)
    assert [minute.start for minute in minutes] == sorted(expected)
    for minute in minutes:
        assert minute.count == len(expected[minute.start])
        assert minute.longest == max(expected[minute.start])
        assert minute.median <= minute.longest
    assert told.minutes(now + 3600) == []
    assert sum(each.count for each in told.propagation.values()) == len(observed)
    assert len(told._minutes) <= MINUTES


# What waits


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("note"), st.sampled_from("ew"), st.sampled_from("abc")),
            st.tuples(st.just("carry out"), st.just(""), st.sampled_from("abc")),
            st.tuples(st.just("fail"), st.just(""), st.sampled_from("abc")),
        )
    )
)
def test_a_name_waits_since_the_first_change_of_it(steps: list[tuple[str, str, str]]) -> None:
    """By source, until a plan is carried out, not if it fails."""
    arrivals = Arrivals()
    model: dict[str, dict[str, float]] = {"e": {}, "w": {}}
    for now, (what, source, key) in enumerate(steps):
        if what == "note":
            arrivals.note(source, key, now, endpoints=False)
            model[source].setdefault(key, now)
        else:
            arrivals.plan(key)
        if what == "carry out":
            waited = {name: told.pop(key) for name, told in model.items() if key in told}
            taken = arrivals.take(key)
            assert {name: arrival.at for name, arrival in taken.items()} == waited
        for name, told in model.items():
            assert arrivals.count(name) == len(told)
            assert arrivals.oldest(name) == min(told.values(), default=None)


def test_what_comes_during_a_write_waits_for_the_next() -> None:
    """The plan did not know of it; another source's is no other."""
    arrivals = Arrivals()
    arrivals.note("east", "shop/a", 1, endpoints=False)
    arrivals.plan("shop/a")
    arrivals.note("east", "shop/a", 2, endpoints=False)
    arrivals.note("east", "shop/a", 3, endpoints=True)
    arrivals.note("west", "shop/a", 4, endpoints=False)
    taken = arrivals.take("shop/a")
    assert {name: (one.at, one.endpoints) for name, one in taken.items()} == {"east": (1, False)}
    assert arrivals.oldest("east") == 2
    arrivals.plan("shop/a")
    taken = arrivals.take("shop/a")
    assert {name: (one.at, one.endpoints) for name, one in taken.items()} == {
        "east": (2, True),
        "west": (4, False),
    }


def test_a_plan_after_one_that_failed_is_of_all_that_was_told() -> None:
    """Since the first, and of Endpoints if any was."""
    arrivals = Arrivals()
    arrivals.note("east", "shop/a", 1, endpoints=False)
    arrivals.plan("shop/a")
    arrivals.note("east", "shop/a", 2, endpoints=True)
    arrivals.plan("shop/a")
    (arrival,) = arrivals.take("shop/a").values()
    assert (arrival.at, arrival.endpoints) == (1, True)
    assert arrivals.count("east") == 0


def test_whether_endpoints_have_changed_is_kept() -> None:
    """Whatever came first, by source."""
    arrivals = Arrivals()
    arrivals.note("east", "shop/a", 1, endpoints=False)
    arrivals.note("east", "shop/a", 2, endpoints=True)
    arrivals.note("west", "shop/a", 0, endpoints=False)
    arrivals.plan("shop/a")
    taken = arrivals.take("shop/a")
    assert {name: one.endpoints for name, one in taken.items()} == {"east": True, "west": False}


def test_of_a_source_that_is_gone_nothing_waits() -> None:
    """Nobody would carry it out."""
    arrivals = Arrivals()
    arrivals.note("east", "shop/a", 1, endpoints=False)
    arrivals.forget("east")
    assert arrivals.oldest("east") is None
    arrivals.plan("shop/a")
    assert arrivals.take("shop/a") == {}


# When Pods changed


def endpoints(annotations: str) -> Record:
    body = f'{{"metadata":{{"name":"a","annotations":{{{annotations}}}}}}}'.encode()
    return Record("shop", "a", "", 1, body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.25Z", 10.25),
        ("1970-01-01T00:00:10.123456789Z", 10.123456789),
        ("nonsense", None),
        ("", None),
        ("1970-01-01T00:00:10.1.2Z", None),
        ("9" * 100, None),
    ],
)
def test_the_time_of_a_change_is_read(text: str, expected: float | None) -> None:
    """As Go writes it, with or without a fraction; whatever else is there is none."""
    assert last_change([endpoints(f'"{LAST_CHANGE}":"{text}"')]) == pytest.approx(expected)


def test_the_newest_of_all_is_told() -> None:
    """Slices that did not change have older ones."""
    records = [
        endpoints(f'"{LAST_CHANGE}":"1970-01-01T00:00:{second:02}Z"') for second in (5, 9, 7)
    ]
    assert last_change([*records, endpoints("")]) == 9.0
    assert last_change([]) is None


def test_a_value_that_looks_like_the_member_is_none() -> None:
    """Its quotes are escaped."""
    value = f'\\"{LAST_CHANGE}\\":\\"1970-01-01T00:00:10Z\\"'
    assert last_change([endpoints(f'"a":"{value}"')]) is None


# What is told of it

PLAN = Plan((), {})


class World:
    """:ivar time: in seconds since 1970."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.outcomes = Outcomes(lambda _notice: None, lambda: self.time)

    def carried_out(self, **told: float) -> None:
        self.outcomes.carried_out("shop/a", PLAN, Delay("east", 7.0, 0.5, **told))


@pytest.mark.parametrize(("changed", "seconds"), [(1001.0, 2.0), (1004.0, 0.0)])
def test_a_change_of_pods_counts_since_it_happened(changed: float, seconds: float) -> None:
    """By the clocks of both clusters: what is still to come took no time, and is counted apart."""
    world = World()
    world.time = 1003.0
    world.carried_out(changed=changed)
    delays = world.outcomes.delays
    assert delays.programming["east"].total == seconds
    assert delays.early == {"east": int(changed > world.time)}
    assert delays.propagation["east"].total == 0.5


def test_what_changed_before_the_program_began_does_not_count() -> None:
    """It says nothing of how fast the program is."""
    world = World()
    world.carried_out(changed=999.0)
    assert world.outcomes.delays.programming == {}


def test_a_delay_is_in_the_journal_of_its_name_too() -> None:
    """As long as others are not more."""
    world = World()
    world.carried_out()
    assert list(world.outcomes.journal.delays("shop/a")) == [0.5]
