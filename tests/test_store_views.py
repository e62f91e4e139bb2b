"""Views: whoever reads the frames of a filter knows what a list through that filter would say."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from servicereflector.kube.fields import parse_fields
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.selectors import parse_labels
from servicereflector.kube.status import ApiError
from servicereflector.kube.watchevents import EventType
from servicereflector.store import views as views_module
from servicereflector.store.versioned import Store
from servicereflector.store.views import Cursor, Filter, View
from servicereflector.testing import strategies as kube
from servicereflector.testing.strategies import Write, feed, small_record

State = dict[str, Json]

filters = st.builds(
    Filter,
    kube.namespaces | st.just(""),
    kube.label_selectors().map(lambda case: parse_labels(case.text)),
    st.sampled_from(("", "metadata.name=x", "metadata.name!=x", "metadata.namespace=a")).map(
        parse_fields
    ),
)


def events_of(data: bytes) -> list[tuple[str, Json]]:
    events = [orjson.loads(line) for line in data.splitlines()]
    return [(event["type"], event["object"]) for event in events]


def document_key(document: Json) -> str:
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"


def version_of(document: Json) -> int:
    return int(document["metadata"]["resourceVersion"])


def untyped(document: Json) -> Json:
    return {name: value for name, value in document.items() if name not in ("kind", "apiVersion")}


@dataclass
class Watcher:
    """A client of one view that believes nothing but what it is sent."""

    view: View
    filter: Filter
    cursor: Cursor
    version: int
    state: State = field(default_factory=dict)

    def take(self, data: bytes) -> None:
        for event_type, document in events_of(data):
            key, version = document_key(document), version_of(document)
            assert version > self.version, "out of order, or sent twice"
            self.version = version
            known = self.state.pop(key, None)
            if event_type == "ADDED":
                assert known is None
            else:
                assert known is not None
            if event_type != "DELETED":
                self.state[key] = untyped(document)
            assert event_type in EventType.__members__


class StoreAndWatchers(RuleBasedStateMachine):
    """Any writes, watchers that come from any version, and read whenever they like."""

    watchers: Bundle[Watcher] = Bundle("watchers")

    @initialize(
        window=st.sampled_from(((3, 1 << 20), (1000, 700), (1000, 1 << 20))),
        max_read=st.sampled_from((1, 400, 1 << 20)),
        version=st.integers(1, 5),
    )
    def begin(self, window: tuple[int, int], max_read: int, version: int) -> None:
        self.store = Store(SERVICES, max_changes=window[0], max_bytes=window[1])
        self.max_read = max_read
        self.store.replace((), version)

    def next_version(self, step: int = 1) -> int:
        return self.store.version + step

    @rule(key=kube.keys, labels=kube.label_maps(), step=st.integers(1, 3))
    def put(self, key: str, labels: dict[str, str], step: int) -> None:
        event_type = EventType.MODIFIED if self.store.get(key) else EventType.ADDED
        self.store.apply(event_type, small_record(key, self.next_version(step), labels))

    @rule(key=kube.keys, step=st.integers(1, 3))
    def delete(self, key: str, step: int) -> None:
        known = self.store.get(key)
        if known is not None:
            self.store.apply(EventType.DELETED, known.at_version(self.next_version(step)))

    @rule(step=st.integers(1, 3))
    def bookmark(self, step: int) -> None:
        self.store.advance(self.next_version(step))

    @rule(missed=st.sets(kube.keys, max_size=2), step=st.integers(0, 3))
    def relist(self, missed: set[str], step: int) -> None:
        kept = [record for record in self.store if record.key not in missed]
        self.store.replace(kept, self.next_version(step))

    @rule(target=watchers, chosen=filters)
    def watch_from_a_list(self, chosen: Filter) -> Watcher:
        return self.listed(chosen)

    def listed(self, chosen: Filter) -> Watcher:
        view = View(self.store, chosen.matches)
        cursor = view.cursor()
        watcher = Watcher(view, chosen, cursor, self.store.version)
        for event_type, document in events_of(b"".join(view.initial())):
            assert event_type == "ADDED"
            watcher.state[document_key(document)] = untyped(document)
        return watcher

    @rule(target=watchers, chosen=filters, back=st.integers(0, 6))
    def watch_from_an_old_list(self, chosen: Filter, back: int) -> Watcher:
        """A client that listed some versions ago, here or at another replica."""
        version = max(0, self.store.version - back)
        view = View(self.store, chosen.matches)
        if version < self.store.floor:
            with pytest.raises(ApiError) as raised:
                view.cursor(version)
            assert raised.value.code == 410
            return self.listed(chosen)
        listed = self.store.select(chosen.matches, at=version)
        watcher = Watcher(view, chosen, view.cursor(version), version)
        watcher.state = {record.key: record.document() for record in listed.records}
        return watcher

    @rule(watcher=watchers)
    def read(self, watcher: Watcher) -> None:
        """Everything that is there, in pieces."""
        store = self.store
        lost = watcher.cursor.epoch != store.epoch
        if not lost and watcher.cursor.position < store.history.start:
            lost = True
            assert watcher.version < store.floor
        if lost:
            with pytest.raises(ApiError) as raised:
                watcher.view.read(watcher.cursor)
            assert raised.value.code == 410
            return
        while not watcher.view.at_end(watcher.cursor):
            self.read_piece(watcher)
        assert watcher.view.read(watcher.cursor) == b""
        fresh = store.select(watcher.filter.matches).records
        assert watcher.state == {record.key: record.document() for record in fresh}

    @rule(watcher=watchers)
    def read_once(self, watcher: Watcher) -> None:
        """And leave the rest for later."""
        if watcher.view.lost(watcher.cursor) is None:
            self.read_piece(watcher)

    def read_piece(self, watcher: Watcher) -> None:
        # A small read size, so that a reader stops between events.
        before, views_module.MAX_READ = views_module.MAX_READ, self.max_read
        try:
            watcher.take(watcher.view.read(watcher.cursor))
        finally:
            views_module.MAX_READ = before

    @invariant()
    def the_floor_is_below_the_version(self) -> None:
        assert self.store.floor <= self.store.version


TestStoreAndWatchers = StoreAndWatchers.TestCase


@given(kube.histories(), filters, st.integers(0, 24))
def test_each_change_of_the_view_is_seen_exactly_once(
    writes: list[Write], chosen: Filter, start: int
) -> None:
    """A reader from any place on sees the differences between the lists of before and after."""
    store = Store(SERVICES)
    for write in writes[: start + 1]:
        feed(store, write)
    view = View(store, chosen.matches)
    cursor = view.cursor()
    for write in writes[start + 1 :]:
        before = {r.key: r for r in store.select(chosen.matches).records}
        feed(store, write)
        if view.lost(cursor) is not None:
            assert cursor.epoch != store.epoch
            return
        after = {r.key: r for r in store.select(chosen.matches).records}
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        events = events_of(view.read(cursor))
        assert [document_key(document) for _, document in events] == sorted(changed)


@given(kube.histories(relists=False), filters, st.integers(0, 24))
def test_readers_at_the_same_place_read_the_same_bytes(
    writes: list[Write], chosen: Filter, start: int
) -> None:
    """Not equal ones: the same object, however many watch."""
    store = Store(SERVICES)
    for write in writes[: start + 1]:
        feed(store, write)
    view = View(store, chosen.matches)
    first, second = view.cursor(), view.cursor()
    for write in writes[start + 1 :]:
        feed(store, write)
    assert view.read(first) is view.read(second)


@given(filters, kube.label_maps(), kube.label_maps())
def test_views_with_equal_filters_share_each_event(
    chosen: Filter, before: dict[str, str], after: dict[str, str]
) -> None:
    """A change is encoded once, whoever looks."""
    store = Store(SERVICES)
    store.replace([small_record("a/x", 1, before)], 1)
    views = View(store, chosen.matches), View(store, chosen.matches)
    cursors = [view.cursor() for view in views]
    store.apply(EventType.MODIFIED, small_record("a/x", 2, after))
    frames = [view.read(cursor) for view, cursor in zip(views, cursors, strict=True)]
    assert frames[0] is frames[1]


IN, OUT = {"app": "a"}, {"app": "b"}


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        (None, IN, "ADDED"),
        (OUT, IN, "ADDED"),
        (IN, IN, "MODIFIED"),
        (IN, OUT, "DELETED"),
        (IN, None, "DELETED"),
        (None, OUT, None),
        (OUT, OUT, None),
        (OUT, None, None),
    ],
)
def test_a_change_is_seen_as_the_selector_sees_it(
    before: dict[str, str] | None, after: dict[str, str] | None, seen: str | None
) -> None:
    """A label moves an object into the view or out of it."""
    store = Store(SERVICES)
    store.replace([] if before is None else [small_record("a/x", 1, before)], 1)
    view = View(store, Filter(labels=parse_labels("app=a")).matches)
    cursor = view.cursor()
    if after is None:
        store.apply(EventType.DELETED, small_record("a/x", 2, before or {}))
    else:
        store.apply(EventType.MODIFIED, small_record("a/x", 2, after))
    assert [event_type for event_type, _ in events_of(view.read(cursor))] == [seen] * bool(seen)


def test_leaving_a_view_shows_the_state_before_under_the_version_of_the_change() -> None:
    """As kube-apiserver's cacher does: the new state is none of the watcher's business."""
    store = Store(SERVICES)
    store.replace([small_record("a/x", 1, IN)], 1)
    view = View(store, Filter(labels=parse_labels("app=a")).matches)
    cursor = view.cursor()
    store.apply(EventType.MODIFIED, small_record("a/x", 5, OUT))
    ((event_type, document),) = events_of(view.read(cursor))
    assert event_type == "DELETED"
    assert untyped(document) == small_record("a/x", 5, IN).document()


def test_a_deletion_shows_the_last_state_as_the_upstream_sent_it() -> None:
    """Under the version of the deletion."""
    store = Store(SERVICES)
    store.replace([small_record("a/x", 1, IN)], 1)
    view = View(store, Filter().matches)
    cursor = view.cursor()
    store.apply(EventType.DELETED, small_record("a/x", 5, IN, size=3))
    ((_, document),) = events_of(view.read(cursor))
    assert untyped(document) == small_record("a/x", 5, IN, size=3).document()


def test_the_410_of_a_reader_names_the_floor() -> None:
    """In kube-apiserver's words."""
    store = Store(SERVICES, max_changes=1)
    store.replace((), 1)
    view = View(store, Filter().matches)
    cursor = view.cursor()
    for version in (2, 3, 4):
        store.apply(EventType.ADDED, small_record("a/x", version, {}))
    with pytest.raises(ApiError, match=r"too old resource version: 4 \(3\)"):
        view.read(cursor)


def test_initial_events_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large store must not be encoded in one turn of the reactor."""
    monkeypatch.setattr(views_module, "MAX_READ", 500)
    store = Store(SERVICES)
    store.replace([small_record(f"a/x{n}", 1, {}) for n in range(20)], 1)
    pieces = list(View(store, Filter().matches).initial())
    assert len(pieces) > 3
    assert len(events_of(b"".join(pieces))) == 20


def test_a_view_forgets_the_frames_that_left_the_window() -> None:
    """Else an idle store's views would hold all bytes that ever went through."""
    store = Store(SERVICES, max_changes=5)
    store.replace((), 1)
    view = View(store, Filter().matches)
    cursor = view.cursor()
    for version in range(2, 1000):
        store.apply(EventType.MODIFIED, small_record("a/x", version, {}))
        view.read(cursor)
    assert len(view._frames) < 100
