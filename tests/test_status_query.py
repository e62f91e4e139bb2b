"""What is asked of the status page, and which mirrors are shown in which order."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.mirror.states import State, Status
from servicereflector.reasons import Code
from servicereflector.status.choosing import ROWS, RUN, runs, window
from servicereflector.status.query import (
    ATTENTION,
    STATES,
    URGENT,
    BadQuery,
    Query,
    is_urgent,
    rank,
    read_query,
)

PARAMETERS = ("q", "state", "source", "page", "limit")
SOURCES = ("east", "north")

statuses = st.builds(Status, st.sampled_from(State), noteworthy=st.booleans())
names = st.dictionaries(
    st.text("abc/-", min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(SOURCES), statuses, min_size=1),
    max_size=60,
)
queries = st.builds(
    Query,
    st.sampled_from(["", "a", "b/"]),
    st.sampled_from(["", ATTENTION, *STATES]),
    st.sampled_from(["", *SOURCES]),
)


def read(text: str) -> Query:
    return read_query(text, PARAMETERS, SOURCES)


def test_every_state_can_be_asked_for() -> None:
    assert sorted(STATES) == sorted(state.value for state in State)


def test_nothing_asks_for_everything() -> None:
    """What a form sends whose fields are empty is the same."""
    assert read("") == read("q=&state=&source=&page=") == Query()


def test_everything_can_be_said() -> None:
    told = read("q=+Cart&state=Conflict&source=east&page=2&limit=5")
    assert told == Query("cart", "Conflict", "east", 2, 5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x=1", "'x' is none of q, state, source, page, limit"),
        ("q=a&q=b", "q is given twice"),
        (f"q={'a' * 254}", "q is longer than 253 characters"),
        ("state=conflict", "state: 'conflict' is none of these: attention, Conflict, Held, "),
        ("source=west", "source: 'west' is none of these: east, north"),
        ("page=0", "page: '0' is no whole number from 1 up"),
        ("page=1.5", "page: '1.5' is no whole number from 1 up"),
        ("page=%D9%A3", "page: '٣' is no whole number from 1 up"),
        ("limit=-1", "limit: '-1' is no whole number from 0 up"),
        ("limit=1000000000", "limit: '1000000000' is no whole number from 0 up"),
        ("state=a%0a%1b[31m", r"state: 'a\n\x1b[31m' is none of these: "),
    ],
)
def test_a_value_that_is_not_known_is_named_with_what_is(text: str, told: str) -> None:
    """In one line, whatever is in it."""
    with pytest.raises(BadQuery, match=re.escape(told)) as raised:
        read(text)
    assert str(raised.value).isprintable()


@given(st.text(), st.sampled_from(PARAMETERS))
def test_any_text_is_read_or_refused_in_one_line(text: str, name: str) -> None:
    for query in (text, urlencode({name: text}, errors="replace")):
        refused = ""
        try:
            read(query)
        except BadQuery as error:
            refused = str(error)
        assert refused.isprintable()


@given(queries, st.integers(1, 99))
def test_the_url_of_a_query_asks_for_it(query: Query, page: int) -> None:
    told = read(query.url(page).removeprefix("?"))
    assert (told.q, told.state, told.source, told.page) == (
        query.q,
        query.state,
        query.source,
        page,
    )


@given(names, queries, st.integers(0, 200), st.integers(0, 200))
def test_a_window_is_that_part_of_all_that_is_asked_for(
    found: dict[str, dict[str, Status]], query: Query, start: int, length: int
) -> None:
    """In the order of what somebody should look at first."""
    repeated = [(f"{key}{n}", told) for key, told in found.items() for n in range(9)]
    entries = [
        (rank(status), key, source, status)
        for key, told in repeated
        for source, status in told.items()
        if query.q in key
        and query.source in ("", source)
        and (query.state in ("", status.state.value) or query.state == ATTENTION)
        and (query.state != ATTENTION or is_urgent(status))
    ]
    entries.sort(key=lambda entry: entry[:3])
    pieces = list(window(list(runs(repeated, query)), start, start + length))
    assert [entry for piece in pieces for entry in piece] == entries[start : start + length]
    assert all(len(piece) <= ROWS for piece in pieces)


def test_a_window_far_on_comes_in_pieces() -> None:
    """What is passed over takes time, too."""
    told = {"east": Status(State.MIRRORED, Code.MIRRORED)}
    sorted_runs = list(runs([(f"a/{n:05}", told) for n in range(20 * RUN)], Query()))
    assert len(list(window(sorted_runs, 19 * RUN, 20 * RUN))) >= 19 + RUN / ROWS


def test_what_is_urgent_comes_first_and_conflicts_before_all() -> None:
    ordered = sorted(State, key=lambda state: rank(Status(state, Code.MIRRORED)))
    assert ordered[:2] == [State.CONFLICT, State.HELD]
    assert set(ordered[: len(URGENT)]) == set(URGENT)
    assert ordered[-1] is State.MIRRORED
    left_out = Status(
        State.MIRRORED, Code.ADDRESS_REFUSED, "2 addresses are left out", noteworthy=True, refused=2
    )
    assert is_urgent(left_out)
    assert not is_urgent(Status(State.MIRRORED, Code.MIRRORED))
