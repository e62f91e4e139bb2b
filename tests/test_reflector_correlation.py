"""Which Event to send: few for much, and nothing that goes uncounted."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.reflector.correlation import (
    BURST,
    MOST_BYTES,
    MOST_REMEMBERED,
    REFILL_EVERY,
    REPEAT_EVERY,
    Correlator,
    Create,
    Involved,
    Key,
    Occurrence,
    Repeat,
    Told,
    message_of,
)

CART = Occurrence(Involved(SERVICES, "shop", "cart", "u-1"), "Conflict", "in the way", "east")

#: Long enough for a full bucket, and for every Event to be repeated.
LONG = BURST * REFILL_EVERY + REPEAT_EVERY

occurrences = st.builds(
    Occurrence,
    st.builds(Involved, st.just(SERVICES), st.just("shop"), st.sampled_from("abcd")),
    st.sampled_from(["Conflict", "Stale"]),
    st.sampled_from(["m", "n"]),
    st.sampled_from(["east", "west"]),
)
#: Bursts, and a while after each.
walks = st.lists(
    st.tuples(
        occurrences,
        st.integers(1, 2 * BURST),
        st.sampled_from([0.0, 0.1, 1.0, REFILL_EVERY, 7.3, REPEAT_EVERY, 1000.0]),
    ),
    max_size=30,
)


def stale(number: int) -> Occurrence:
    return Occurrence(Involved(SERVICES, "shop", f"s{number}"), "Stale", "is silent", "east")


def create(occurrence: Occurrence, at: float, more: int = 0) -> Create:
    return Create(occurrence, 1, at, at, more)


def empty_the_bucket(correlator: Correlator, now: float) -> None:
    """For CART's source and reason, by other Events."""
    for number in range(BURST):
        other = replace(CART, involved=Involved(SERVICES, "shop", f"other{number}"))
        correlator.tell(other, now)


def test_what_is_equal_is_one_event() -> None:
    """Its second telling raises the count and the time."""
    correlator = Correlator()
    assert correlator.tell(CART, 100) == create(CART, 100)
    assert correlator.tell(CART, 100 + REPEAT_EVERY) == Repeat(CART, 2, 100, 160, 0)
    assert correlator.tell(CART, 100 + 2 * REPEAT_EVERY) == Repeat(CART, 3, 100, 220, 0)


def test_repeats_in_between_are_only_counted() -> None:
    """The next one carries the whole count."""
    correlator = Correlator()
    correlator.tell(CART, 0)
    assert [correlator.tell(CART, t) for t in (0, 1, REPEAT_EVERY - 0.1)] == [None] * 3
    assert correlator.tell(CART, REPEAT_EVERY) == Repeat(CART, 5, 0, REPEAT_EVERY, 0)


@pytest.mark.parametrize(
    "other",
    [
        replace(CART, involved=replace(CART.involved, name="till")),
        replace(CART, involved=replace(CART.involved, namespace="bank")),
        replace(CART, involved=replace(CART.involved, resource=ENDPOINTS)),
        replace(CART, involved=replace(CART.involved, uid="u-2")),
        replace(CART, reason="Held"),
        replace(CART, message="still in the way"),
    ],
    ids=["name", "namespace", "resource", "uid", "reason", "message"],
)
def test_what_differs_is_an_event_of_its_own(other: Occurrence) -> None:
    """A Service that was created anew has another uid, and no Events yet."""
    correlator = Correlator()
    correlator.tell(CART, 0)
    assert correlator.tell(other, 0) == create(other, 0)


def test_a_source_that_falls_silent_with_thousands_of_mirrors() -> None:
    """The first get an Event; the next that goes out tells how many did not."""
    correlator = Correlator()
    told = [correlator.tell(stale(number), 0) for number in range(5000)]
    assert told[:BURST] == [create(stale(number), 0) for number in range(BURST)]
    assert told[BURST:] == [None] * 4975
    late = correlator.tell(stale(5000), REFILL_EVERY)
    assert late == create(stale(5000), REFILL_EVERY, more=4975)
    assert late is not None
    assert late.message == "is silent (and 4,975 more)"
    then = correlator.tell(stale(5001), 2 * REFILL_EVERY)
    assert then is not None
    assert then.message == "is silent"


