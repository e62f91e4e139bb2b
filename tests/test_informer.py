"""The Informer: it carries out what the machine says, and leaves nothing behind."""

from __future__ import annotations

import tracemalloc
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from servicereflector.cooperation import BUDGET
from servicereflector.kube.lists import encode_list
from servicereflector.kube.objects import Record
from servicereflector.kube.resources import SERVICES, Resource
from servicereflector.kube.status import ApiError, expired_watch
from servicereflector.kube.watchevents import EventType, encode_bookmark, encode_error, encode_event
from servicereflector.listwatch.informer import MOST_WARNINGS, ROOM_WAIT, Informer
from servicereflector.listwatch.limits import Limits
from servicereflector.listwatch.quota import Quotas, Room
from servicereflector.store.versioned import Store
from servicereflector.testing.strategies import small_record


@dataclass
class Call:
    """One request that the Informer made, and what came of it."""

    what: str
    arguments: dict[str, Any]
    cancelled: bool = False
    stopped: int = 0
    answer: Deferred[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.answer = Deferred(self._cancel)

    def _cancel(self, _answer: Deferred[Any]) -> None:
        self.cancelled = True

    @property
    def over(self) -> bool:
        return self.cancelled or self.stopped > 0

    def stop(self) -> None:
        self.stopped += 1

    def opens(self) -> None:
        """``watch()`` returns."""
        self.answer.callback(self)

    def fails(self, error: Exception) -> None:
        self.answer.errback(error)

    def sends(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.arguments["on_data"](piece)

    def ends(self, error: Exception | None = None) -> None:
        self.arguments["on_end"](error)

    def lists(self, *records: Record, version: int = 7, token: str = "") -> None:
        self.answer.callback(encode_list(SERVICES, records, version, token))


class ScriptedApi:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.looks = self.reconnects = 0
        self.answers_looks = False  # at once, with the version
        self.version = 1 << 40

    def _called(self, what: str, arguments: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        call = Call(what, arguments)
        self.calls.append(call)

        async def wait() -> Any:
            return await call.answer

        return wait()

    def conceal(self, error: ApiError) -> ApiError:
        return error

    def reconnect(self) -> None:
        self.reconnects += 1

    def list(self, resource: Resource, **arguments: Any) -> Coroutine[Any, Any, bytes]:
        if arguments["limit"] == 1 and self.answers_looks:
            return self._look()
        return self._called("list", {"resource": resource, **arguments})

    async def _look(self) -> bytes:
        self.looks += 1
        return encode_list(SERVICES, (), self.version)

    def watch(self, resource: Resource, **arguments: Any) -> Coroutine[Any, Any, Call]:
        return self._called("watch", {"resource": resource, **arguments})

    @property
    def last(self) -> Call:
        return self.calls[-1]

    @property
    def made(self) -> str:
        return " ".join(call.what for call in self.calls)


class World:
    """A running Informer, its clock, its API and its store."""

    def __init__(self, limits: Limits | None = None, room: Room | None = None) -> None:
        self.clock = Clock()
        self.api = ScriptedApi()
        self.api.answers_looks = True
        self.store = Store(SERVICES)
        self.informer = Informer(
            self.clock,
            self.api,
            self.store,
            random=lambda: 0.5,
            source="east",
            namespace="shop",
            label_selector="app=a",
            limits=limits,
            room=room,
        )

    @property
    def keys(self) -> list[str]:
        return sorted(record.key for record in self.store)

    def watching(self, *records: Record) -> Call:
        """Listed at version 7, and the watch is open."""
        self.informer.startService()
        self.api.last.lists(*records)
        self.api.last.opens()
        return self.api.last

    def stop(self) -> None:
        self.informer.stopService()


@pytest.fixture
def world() -> World:
    return World()


def added(name: str, version: int) -> bytes:
    return encode_event(SERVICES, EventType.ADDED, small_record(f"shop/{name}", version, {}))


def test_it_lists_in_pages_and_then_watches(world: World) -> None:
    """Within its scope, from the list's version, with a timeout."""
    world.informer.startService()
    first = world.api.last
    scope = {"namespace": "shop", "label_selector": "app=a", "field_selector": ""}
    asked = {"resource": SERVICES, **scope}
    assert first.arguments == {**asked, "limit": 500, "continue_token": ""}
    first.lists(small_record("shop/x", 3, {}), token="t")
    assert not world.store.synced
    assert world.api.last.arguments == {**asked, "limit": 500, "continue_token": "t"}
    world.api.last.lists(small_record("shop/y", 4, {}))
    assert world.keys == ["shop/x", "shop/y"]
    watch = world.api.last
    assert world.api.made == "list list watch"
    assert (watch.arguments["resource_version"], watch.arguments["timeout_seconds"]) == ("7", 450)
    world.stop()


def test_events_go_into_the_store(world: World) -> None:
    """Cut into pieces as they may arrive."""
    watch = world.watching()
    line = added("x", 9)
    watch.sends(line[:5], line[5:] + encode_bookmark(SERVICES, 12))
    assert world.keys == ["shop/x"]
    assert world.store.version == 12
    assert (world.informer.stats.events, world.informer.stats.bookmarks) == (1, 1)
    world.stop()


@pytest.mark.parametrize("bad", [b"nonsense\n", b'{"type":"ADDED","object":{}}\n', b"[]\n"])
def test_a_bad_line_is_skipped_and_counted(world: World, bad: bytes) -> None:
    """And the stream goes on."""
    watch = world.watching()
    watch.sends(added("x", 9) + bad + added("y", 10))
    assert world.keys == ["shop/x", "shop/y"]
    assert world.informer.stats.bad_objects == 1
    assert not watch.over
    world.stop()


def test_an_overlong_line_is_skipped_and_counted() -> None:
    """And the line behind it is read."""
    world = World(Limits(max_line=1000))
    watch = world.watching()
    watch.sends(b"a" * 900, b"a" * 900, b"a\n" + added("x", 9))
    assert world.keys == ["shop/x"]
    assert world.informer.stats.bad_objects == 1
    world.stop()


def test_a_bad_item_of_a_list_is_left_out_and_counted(world: World) -> None:
    """One bad object does not hide the others."""
    world.informer.startService()
    good = small_record("shop/x", 3, {}).document()
    body = {"kind": "ServiceList", "metadata": {"resourceVersion": "7"}, "items": [5, good]}
    world.api.last.answer.callback(orjson.dumps(body))
    assert world.keys == ["shop/x"]
    assert world.informer.stats.bad_objects == 1
    world.stop()


def told_of(event: LogEvent) -> bool:
    return event["log_level"] is LogLevel.warn and "skipped" in formatEvent(event)


def test_a_rejected_object_is_told_of_once_and_keeps_its_last_version() -> None:
    """By events and by lists, in one printable line."""
    world = World(room=Room())
    with capturedLogs() as logged:
        watch = world.watching(small_record("shop/x", 3, {}))
        good = world.store.get("shop/x")
        for version in (8, 9):
            bad = small_record("shop/x", version, {"a": "\x1b[2J\u202e" + "b" * 100_000})
            watch.sends(encode_event(SERVICES, EventType.MODIFIED, bad) + added("y", version))
        world.informer.relist()
        world.api.last.lists(bad, small_record("shop/z", 10, {}), version=11)
        assert world.keys == ["shop/x", "shop/z"]
        assert world.store.get("shop/x") is good
    (event,) = filter(told_of, logged)
    told = formatEvent(event)
    assert told.isprintable()
    assert len(told) < 400
    assert world.informer.rejections.counts == {"labels": 3}
    assert len(world.informer.rejections) == 1
    world.api.last.opens()
    world.api.last.sends(added("x", 12))
    assert len(world.informer.rejections) == 0
    world.stop()


def test_that_there_is_no_room_is_told_of_once() -> None:
    """However many objects there are; and a minute after there is some, they are asked for."""
    world = World(room=Room(Quotas(services=1)))
    with capturedLogs() as logged:
        watch = world.watching(*(small_record(f"shop/{name}", 3, {}) for name in "abc"))
        watch.sends(added("d", 8))
    assert len(list(filter(told_of, logged))) == 1
    assert world.keys == ["shop/a"]
    assert world.informer.rejections.counts == {"quota": 3}
    gone = small_record("shop/a", 9, {})
    watch.sends(encode_event(SERVICES, EventType.DELETED, gone))
    assert world.keys == []
    world.clock.advance(ROOM_WAIT)
    world.api.last.lists(*(small_record(f"shop/{name}", 3, {}) for name in "bcd"), version=9)
    assert world.keys == ["shop/b"]
    world.stop()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"kind":"PodList"}'])
def test_an_answer_that_is_no_list_is_a_failure(world: World, body: bytes) -> None:
    """It is asked again after the wait."""
    world.informer.startService()
    world.api.last.answer.callback(body)
    assert not world.store.synced
    assert world.informer.stats.troubles == 1
    world.clock.advance(0.4)
    assert world.api.made == "list list"
    world.stop()


def test_a_failed_list_is_repeated_after_the_wait(world: World) -> None:
    """Not sooner."""
    world.informer.startService()
    world.api.last.fails(OSError("refused"))
    world.clock.advance(0.39)
    assert world.api.made == "list"
    world.clock.advance(0.01)
    assert world.api.made == "list list"
    world.stop()


def test_a_refused_watch_with_a_retry_after_waits_that_long(world: World) -> None:
    """And watches again from the same version."""
    world.informer.startService()
    world.api.last.lists()
    world.api.last.fails(ApiError(429, "later", retry_after=7))
    world.clock.advance(6.9)
    assert world.api.made == "list watch"
    world.clock.advance(0.1)
    assert world.api.made == "list watch watch"
    assert world.api.last.arguments["resource_version"] == "7"
    world.stop()


def test_a_stream_that_ends_is_followed_by_a_watch_from_the_last_version(world: World) -> None:
    """At once."""
    watch = world.watching()
    watch.sends(added("x", 9))
    world.clock.advance(1)
    watch.ends()
    assert world.api.made == "list watch watch"
    assert world.api.last.arguments["resource_version"] == "9"
    world.stop()


def test_a_410_ends_the_stream_and_lists_again(world: World) -> None:
    """The connection is closed, what was deleted meanwhile is gone."""
    watch = world.watching(small_record("shop/x", 3, {}))
    world.clock.advance(10)
    watch.sends(added("y", 9) + encode_error(expired_watch(9, 20)))
    assert watch.stopped == 1
    world.api.last.lists(version=20)
    assert world.keys == []
    assert world.api.made == "list watch list watch"
    world.stop()


def test_lines_behind_an_error_are_ignored(world: World) -> None:
    """The stream was given up in the middle of a piece."""
    watch = world.watching()
    watch.sends(encode_error(expired_watch(7, 20)) + added("x", 9))
    assert world.keys == []
    assert world.store.version == 7
    world.stop()


def test_a_silent_stream_is_closed_after_ninety_seconds(world: World) -> None:
    """And watched again; a dead connection tells nothing by itself."""
    watch = world.watching()
    world.clock.pump([30] * 3)
    assert watch.stopped == 1
    assert world.api.made == "list watch watch"
    assert world.informer.stats.troubles == 0
    world.stop()


def test_any_byte_keeps_a_stream_open(world: World) -> None:
    """Half a line too."""
    watch = world.watching()
    for _ in range(10):
        world.clock.advance(80)
        watch.sends(b" ")
    assert not watch.over
    world.stop()


def test_a_silent_request_is_cancelled_after_ninety_seconds(world: World) -> None:
    """Be it a list or a watch."""
    world.informer.startService()
    world.clock.advance(90)
    assert world.api.last.cancelled
    world.clock.advance(0.4)
    world.api.last.lists()
    world.clock.advance(90)
    assert world.api.last.cancelled
    assert world.api.made == "list list watch"
    world.stop()


def test_a_source_without_versions_is_listed_every_thirty_seconds(world: World) -> None:
    """And never watched."""
    world.informer.startService()
    for _ in range(3):
        world.api.last.answer.callback(b'{"kind":"ServiceList","metadata":{},"items":[]}')
        world.clock.advance(29.9)
        made = len(world.api.calls)
        world.clock.advance(0.1)
        assert len(world.api.calls) == made + 1
    assert world.api.made == "list list list list"
    world.stop()


def test_data_may_arrive_before_watch_returns(world: World) -> None:
    """A body may come in one packet with its headers."""
    world.informer.startService()
    world.api.last.lists()
    watch = world.api.last
    watch.sends(added("x", 9))
    assert world.keys == ["shop/x"]
    watch.opens()
    assert not watch.over
    watch.sends(added("y", 10))
    assert world.keys == ["shop/x", "shop/y"]
    world.stop()
    assert watch.stopped == 1


@pytest.mark.parametrize("error", [None, OSError("reset")])
def test_the_end_may_arrive_before_watch_returns(world: World, error: Exception | None) -> None:
    """The next watch stays the one under way."""
    world.informer.startService()
    world.api.last.lists()
    first = world.api.last
    first.sends(added("x", 9))
    first.ends(error)
    world.clock.advance(0.4)
    assert world.api.made == "list watch watch"
    second = world.api.last
    first.opens()
    second.opens()
    second.sends(added("y", 10))
    assert world.keys == ["shop/x", "shop/y"]
    assert not second.over
    world.stop()
    assert second.stopped == 1


@pytest.mark.parametrize("state", ["listing", "opening", "streaming", "waiting"])
def test_stopping_ends_what_is_under_way(world: World, state: str) -> None:
    """A request is cancelled, a stream closed, and no delayed call stays."""
    world.informer.startService()
    if state == "waiting":
        world.api.last.fails(OSError("refused"))
    if state in ("opening", "streaming"):
        world.api.last.lists()
    if state == "streaming":
        world.api.last.opens()
    world.stop()
    assert world.clock.getDelayedCalls() == []
    assert world.api.last.over == (state != "waiting")
    made = len(world.api.calls)
    world.clock.pump([100] * 5)
    assert len(world.api.calls) == made


def test_a_stream_that_opens_after_stopping_is_closed(world: World) -> None:
    """Its data came first, then the stop, then ``watch()`` returned."""
    world.informer.startService()
    world.api.last.lists()
    watch = world.api.last
    watch.sends(added("x", 9))
    world.stop()
    if not watch.cancelled:
        watch.opens()
    assert watch.over
    assert world.clock.getDelayedCalls() == []


def test_it_can_be_started_again(world: World) -> None:
    """With a new list."""
    world.watching(small_record("shop/x", 3, {}))
    world.stop()
    world.watching(small_record("shop/y", 3, {}))
    assert world.keys == ["shop/y"]
    assert world.api.made == "list watch list watch"
    world.stop()


@pytest.mark.parametrize("what", ["cancel", "error"])
def test_a_request_given_up_is_no_new_failure(world: World, what: str) -> None:
    """However the client tells of the cancellation."""

    def cancelled(answer: Deferred[Any]) -> None:
        if what == "error":
            answer.errback(OSError("the connection was closed"))

    world.informer.startService()
    world.api.last.answer._canceller = cancelled
    world.clock.advance(90)
    assert world.informer.stats.troubles == 1
    world.clock.advance(0.4)
    assert world.api.made == "list list"
    world.stop()


def test_it_tells_whether_it_is_connected(world: World) -> None:
    """And when it heard of the API last."""
    stats = world.informer.stats
    assert (stats.connected, stats.heard_at) == (False, None)
    watch = world.watching()
    world.clock.advance(5)
    watch.sends(b" ")
    assert (stats.connected, stats.heard_at) == (True, 5)
    watch.ends(OSError("reset"))
    assert (stats.connected, stats.heard_at) == (False, 5)
    world.stop()


def test_a_line_without_end_costs_no_memory() -> None:
    """Of a hundred megabytes nothing is kept, and what follows them is read."""
    world = World(Limits(max_line=100_000))
    watch = world.watching()
    tracemalloc.start()
    piece = b"a" * 65536
    for _ in range(1600):
        watch.sends(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    watch.sends(b"\n" + added("x", 9))
    assert world.keys == ["shop/x"]
    world.stop()


def test_a_stream_of_bad_lines_does_not_fill_the_log(world: World) -> None:
    """All are counted; of a minute the first few are told."""
    watch = world.watching()
    with capturedLogs() as logs:
        watch.sends(b"nonsense\n" * 1000)
        told = [event for event in logs if event["log_level"] is LogLevel.warn]
        assert len(told) == MOST_WARNINGS
        world.clock.advance(60)
        watch.sends(b"nonsense\n")
        assert len([e for e in logs if e["log_level"] is LogLevel.warn]) == MOST_WARNINGS + 1
    assert world.informer.stats.bad_objects == 1001
    world.stop()


class SlowRoom(Room):
    """Takes more than a turn of the reactor to admit a list."""

    clock: Clock

    def replace(self, *of_a_list: Any) -> Any:
        self.clock.rightNow += 2 * BUDGET
        return super().replace(*of_a_list)


@pytest.fixture
def slow() -> World:
    """A whole list has come, and is admitted in this turn."""
    room = SlowRoom()
    world = World(room=room)
    room.clock = world.clock
    world.informer.startService()
    world.api.last.lists(small_record("shop/x", 3, {}))
    assert room.used > 0
    assert not world.store.synced
    return world


def test_what_took_a_turn_to_admit_is_taken_over_in_another(slow: World) -> None:
    """And watched from then on."""
    slow.clock.advance(0)
    assert slow.keys == ["shop/x"]
    assert slow.api.made == "list watch"
    slow.stop()


def test_an_informer_that_is_stopped_in_between_takes_nothing_over(slow: World) -> None:
    """Nor does it ask for more."""
    slow.stop()
    slow.clock.advance(0)
    assert not slow.store.synced
    assert slow.api.made == "list"


def test_a_list_that_is_asked_for_in_between_is_taken_over_in_its_place(slow: World) -> None:
    """One watch begins, from the later version."""
    slow.informer.relist()
    slow.clock.advance(0)
    assert slow.api.made == "list list"
    slow.api.last.lists(small_record("shop/y", 8, {}), version=9)
    slow.clock.advance(0)
    assert slow.keys == ["shop/y"]
    assert slow.api.made == "list list watch"
    assert slow.api.last.arguments["resource_version"] == "9"
    slow.stop()


def test_the_pages_of_a_list_are_bounded_together() -> None:
    """Each may be small, and there may be ever more of them."""
    world = World(Limits(max_body=1000))
    world.informer.startService()
    for page in range(100):
        if world.informer.stats.troubles:
            break
        world.api.last.lists(small_record(f"shop/x{page}", 3, {}), token=f"t{page}")
    assert 1 < page < 50
    assert world.informer.stats.trouble == "the pages of the list are larger than 1000 bytes"
    world.stop()


def test_an_older_list_is_asked_for_over_a_new_connection(world: World) -> None:
    """A connection stays with its replica; after half a minute the list is believed, and told."""
    watch = world.watching()
    watch.sends(added("x", 90))
    world.api.version = 50
    watch.ends(OSError("reset"))
    world.clock.advance(1)
    while world.clock.seconds() < 60 and world.api.last.what == "list":
        assert world.keys == ["shop/x"]
        if not world.api.last.answer.called:
            world.api.last.lists(version=50)
        world.clock.advance(0.1)
    assert world.api.last.what == "watch"
    assert world.keys == []
    assert world.store.version == 50
    assert world.api.reconnects > 2
    assert world.informer.stats.restored == 1
    assert 30 <= world.clock.seconds() < 40
    world.stop()
