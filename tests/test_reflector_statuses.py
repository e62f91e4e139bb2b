"""What has become of each name, counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from servicereflector.mirror.states import State, Status
from servicereflector.reflector.statuses import Notice, Statuses

_statuses = st.builds(
    Status, st.sampled_from(State), st.sampled_from(("", "why")), refused=st.integers(0, 2)
)
_notes = st.tuples(
    st.sampled_from(("shop/a", "shop/b")),
    st.dictionaries(st.sampled_from(("east", "north")), _statuses),
)


@given(st.lists(_notes))
def test_the_counts_are_those_of_what_is_there(notes: list[tuple[str, dict[str, Status]]]) -> None:
    """What is no longer there is not counted with 0, either."""
    heard: list[Notice] = []
    statuses = Statuses(heard.append)
    for key, told in notes:
        before = statuses.get(key, {})
        assert statuses.note(key, told) == (before != told)
    there = [(source, status) for told in statuses.values() for source, status in told.items()]
    assert statuses.states == dict(Counter((source, status.state) for source, status in there))
    refused: Counter[str] = Counter()
    for source, status in there:
        refused[source] += status.refused
    assert statuses.refused == dict(+refused)
    assert 0 not in statuses.states.values()
    assert 0 not in statuses.refused.values()