@pytest.mark.parametrize(
    "other",
    [replace(stale(9999), source="west"), replace(stale(9999), reason="Held")],
    ids=["source", "reason"],
)
def test_one_source_and_reason_does_not_silence_another(other: Occurrence) -> None:
    """Each has a bucket of its own, and numbers of its own."""
    correlator = Correlator()
    for number in range(5000):
        correlator.tell(stale(number), 0)
    assert correlator.tell(other, 0) == create(other, 0)


def test_the_number_of_others_makes_no_other_event() -> None:
    """It is told by an Event that is there, too."""
    correlator = Correlator()
    for number in range(BURST + 3):
        correlator.tell(stale(number), 0)
    assert correlator.tell(stale(0), LONG) == Repeat(stale(0), 2, 0, LONG, more=3)
    assert correlator.tell(stale(0), 2 * LONG) == Repeat(stale(0), 3, 0, 2 * LONG, more=0)


def test_a_repeat_waits_for_its_turn_as_well() -> None:
    """Thousands of Events that are repeated each minute are thousands of writes."""
    correlator = Correlator()
    correlator.tell(CART, 0)
    empty_the_bucket(correlator, LONG)
    assert correlator.tell(CART, LONG) is None
    later = LONG + REFILL_EVERY
    assert correlator.tell(CART, later) == Repeat(CART, 3, 0, later, 0)


def test_what_was_not_written_is_told_later() -> None:
    """Its own count by its next Repeat, the others by whatever comes first."""
    correlator = Correlator()
    for number in range(BURST + 3):
        correlator.tell(stale(number), 0)
    told = correlator.tell(stale(100), LONG)
    assert told == create(stale(100), LONG, more=3)
    assert told is not None
    correlator.unsaid(told)
    assert correlator.tell(stale(101), LONG) == create(stale(101), LONG, more=3)
    later = LONG + REPEAT_EVERY
    assert correlator.tell(stale(100), later) == Repeat(stale(100), 2, LONG, later, 0)


def test_what_was_not_written_joins_what_is_held_back() -> None:
    correlator = Correlator()
    for number in range(BURST + 3):
        correlator.tell(stale(number), 0)
    told = correlator.tell(stale(100), REFILL_EVERY)
    assert told == create(stale(100), REFILL_EVERY, more=3)
    assert told is not None
    assert correlator.tell(stale(101), REFILL_EVERY) is None
    correlator.unsaid(told)
    assert correlator.tell(stale(102), LONG) == create(stale(102), LONG, more=4)


def test_where_events_cannot_be_updated_they_are_only_counted() -> None:
    """And that costs others nothing of what they may."""
    correlator = Correlator()
    correlator.repeats = False
    correlator.tell(CART, 0)
    for number in range(10 * BURST):
        assert correlator.tell(CART, LONG + number * REPEAT_EVERY) is None
    now = LONG + 10 * BURST * REPEAT_EVERY
    for _ in range(10 * BURST):
        assert correlator.tell(CART, now) is None
    other = replace(CART, message="another")
    assert correlator.tell(other, now) == create(other, now)


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    correlator = Correlator()
    correlator.tell(CART, 1_000_000)
    assert correlator.tell(CART, 10) == Repeat(CART, 2, 1_000_000, 10, 0)
    empty_the_bucket(correlator, 10)
    assert correlator.tell(stale(1), 5) is not None
    assert correlator.tell(CART, 10 + LONG) == Repeat(CART, 3, 1_000_000, 10 + LONG, 2)


@given(walks)
def test_writes_are_bounded(walk: list[tuple[Occurrence, int, float]]) -> None:
    """By source and reason: the burst, and what has come since. By Event: one a minute."""
    correlator = Correlator()
    now = 1000.0
    writes: Counter[tuple[str, str]] = Counter()
    times: dict[Key, list[float]] = defaultdict(list)
    for occurrence, number, wait in walk:
        for _ in range(number):
            if correlator.tell(occurrence, now) is not None:
                writes[occurrence.source, occurrence.reason] += 1
                times[occurrence.key].append(now)
        assert all(each <= BURST + (now - 1000.0) / REFILL_EVERY + 1e-6 for each in writes.values())
        now += wait
    for moments in times.values():
        assert all(b - a >= REPEAT_EVERY for a, b in pairwise(moments))


@given(st.integers(BURST + 1, 400), st.floats(0, 500))
def test_as_many_as_may_go_out_do(number: int, wait: float) -> None:
    """A bound of nothing would be kept as well."""
    correlator = Correlator()
    told = [correlator.tell(stale(n), 0) for n in range(number)]
    told += [correlator.tell(stale(number + n), wait) for n in range(number)]
    most = BURST + min(BURST, int(wait / REFILL_EVERY))
    assert sum(each is not None for each in told) == most


