"""What a store and a list disagree about, against histories of an API."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.reflector.differences import Verdict, judge


@dataclass(frozen=True)
class Moment:
    """An API's objects once so many of its events have happened, and its version."""

    versions: dict[str, int]
    version: int


@dataclass(frozen=True)
class History:
    """What happened to which key, and where in it the list was asked for, made and judged.

    :ivar asked: how many events the store had applied by then; likewise the next two.
    :ivar listed: of the API; not before the store, which can only lag.
    :ivar judged: of the store.
    :ivar elsewhere: what the API's version has grown since by other resources.
    """

    events: list[tuple[str, bool]]
    asked: int
    listed: int
    judged: int
    elsewhere: int

    def after(self, count: int) -> Moment:
        versions: dict[str, int] = {}
        for number, (key, is_there) in enumerate(self.events[:count], 1):
            versions.pop(key, None)
            if is_there:
                versions[key] = number * 10
        return Moment(versions, count * 10)

    def verdict(self, held: dict[str, int], late: bool) -> Verdict:
        there, here = self.after(self.listed), self.after(self.judged)
        told = {key for key, _ in self.events[self.asked : self.judged]}
        return judge(
            there.versions,
            there.version + self.elsewhere,
            held,
            here.version,
            changed=told,
            late=late,
        )


@st.composite
def histories(draw: st.DrawFn) -> History:
    events = draw(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=15))
    asked, listed = sorted(draw(st.tuples(*[st.integers(0, len(events))] * 2)))
    judged = draw(st.integers(asked, len(events)))
    return History(events, asked, listed, judged, draw(st.integers(0, 9)))


@given(histories())
def test_a_store_that_lags_is_not_wrong(history: History) -> None:
    """Nor is one that is ahead of the list, nor one that has lost its watch for the moment."""
    assert history.verdict(history.after(history.judged).versions, late=False).wrong == ()


@given(histories(), st.booleans())
def test_a_store_that_has_caught_up_leaves_nothing_open(history: History, late: bool) -> None:
    """Whether or not its version tells so, once it has had its time."""
    if history.judged >= history.listed:
        verdict = history.verdict(history.after(history.judged).versions, late=late)
        assert verdict == ((), 0)


@given(histories(), st.sampled_from("abcde"), st.sampled_from([None, 1, 3]), st.booleans())
def test_what_is_wrong_in_a_store_that_has_caught_up_is_found(
    history: History, key: str, put: int | None, late: bool
) -> None:
    """A record that was lost, is another, or should not be: that one, and only that."""
    held = history.after(history.judged).versions
    told = {k for k, _ in history.events[history.asked : history.judged]}
    if history.judged < history.listed or key in told or held.get(key) == put:
        return
    broken = {k: version for k, version in held.items() if k != key}
    if put is not None:
        broken[key] = put
    verdict = history.verdict(broken, late=late)
    caught_up = history.judged > history.listed or not history.elsewhere
    if late or caught_up or key in held:
        assert verdict == ((key,), 0)
    else:
        assert verdict == ((), 1), "the list lacks it, at a version that the store has not reached"


def test_what_the_watch_has_not_told_in_all_its_time_is_wrong() -> None:
    """Its connection brings bytes, but not this."""
    listed, held = {"new": 9, "changed": 8}, {"changed": 4, "gone": 5}
    assert judge(listed, 10, held, 5, changed=(), late=False) == ((), 3)
    assert judge(listed, 10, held, 5, changed=(), late=True).wrong == ("changed", "gone", "new")


@pytest.mark.parametrize("late", [False, True])
def test_what_has_changed_since_is_not_judged(late: bool) -> None:
    """The next round will see to it."""
    assert judge({"a": 1}, 1, {"a": 2}, 2, changed={"a"}, late=late) == ((), 0)
