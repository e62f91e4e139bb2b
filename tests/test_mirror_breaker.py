"""The breaker for mass deletions, rule by rule and against a model that goes key by key."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from servicereflector.mirror.breaker import Breaker, Limits

HOLD = 300.0
MIRRORS = [f"a/{number}" for number in range(10)]
MOST, FEW = MIRRORS[:6], MIRRORS[:5]


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(Limits())


@pytest.fixture
def tripped(breaker: Breaker) -> Breaker:
    """At 0, by a list of east that lacks most."""
    assert breaker.listed("east", MIRRORS, MOST, 0)
    return breaker


def held(breaker: Breaker, now: float, source: str = "east") -> list[str]:
    return [key for key in MIRRORS if breaker.held(source, key, now)]


def told(keys: Iterable[str], source: str = "east") -> list[tuple[str, str]]:
    return [(source, key) for key in keys]


def test_what_a_list_that_lacks_most_would_delete_is_held(tripped: Breaker) -> None:
    """And nothing else, of no other source."""
    assert held(tripped, 0) == MOST
    assert held(tripped, 0, "west") == []
    assert (tripped.count("east"), tripped.until("east")) == (6, HOLD)
    assert (tripped.count("west"), tripped.until("west")) == (0, None)


def test_a_list_that_lacks_half_is_believed(breaker: Breaker) -> None:
    """It must lack more than the fraction."""
    assert not breaker.listed("east", MIRRORS, FEW, 0)
    assert held(breaker, 0) == []
    assert breaker.next_due() is None


@given(percent=st.integers(0, 100), mirrors=st.integers(1, 200), over=st.integers(-2, 2))
@example(percent=29, mirrors=100, over=0)
@example(percent=7, mirrors=100, over=1)
def test_the_fraction_is_the_decimal_that_was_said(percent: int, mirrors: int, over: int) -> None:
    """29 of 100 are not more than 0.29, though in floats they are more than 0.29 * 100."""
    missing = min(max(percent * mirrors // 100 + over, 0), mirrors)
    breaker = Breaker(Limits(percent / 100, least=0))
    keys = [str(number) for number in range(mirrors)]
    trips = breaker.listed("east", keys, keys[:missing], 0)
    assert trips is (100 * missing > percent * mirrors)
    assert breaker.count("east") == (missing if trips else 0)


def test_a_source_with_few_mirrors_is_believed(breaker: Breaker) -> None:
    """From ten on the breaker acts."""
    assert not breaker.listed("east", MIRRORS[:9], MIRRORS[:9], 0)
    assert breaker.listed("east", MIRRORS, MIRRORS, 0)


def test_what_is_held_stays_so_when_another_mirror_goes(breaker: Breaker) -> None:
    """Nine are fewer than ten, but the list is the one that was not believed."""
    assert breaker.listed("east", MIRRORS, MIRRORS[:6], 0)
    assert not breaker.listed("east", MIRRORS[:9], MIRRORS[:6], 1)
    assert held(breaker, 1) == MIRRORS[:6]


@pytest.mark.parametrize("limits", [Limits(fraction=1.0), Limits(hold=0.0), Limits(0.0, 0, 0.0)])
def test_it_can_be_turned_off(limits: Limits) -> None:
    """By a fraction of 1, or by a hold of 0."""
    breaker = Breaker(limits)
    assert not breaker.listed("east", MIRRORS, MIRRORS, 0)
    assert (held(breaker, 0), breaker.next_due(), breaker.due(HOLD)) == ([], None, [])


def test_a_source_without_mirrors_has_nothing_to_hold() -> None:
    """However strict the limits."""
    assert not Breaker(Limits(0.0, 0)).listed("east", [], [], 0)


def test_a_hold_ends(tripped: Breaker) -> None:
    """At the moment that was told, not before; it is told once."""
    before = HOLD - 1
    assert tripped.next_due() == HOLD
    assert (held(tripped, before), tripped.due(before)) == (MOST, [])
    assert held(tripped, HOLD) == []
    assert tripped.due(HOLD) == told(MOST)
    assert tripped.due(HOLD) == []
    assert (tripped.next_due(), tripped.count("east"), tripped.until("east")) == (None, 0, None)


def test_the_same_answer_again_keeps_the_clock(tripped: Breaker) -> None:
    """What is lacked for the first time has one of its own."""
    assert not tripped.listed("east", MIRRORS, MOST, 100)
    assert tripped.listed("east", MIRRORS, MIRRORS[:8], 200)
    assert (tripped.until("east"), tripped.count("east")) == (HOLD, 8)
    assert tripped.due(HOLD) == told(MOST)
    assert held(tripped, HOLD) == MIRRORS[6:8]
    assert tripped.next_due() == 200 + HOLD


def test_what_a_later_list_has_again_is_not_held(tripped: Breaker) -> None:
    """If it is lacked once more its clock starts anew."""
    others = MIRRORS[1:8]
    assert tripped.listed("east", MIRRORS, others, 100)
    assert held(tripped, 100) == others
    assert tripped.listed("east", MIRRORS, MIRRORS[:8], 200)
    assert tripped.due(HOLD) == told(MIRRORS[1:6])
    assert tripped.due(100 + HOLD) == told(MIRRORS[6:8])
    assert held(tripped, 100 + HOLD) == [MIRRORS[0]]
    assert tripped.due(200 + HOLD) == told(MIRRORS[:1])


def test_a_list_that_lacks_few_lets_the_rest_go(tripped: Breaker) -> None:
    """It is likely to be right about these, and the next list does not hold them again."""
    assert not tripped.listed("east", MIRRORS, MOST[:2], 100)
    assert (held(tripped, 100), tripped.next_due()) == ([], None)
    more = [*MIRRORS, "b/0", "b/1"]
    assert tripped.listed("east", more, MOST + more[6:8], 200)
    assert held(tripped, 200) == MIRRORS[2:8]


def test_what_has_been_held_for_long_enough_is_not_held_again(tripped: Breaker) -> None:
    """A list comes in between while the deletions go ahead, one by one."""
    tripped.due(HOLD)
    for gone in range(6):
        assert not tripped.listed("east", MIRRORS[gone:], MOST[gone:], HOLD + gone)
        assert held(tripped, HOLD + gone) == []


def test_a_list_may_come_before_the_end_of_a_hold_is_told(tripped: Breaker) -> None:
    """It does not hold the keys again, and they are still told."""
    assert not tripped.listed("east", MIRRORS, MOST, HOLD + 1)
    assert held(tripped, HOLD + 1) == []
    assert tripped.due(HOLD + 1) == told(MOST)
    assert not tripped.listed("east", MIRRORS, MOST, HOLD + 2)
    assert held(tripped, HOLD + 2) == []


def test_what_such_a_list_has_again_is_not_told(tripped: Breaker) -> None:
    """There is nothing to delete."""
    tripped.listed("east", MIRRORS, MOST[1:], HOLD + 1)
    assert tripped.due(HOLD + 1) == told(MOST[1:])


def test_release_lets_go_at_once(tripped: Breaker) -> None:
    """What was held of that source; it is not held again by the same answer."""
    tripped.listed("west", MIRRORS, MIRRORS, 0)
    assert tripped.release("east") == set(MOST)
    assert tripped.release("east") == set()
    assert (held(tripped, 0), held(tripped, 0, "west")) == ([], MIRRORS)
    assert tripped.due(HOLD) == told(MIRRORS, "west")
    assert not tripped.listed("east", MIRRORS, MOST, 1)
    assert held(tripped, 1) == []


def test_where_nothing_is_held_there_is_nothing_to_release(breaker: Breaker) -> None:
    """Nor to settle or to forget."""
    assert breaker.release("east") == set()
    breaker.settled("east", MIRRORS[0])
    breaker.forget_source("east")
    assert breaker.due(0) == []
    assert breaker.listed("east", MIRRORS, MOST, 0)


def test_a_new_wave_is_judged_by_the_mirrors_that_remain() -> None:
    """What was let go counts for nothing, whether it is deleted already or not."""
    mirrors = [str(number) for number in range(40)]
    for deleted in (0, 7, 25):
        breaker = Breaker(Limits())
        assert breaker.listed("east", mirrors, mirrors[:25], 0)
        breaker.release("east")
        # Of the fifteen that remain seven are less than half, and eight are more.
        assert not breaker.listed("east", mirrors[deleted:], mirrors[deleted:32], 1)
        assert breaker.listed("east", mirrors[deleted:], mirrors[deleted:33], 2)
        assert breaker.release("east") == set(mirrors[25:33])


@pytest.mark.parametrize("first", [True, False])
def test_a_new_wave_at_the_moment_at_which_a_hold_ends(first: bool) -> None:
    """What has ended counts for nothing, whether it has been told already or not."""
    mirrors = [str(number) for number in range(40)]
    breaker = Breaker(Limits())
    assert breaker.listed("east", mirrors, mirrors[:25], 0)
    ended = breaker.due(HOLD) if first else []
    assert not breaker.listed("east", mirrors, mirrors[:32], HOLD)
    assert breaker.listed("east", mirrors, mirrors[:33], HOLD)
    assert ended + breaker.due(HOLD) == told(mirrors[:25])
    assert breaker.release("east") == set(mirrors[25:33])


def test_what_is_let_go_and_there_again_counts_as_a_mirror(tripped: Breaker) -> None:
    """When it is lacked again, that is held."""
    tripped.release("east")
    assert not tripped.listed("east", MIRRORS, [], 1)
    assert tripped.listed("east", MIRRORS, MOST, 2)
    assert tripped.until("east") == 2 + HOLD


def test_what_is_exported_again_is_settled(tripped: Breaker) -> None:
    """It is no longer held, nor told; its clock starts anew."""
    first, *others = MOST
    tripped.settled("east", first)
    assert held(tripped, 0) == others
    assert tripped.listed("east", MIRRORS, MOST, 100)
    assert tripped.due(HOLD) == told(others)
    assert held(tripped, HOLD) == [first]


def test_what_is_settled_is_no_longer_let_go(tripped: Breaker) -> None:
    """The next list that lacks most holds it."""
    tripped.due(HOLD)
    for key in MOST:
        tripped.settled("east", key)
    assert tripped.listed("east", MIRRORS, MOST, HOLD)
    assert held(tripped, HOLD) == MOST


def test_nothing_is_kept_of_keys_that_are_no_longer_mirrors(tripped: Breaker) -> None:
    """Held or let go, they are unknown when they come back."""
    tripped.listed("west", MIRRORS, MOST, 0)
    tripped.release("west")
    for source in ("east", "west"):
        assert not tripped.listed(source, MIRRORS[6:], [], 1)
        assert tripped.count(source) == 0
        assert tripped.listed(source, MIRRORS, MOST, 2)
        assert (held(tripped, 2, source), tripped.until(source)) == (MOST, 2 + HOLD)


def test_a_source_that_is_forgotten_begins_anew(tripped: Breaker) -> None:
    """Both with what was held and with what was let go."""
    for _ in range(2):
        tripped.forget_source("east")
        assert (held(tripped, 0), tripped.due(HOLD), tripped.next_due()) == ([], [], None)
        assert tripped.listed("east", MIRRORS, MOST, 0)
        tripped.release("east")


@given(
    kept=st.integers(1, 12),
    lost=st.integers(13, 30),
    steps=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 9)), max_size=12),
)
def test_a_source_that_keeps_to_its_answer_is_believed_after_the_hold(
    kept: int, lost: int, steps: list[tuple[int, int]]
) -> None:
    """Not earlier, and from then on for good, however often it is listed, whatever is deleted."""
    breaker, now = Breaker(Limits()), 0
    staying = [f"kept/{number}" for number in range(kept)]
    going = [f"lost/{number}" for number in range(lost)]
    assert breaker.listed("east", staying + going, going, now)
    seen: list[tuple[str, str]] = []
    for seconds, deletions in steps:
        now += seconds
        assert not breaker.listed("east", staying + going, going, now)
        seen += breaker.due(now)
        assert {breaker.held("east", key, now) for key in going} <= {now < HOLD}
        assert seen == ([] if now < HOLD else told([f"lost/{n}" for n in range(lost)]))
        going = going[deletions:] if now >= HOLD else going


class Fate(Enum):
    """Of a key that the last list lacked and that the breaker has had a part in."""

    HELD = 1
    ENDED = 2  # and not told
    LET_GO = 3


KEYS = [f"a/{number}" for number in range(8)]
subsets = st.sets(st.sampled_from(KEYS))
sources = st.sampled_from(("east", "west"))


class BreakerAgainstModel(RuleBasedStateMachine):
    """The model knows each key's fate, and when its hold ends."""

    @initialize(
        fraction=st.sampled_from(("0", "0.25", "0.5", "0.5", "0.75", "1")),
        least=st.sampled_from((0, 3, 5)),
        hold=st.sampled_from((10.0, 10.0, 10.0, 0.0)),
    )
    def begin(self, fraction: str, least: int, hold: float) -> None:
        self.fraction, self.least, self.hold = Fraction(fraction), least, hold
        self.breaker = Breaker(Limits(float(fraction), least, hold))
        self.now = 0.0
        self.fates: dict[tuple[str, str], Fate] = {}
        self.ends: dict[tuple[str, str], float] = {}

    @rule(source=sources, unmirrored=subsets, lacked=subsets | st.just(set(KEYS)))
    def listed(self, source: str, unmirrored: set[str], lacked: set[str]) -> None:
        mirrors = [key for key in KEYS if key not in unmirrored]
        missing = [key for key in mirrors if key in lacked]
        over = (Fate.ENDED, Fate.LET_GO)
        gone = [key for key in missing if self.fates.get((source, key)) in over]
        wave, rest = len(missing) - len(gone), len(mirrors) - len(gone)
        standing = any(self.fates.get((source, key)) is Fate.HELD for key in missing)
        enough = standing or rest >= self.least
        trips = self.hold > 0 and enough and wave > self.fraction * rest
        anew = False
        for key in KEYS:
            fate = self.fates.pop((source, key), None)
            if key not in missing:
                continue
            if fate is None and trips:
                self.ends[source, key] = self.now + self.hold
                fate, anew = Fate.HELD, True
            elif fate is Fate.HELD and not trips:
                fate = Fate.LET_GO
            if fate is not None:
                self.fates[source, key] = fate
        assert self.breaker.listed(source, mirrors, missing, self.now) is anew

    @rule(seconds=st.sampled_from((0.5, 3.0, 10.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for place in self.with_fate(Fate.HELD):
            if self.ends[place] <= self.now:
                self.fates[place] = Fate.ENDED

    def with_fate(self, *fates: Fate) -> list[tuple[str, str]]:
        return [place for place, fate in self.fates.items() if fate in fates]

    @rule(source=sources, key=st.sampled_from(KEYS))
    def settled(self, source: str, key: str) -> None:
        self.breaker.settled(source, key)
        self.fates.pop((source, key), None)

    @rule(source=sources)
    def release(self, source: str) -> None:
        places = [p for p in self.with_fate(Fate.HELD, Fate.ENDED) if p[0] == source]
        assert self.breaker.release(source) == {key for _, key in places}
        self.fates |= dict.fromkeys(places, Fate.LET_GO)

    @rule(source=sources)
    def forget_source(self, source: str) -> None:
        self.breaker.forget_source(source)
        self.fates = {place: fate for place, fate in self.fates.items() if place[0] != source}

    @rule()
    def due(self) -> None:
        ended = self.with_fate(Fate.ENDED)
        assert sorted(self.breaker.due(self.now)) == sorted(ended)
        self.fates |= dict.fromkeys(ended, Fate.LET_GO)

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        for source in ("east", "west"):
            for key in KEYS:
                expected = self.fates.get((source, key)) is Fate.HELD
                assert self.breaker.held(source, key, self.now) is expected

    @invariant()
    def it_tells_how_many_and_until_when(self) -> None:
        places = self.with_fate(Fate.HELD, Fate.ENDED)
        for source in ("east", "west"):
            ends = [self.ends[place] for place in places if place[0] == source]
            assert self.breaker.count(source) == len(ends)
            assert self.breaker.until(source) == min(ends, default=None)
        assert self.breaker.next_due() == min((self.ends[p] for p in places), default=None)


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