class Ledger:
    """Tells a correlator, and sums up what people would read.

    :ivar counts: what each Event told last, a later one of the same key beside the earlier.
    """

    def __init__(self, remembered: int) -> None:
        self.correlator = Correlator(remembered)
        self.now = 0.0
        self.happened = self.more = 0
        self.counts: list[int] = []
        self._current: dict[Key, int] = {}

    def tell(self, occurrence: Occurrence, *, written: bool = True) -> None:
        self.happened += 1
        told = self.correlator.tell(occurrence, self.now)
        if told is None:
            return
        match told:
            case Create():
                self._current[occurrence.key] = len(self.counts)
                self.counts.append(1)
            case Repeat():
                assert told.count > self.counts[self._current[occurrence.key]]
                self.counts[self._current[occurrence.key]] = told.count
        if written:
            self.more += told.more
        else:
            self.correlator.unsaid(told)


@given(walks, st.sampled_from([1, 2, 3, 5, MOST_REMEMBERED]), st.data())
def test_everything_is_counted_once(
    walk: list[tuple[Occurrence, int, float]], remembered: int, data: st.DataObject
) -> None:
    """In the count of an Event or in the number of others, whatever was forgotten or failed."""
    ledger = Ledger(remembered)
    for occurrence, number, wait in walk:
        for _ in range(number):
            ledger.tell(occurrence)
        ledger.tell(occurrence, written=data.draw(st.booleans()))
        ledger.now += wait
    # Everything that waits to be told is: what an Event has counted, then what is held back.
    for key in {occurrence.key: occurrence for occurrence, _, _ in walk}.values():
        ledger.now += LONG
        ledger.tell(key)
    for source in ("east", "west"):
        for reason in ("Conflict", "Stale"):
            ledger.now += LONG
            ledger.tell(replace(CART, reason=reason, message="the last", source=source))
    assert sum(ledger.counts) + ledger.more == ledger.happened


@given(st.integers(1, 8), st.lists(st.integers(0, 20), max_size=60))
def test_the_most_recent_events_are_remembered(remembered: int, numbers: list[int]) -> None:
    """Neither more of them nor fewer, and which ones shows in what is repeated."""
    correlator = Correlator(remembered)
    recent: list[int] = []
    for step, number in enumerate(numbers):
        told = correlator.tell(stale(number), step * LONG)
        assert isinstance(told, Repeat if number in recent else Create)
        recent = [*(n for n in recent if n != number), number][-remembered:]
        assert len(correlator) == len(recent)


def test_memory_is_bounded_at_client_gos_figure() -> None:
    correlator = Correlator()
    for number in range(MOST_REMEMBERED + 10):
        assert correlator.tell(stale(number), number * REFILL_EVERY) is not None
    assert len(correlator) == MOST_REMEMBERED == 4096


def test_what_is_held_back_is_not_remembered() -> None:
    """It is a number, however many there are."""
    correlator = Correlator()
    for number in range(5000):
        correlator.tell(stale(number), 0)
    assert len(correlator) == BURST


# The message


@example("\ud800", 0)
@given(st.text(st.characters(codec=None), max_size=1500), st.integers(0, 10**12))
def test_a_message_fits_the_api(message: str, more: int) -> None:
    """The number of others is never what is cut; nothing is changed that fits."""
    suffix = f" (and {more:,} more)" if more else ""
    told = message_of(message, more)
    body = told.removesuffix(suffix)
    assert told.endswith(suffix)
    assert len(told.encode()) <= MOST_BYTES
    clean = message.encode(errors="replace").decode()
    if len((clean + suffix).encode()) <= MOST_BYTES:
        assert body == clean
    else:
        assert body.endswith("…")
        assert clean.startswith(body[:-1])
        assert len(told.encode()) > MOST_BYTES - 4, "more was cut than one character"


def test_messages_that_differ_past_the_cut_are_equal() -> None:
    """Nobody could tell the Events apart."""
    correlator = Correlator()
    correlator.tell(replace(CART, message="x" * 2000 + "1"), 0)
    told = correlator.tell(replace(CART, message="x" * 2000 + "2"), REPEAT_EVERY)
    assert isinstance(told, Repeat)


def test_all_that_is_told_has_the_number_in_its_message() -> None:
    told: Told = Repeat(CART, 2, 0, 60, more=1234567)
    assert told.message == "in the way (and 1,234,567 more)"
