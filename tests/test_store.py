"""The versioned store against a naive one that keeps every state it ever had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.objects import Record
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.status import ApiError
from servicereflector.kube.watchevents import Bookmark, EventType, ObjectEvent
from servicereflector.store.versioned import Store
from servicereflector.store.views import Filter
from servicereflector.testing import strategies as kube
from servicereflector.testing.strategies import Relist, Write, feed

#: Small windows, so that the history is cut.
windows = st.sampled_from(((4, 1 << 20), (1, 1 << 20), (1000, 900), (1000, 1), (1000, 1 << 20)))

State = dict[str, Record]


class NaiveStore:
    """The state after each version since the last list."""

    def __init__(self) -> None:
        self.states: dict[int, State] = {}
        self.version = 0

    def feed(self, write: Write) -> None:
        state = dict(self.states.get(self.version, {}))
        if isinstance(write, Relist):
            self.states.clear()
            state = {record.key: record for record in write.records}
            self.version = write.version
        elif isinstance(write, Bookmark):
            self.version = write.version
        else:
            self.version = write.record.version
            state.pop(write.record.key, None)
            if write.type is not EventType.DELETED:
                state[write.record.key] = write.record
        self.states[self.version] = state

    def at(self, version: int) -> State:
        """A version at which nothing happened is as the one before it."""
        return self.states[max(v for v in self.states if v <= version)]


def in_order(state: State, namespace: str = "") -> list[Record]:
    """As etcd sorts: by the bytes of ``namespace/name``."""
    found = sorted(state.values(), key=lambda record: record.key.encode())
    return [r for r in found if not namespace or r.namespace == namespace]


def everything(_record: Record) -> bool:
    return True


@given(kube.histories(), windows)
def test_a_list_at_any_version_is_the_state_of_then_or_410(
    writes: list[Write], window: tuple[int, int]
) -> None:
    """In the whole window, and nowhere before it."""
    store, naive = Store(SERVICES, max_changes=window[0], max_bytes=window[1]), NaiveStore()
    for write in writes:
        feed(store, write)
        naive.feed(write)
    for version in range(1, store.version + 1):
        if version < store.floor:
            with pytest.raises(ApiError) as raised:
                store.select(everything, at=version)
            assert raised.value.code == 410
            continue
        selection = store.select(everything, at=version)
        assert list(selection.records) == in_order(naive.at(version))
        assert selection.version == version


@given(kube.histories(), windows)
def test_the_current_state_is_the_naive_one_after_every_write(
    writes: list[Write], window: tuple[int, int]
) -> None:
    """Whatever the window: version, length, objects, their order, and what is in a namespace."""
    store, naive = Store(SERVICES, max_changes=window[0], max_bytes=window[1]), NaiveStore()
    for write in writes:
        feed(store, write)
        naive.feed(write)
        state = naive.at(naive.version)
        assert (store.version, len(store)) == (naive.version, len(state))
        assert {record.key: record for record in store} == state
        assert list(store.select(everything).records) == in_order(state)
        for namespace in kube.NAMESPACE_POOL:
            assert store.keys_in(namespace) == [r.key for r in in_order(state, namespace)]


@given(
    writes=kube.histories(),
    selector=kube.label_selectors(),
    namespace=kube.namespaces | st.just(""),
    limit=st.integers(1, 4),
    back=st.integers(0, 5),
)
def test_pages_join_to_the_whole_list(
    writes: list[Write], selector: kube.SelectorCase, namespace: str, limit: int, back: int
) -> None:
    """Of any filter, at any version: in order, each with no more than its limit."""
    store = Store(SERVICES)
    for write in writes:
        feed(store, write)
    at = max(store.floor, store.version - back)

    def predicate(record: Record) -> bool:
        return selector.matches(record.labels)

    whole = store.select(predicate, at=at, namespace=namespace)
    found: list[Record] = []
    start, more = "", True
    while more:
        page = store.select(predicate, at=at, namespace=namespace, limit=limit, start=start)
        assert len(page.records) <= limit
        assert page.version == at
        found += page.records
        start, more = page.next_start, bool(page.next_start)
        assert bool(page.remaining) == more
    assert tuple(found) == whole.records


@given(kube.histories())
def test_the_remaining_count_is_of_keys_behind_the_page(writes: list[Write]) -> None:
    """Selected or not."""
    store = Store(SERVICES)
    for write in writes:
        feed(store, write)
    page = store.select(everything, limit=1)
    assert page.remaining == max(0, len(store) - 1)


@given(kube.histories(relists=False), st.data())
def test_repeated_and_old_events_change_nothing(writes: list[Write], data: st.DataObject) -> None:
    """A watch that begins again may repeat what was seen."""
    once, often = Store(SERVICES), Store(SERVICES)
    for index, write in enumerate(writes):
        feed(once, write)
        feed(often, write)
        again = data.draw(st.sampled_from(writes[1 : index + 1]) if index else st.none())
        if again is not None:
            feed(often, again)
    assert once.version == often.version
    assert once.select(everything) == often.select(everything)
    assert once.history.end == often.history.end


@given(kube.histories(), windows)
def test_listeners_hear_of_every_key_that_changed(
    writes: list[Write], window: tuple[int, int]
) -> None:
    """After the change, and of no key that did not change."""
    store = Store(SERVICES, max_changes=window[0], max_bytes=window[1])
    seen: State = {}

    def listener(keys: tuple[str, ...]) -> None:
        for key in keys:
            record = store.get(key)
            assert record != seen.get(key)
            if record is None:
                del seen[key]
            else:
                seen[key] = record

    store.subscribe(listener)
    for write in writes:
        feed(store, write)
        assert seen == {record.key: record for record in store}


def test_a_listener_that_left_hears_nothing() -> None:
    """Not even if it leaves while it is told."""
    store = Store(SERVICES)
    heard: list[tuple[str, ...]] = []

    def once(keys: tuple[str, ...]) -> None:
        heard.append(keys)
        leave()

    leave = store.subscribe(once)
    for version in (2, 3):
        record = kube.small_record("a/x", version, {})
        store.apply(EventType.ADDED, record)
    assert heard == [("a/x",)]


@given(kube.histories(), windows)
def test_the_window_is_bounded_and_holds_what_fits(
    writes: list[Write], window: tuple[int, int]
) -> None:
    """By number and by bytes; the newest change stays in any case."""
    store = Store(SERVICES, max_changes=window[0], max_bytes=window[1])
    for write in writes:
        feed(store, write)
        history = store.history
        held = [history.at(position) for position in range(history.start, history.end)]
        assert len(held) <= window[0]
        assert len(held) <= 1 or sum(change.size for change in held) <= window[1]
        if isinstance(write, ObjectEvent):
            assert held[-1].version == write.record.version


def test_a_long_run_keeps_the_window_and_the_positions() -> None:
    """Also past the point where the log is cut in front."""
    store = Store(SERVICES, max_changes=10)
    store.replace((), 1)
    for version in range(2, 500):
        store.apply(EventType.MODIFIED, kube.small_record("a/x", version, {}))
        assert store.history.at(store.history.end - 1).version == version
    assert store.floor == 489
    assert [change.version for change in store.history.since(store.position_after(497))] == [
        498,
        499,
    ]


def test_a_store_is_synced_by_its_first_list() -> None:
    """An empty one too."""
    store = Store(SERVICES)
    assert not store.synced
    store.replace((), 7)
    assert store.synced


def test_keys_sort_by_their_bytes() -> None:
    """``a-b/x`` precedes ``a/x``, because ``-`` precedes ``/``."""
    store = Store(SERVICES)
    store.replace([kube.small_record(key, 1, {}) for key in ("a/x", "a-b/x", "a/a")], 1)
    assert [r.key for r in store.select(everything).records] == ["a-b/x", "a/a", "a/x"]
    assert store.keys_in("a") == ["a/a", "a/x"]
    assert [r.key for r in store.select(Filter("a").matches, namespace="a", limit=1).records] == [
        "a/a"
    ]


def test_a_deletion_of_what_is_not_there_is_told() -> None:
    """Its version was rejected, maybe: what was kept for it waits for this."""
    store = Store(SERVICES)
    told: list[tuple[str, ...]] = []
    store.subscribe(told.append)
    store.apply(EventType.DELETED, kube.small_record("shop/cart", 7, {}))
    assert told == [("shop/cart",)]
    assert store.version == 7
