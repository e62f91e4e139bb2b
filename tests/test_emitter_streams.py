"""The Emitter's watches: what they send, how they end, and what a slow reader costs."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, ParamSpec

import orjson
import pytest
import pytest_twisted
from loopback import Served as Loopback
from loopback import disconnected, reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.web.client import ResponseDone

from servicereflector.client.bodies import Watch
from servicereflector.client.credentials import from_url
from servicereflector.client.http import KubeClient
from servicereflector.emitter.api import ReadApi, every
from servicereflector.emitter.collection import Served
from servicereflector.emitter.streams import PATIENCE, SLICE, Hub, StreamStats
from servicereflector.kube.objects import Record, record_of
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.selectors import parse_labels
from servicereflector.kube.server import ServerInfo
from servicereflector.kube.watchevents import EventType
from servicereflector.program import Roles
from servicereflector.store.versioned import Store
from servicereflector.store.views import MAX_READ
from servicereflector.testing.clusters import MemoryCluster, Mesh, service

_P = ParamSpec("_P")


def ensured(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, Any]:
    decorated: Callable[_P, Any] = pytest_twisted.ensureDeferred(test)
    return decorated


class Watching:
    """A watch and what came of it.

    :ivar ends: how it ended: None in good form, else the error.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends: list[Exception | None] = []
        self.watch: Watch | None = None

    def received(self, data: bytes) -> None:
        self.data += data

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.data.splitlines()]

    @property
    def initial_ends(self) -> list[int]:
        """Before which events it was said that all that was there has been sent."""
        marks = [e["object"]["metadata"].get("annotations", {}) for e in self.events]
        return [at for at, told in enumerate(marks) if "k8s.io/initial-events-end" in told]

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Type and name of each event but the one that ends the initial ones."""
        return [
            (e["type"], e["object"]["metadata"].get("name", ""))
            for at, e in enumerate(self.events)
            if at not in self.initial_ends
        ]


class Streams:
    """A cluster and its Emitter in memory."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        roles = Roles(emitted=parse_labels(""))
        self.node = self.mesh.join("east", roles=roles)
        self.cluster: MemoryCluster = self.node.cluster
        assert self.node.emitter is not None
        self.emitter = self.node.emitter
        self.client = self.emitter.client()

    @property
    def stats(self) -> StreamStats:
        assert self.node.program is not None
        assert self.node.program.read_api is not None
        return self.node.program.read_api.stats

    def put(self, key: str, **options: Any) -> None:
        self.cluster.put(SERVICES, service(key, **options))
        self.mesh.settle()

    def delete(self, key: str) -> None:
        self.cluster.delete(SERVICES, key)
        self.mesh.settle()

    def version(self) -> str:
        """The version of a list."""
        document = orjson.loads(self.mesh.network.wait(self.client.list(SERVICES)))
        version: str = document["metadata"]["resourceVersion"]
        return version

    def watch(self, version: str = "", seconds: int = 600, **options: Any) -> Watching:
        watching = Watching()
        watching.watch = self.mesh.network.wait(
            self.client.watch(
                SERVICES,
                resource_version=version,
                timeout_seconds=seconds,
                on_data=watching.received,
                on_end=watching.ends.append,
                **options,
            )
        )
        self.mesh.settle()
        return watching

    def close(self) -> None:
        self.mesh.stop()
        self.mesh.network.wait(self.client.close(), seconds=10)
        assert self.mesh.network.clock.getDelayedCalls() == []


@pytest.fixture
def streams() -> Iterator[Streams]:
    streams = Streams()
    yield streams
    streams.close()


def test_a_watch_without_a_version_begins_with_what_is_there(streams: Streams) -> None:
    streams.put("shop/b")
    streams.put("shop/a")
    watching = streams.watch()
    assert watching.seen == [("ADDED", "a"), ("ADDED", "b")]
    assert watching.initial_ends == [2]


def test_version_0_begins_with_what_is_there(streams: Streams) -> None:
    streams.put("shop/a")
    assert streams.watch("0").seen == [("ADDED", "a")]


def test_what_is_there_is_followed_by_what_happens(streams: Streams) -> None:
    streams.put("shop/a")
    watching = streams.watch()
    streams.put("shop/a", labels={"changed": "yes"})
    streams.put("shop/b")
    streams.delete("shop/a")
    assert watching.seen == [("ADDED", "a"), ("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]


def test_a_watch_from_a_version_begins_behind_it(streams: Streams) -> None:
    streams.put("shop/a")
    version = streams.version()
    streams.put("shop/b")
    watching = streams.watch(version)
    assert watching.seen == [("ADDED", "b")]


def test_an_event_carries_the_whole_object(streams: Streams) -> None:
    watching = streams.watch(streams.version())
    streams.put("shop/a")
    kept = streams.cluster.get(SERVICES, "shop/a") or {}
    assert watching.events[0]["object"] == {"kind": "Service", "apiVersion": "v1", **kept}


def test_what_a_watch_from_a_version_says_it_would_have_said_at_once(streams: Streams) -> None:
    """A client that resumes has missed nothing and is told nothing twice."""
    start = streams.version()
    steady = streams.watch(start)
    for number in range(5):
        streams.put(f"shop/s{number}")
    middle = steady.events[2]["object"]["metadata"]["resourceVersion"]
    streams.delete("shop/s0")
    resumed = streams.watch(middle)
    assert resumed.events == steady.events[3:]


def test_a_version_before_the_history_is_an_error_event(streams: Streams) -> None:
    """As the real API does: the answer is 200, and the only event says 410."""
    watching = streams.watch("1")
    (event,) = watching.events
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 410
    assert event["object"]["reason"] == "Expired"
    assert event["object"]["message"].startswith("too old resource version: 1 (")
    assert watching.ends == [None]


def test_a_watch_is_of_one_namespace(streams: Streams) -> None:
    watching = streams.watch(namespace="shop")
    streams.put("shop-b/a")
    streams.put("shop/a")
    assert watching.seen == [("ADDED", "a")]


def test_labels_move_an_object_in_and_out(streams: Streams) -> None:
    watching = streams.watch(label_selector="tier=web")
    streams.put("shop/a")
    streams.put("shop/a", labels={"tier": "web"})
    streams.put("shop/a", labels={"tier": "web", "more": "x"})
    streams.put("shop/a")
    streams.delete("shop/a")
    assert watching.seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_fields_select_one_object(streams: Streams) -> None:
    watching = streams.watch(field_selector="metadata.name=b")
    streams.put("shop/a")
    streams.put("shop/b")
    assert watching.seen == [("ADDED", "b")]


def test_a_service_that_becomes_a_mirror_is_gone(streams: Streams) -> None:
    streams.put("shop/a")
    watching = streams.watch()
    streams.put("shop/a", labels={"service-reflector.squat.ai/reflected": "true"})
    assert watching.seen == [("ADDED", "a"), ("DELETED", "a")]


def test_a_quiet_watch_is_sent_a_bookmark_every_minute(streams: Streams) -> None:
    """As soon as there is anything new to tell, though not to it."""
    watching = streams.watch(streams.version(), label_selector="tier=web")
    streams.mesh.advance(61)
    assert watching.events == []
    watching = streams.watch(streams.version(), label_selector="tier=web")
    streams.put("shop/a")
    streams.mesh.advance(59)
    assert watching.events == []
    streams.mesh.advance(1)
    (event,) = watching.events
    assert event["type"] == "BOOKMARK"
    assert event["object"]["metadata"] == {"resourceVersion": streams.version()}
    streams.mesh.advance(60)
    assert len(watching.events) == 2


def test_who_asks_for_no_bookmarks_is_sent_none(streams: Streams) -> None:
    agent = streams.mesh.network.agent()
    url = b"http://east.emitter/api/v1/services?watch=1&timeoutSeconds=100"
    response = streams.mesh.network.wait(agent.request(b"GET", url))
    watching = Watching()
    response.deliverBody(Watch("east", watching.received, watching.ends.append))
    streams.mesh.advance(100)
    assert watching.data == bytearray()
    assert watching.ends == [None]


def test_a_watch_ends_in_good_form_at_its_time(streams: Streams) -> None:
    watching = streams.watch(seconds=30)
    streams.mesh.advance(29)
    assert watching.ends == []
    streams.mesh.advance(1)
    assert watching.ends == [None]
    assert streams.stats.watchers == 0


def test_shortly_before_the_end_come_bookmarks_of_what_was_not_shown(streams: Streams) -> None:
    """Two seconds before, and one."""
    version = streams.version()
    watching = streams.watch(version, seconds=30, label_selector="tier=web")
    streams.put("shop/a")
    streams.mesh.advance(30)
    assert watching.seen == [("BOOKMARK", ""), ("BOOKMARK", "")]
    assert watching.initial_ends == []
    assert watching.events[0]["object"]["metadata"]["resourceVersion"] == streams.version()


def test_a_watch_of_no_time_ends_at_once(streams: Streams) -> None:
    streams.put("shop/a")
    watching = streams.watch(seconds=-1)
    assert watching.seen == []
    assert watching.ends == [None]


def test_a_new_list_upstream_ends_all_watches_in_good_form(streams: Streams) -> None:
    """What happened between two lists is not known: the clients must begin anew too."""
    watches = [streams.watch(), streams.watch(label_selector="tier=web")]
    assert streams.node.program is not None
    (informer,) = [i for i in streams.node.program.informers if i.store.resource is SERVICES]
    informer.store.replace(tuple(informer.store), informer.store.version + 5)
    streams.mesh.settle()
    assert [watching.ends for watching in watches] == [[None], [None]]
    assert streams.stats.watchers == 0


def test_a_client_that_goes_leaves_nothing_behind(streams: Streams) -> None:
    clock = streams.mesh.network.clock
    before = len(clock.getDelayedCalls())
    watching = streams.watch(streams.version())
    assert streams.stats.watchers == 1
    assert watching.watch is not None
    watching.watch.stop()
    streams.mesh.settle()
    assert streams.stats.watchers == 0
    assert len(clock.getDelayedCalls()) <= before + 1  # the list's idle connection
    streams.put("shop/a")
    assert watching.data == bytearray()


def test_a_cut_connection_leaves_nothing_behind(streams: Streams) -> None:
    watches = [streams.watch() for _ in range(3)]
    streams.emitter.cut()
    streams.mesh.settle()
    assert streams.stats.watchers == 0
    assert all(len(watching.ends) == 1 and watching.ends[0] for watching in watches)


def test_stopping_the_program_ends_watches_in_good_form(streams: Streams) -> None:
    watches = [streams.watch(), streams.watch(label_selector="tier=web")]
    stats = streams.stats
    streams.node.stop()
    assert [watching.ends for watching in watches] == [[None], [None]]
    assert stats.watchers == 0


def test_bytes_and_watchers_are_counted(streams: Streams) -> None:
    watches = [streams.watch(), streams.watch()]
    streams.put("shop/a")
    assert streams.stats.watchers == 2
    assert streams.stats.bytes_sent == sum(len(watching.data) for watching in watches) > 0


def record(number: int, name: str = "a", size: int = 0, **labels: str) -> Record:
    metadata = {
        "namespace": "shop",
        "name": name,
        "uid": name,
        "resourceVersion": str(number),
        "labels": labels,
        "annotations": {"padding": "x" * size},
    }
    return record_of(SERVICES, {"metadata": metadata, "spec": {}})


class Pressed:
    """An Emitter's API over real sockets, on a made clock: streams are flushed by :meth:`tick`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        store.replace((), 1)
        self.clock = Clock()
        self.api = ReadApi(self.clock, [Served(store, every)], server=lambda: ServerInfo({}))
        self.served = Loopback(self.api.app.resource())
        self.client = KubeClient(reactor, from_url(self.served.url))
        self.sockets: list[socket.socket] = []
        self.watches: list[Watching] = []

    async def watch(self, selector: str = "") -> Watching:
        watching = Watching()
        watching.watch = await self.client.watch(
            SERVICES,
            label_selector=selector,
            resource_version="1",
            timeout_seconds=3600,
            on_data=watching.received,
            on_end=watching.ends.append,
        )
        self.watches.append(watching)
        return watching

    async def stall(self) -> None:
        """Open a watch that is never read."""
        watchers = self.api.stats.watchers
        stalled = socket.create_connection(("127.0.0.1", self.served.port))
        request = b"GET /api/v1/services?watch=1&resourceVersion=1 HTTP/1.1\r\nHost: x\r\n\r\n"
        stalled.sendall(request)
        self.sockets.append(stalled)
        await self.until(lambda: self.api.stats.watchers > watchers)

    def write(self, number: int, size: int) -> None:
        self.store.apply(EventType.MODIFIED, record(number, size=size))
        self.clock.advance(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the reactor turn until the condition holds; pytest-timeout is the deadline."""
        while not condition():
            self.clock.advance(0)
            await deferLater(reactor, 0)

    async def until_all(self, readers: list[Watching], text: bytes) -> None:
        """Let the reactor turn until all readers have the event with this text."""
        await self.until(
            lambda: all(r.data.endswith(b"\n") and r.data.rfind(text) >= 0 for r in readers)
        )

    def buffered(self) -> int:
        """Bytes that the transports of all connections hold for their peers."""
        transports = [channel.transport for channel in self.served.connections]
        return sum(len(t.dataBuffer) + t._tempDataLen for t in transports)

    async def close(self) -> None:
        for watching in self.watches:
            assert watching.watch is not None
            watching.watch.stop()
        for opened in self.sockets:
            opened.close()
        self.api.stop()
        await self.client.close()
        await disconnected()
        await self.served.close()
        assert self.clock.getDelayedCalls() == []


@pytest_twisted.async_yield_fixture
async def pressed() -> AsyncIterator[Pressed]:
    pressed = Pressed(Store(SERVICES, max_changes=50))
    yield pressed
    await pressed.close()


@ensured
async def test_a_reader_that_stalls_costs_a_bounded_buffer(pressed: Pressed) -> None:
    """16 MB of events go by; each reader that takes them has them all, the stalled one is ended."""
    await pressed.stall()
    readers = [await pressed.watch(), await pressed.watch()]
    number, size = 1, 40_000
    for _ in range(40):
        for _ in range(10):
            number += 1
            pressed.write(number, size)
        newest = f'"resourceVersion":"{number}"'.encode()
        await pressed.until_all(readers, newest)
        # A connection holds what Twisted takes before it says stop, and one read beyond that.
        assert pressed.buffered() <= 3 * (2**16 + MAX_READ + size + 1000)
    assert pressed.api.stats.watchers == len(readers)
    assert pressed.api.stats.slow == 1
    for reader in readers:
        versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in reader.events]
        assert versions == list(range(2, number + 1))


@ensured
async def test_a_reader_that_stalls_for_too_long_is_ended(pressed: Pressed) -> None:
    """Even where the history still reaches back to it."""
    pressed.store.history._max_changes = 10**6
    await pressed.stall()
    number = 1
    while pressed.buffered() < 100_000:  # until the kernel takes no more
        number += 1
        pressed.write(number, 200_000)
        await deferLater(reactor, 0)
    pressed.clock.advance(PATIENCE - 1)
    assert pressed.api.stats.watchers == 1
    pressed.clock.advance(1)
    assert pressed.api.stats.watchers == 0
    assert pressed.api.stats.slow == 1


@ensured
async def test_equal_filters_share_a_view(pressed: Pressed) -> None:
    (collection,) = pressed.api._collections.values()
    await pressed.watch("tier in (web,db)")
    await pressed.watch("tier in (db,web)")
    assert len(collection._views) == 1
    await pressed.watch("tier=web")
    assert len(collection._views) == 2


def test_what_ended_is_told_by_the_terminal_chunk() -> None:
    """ResponseDone, and not PotentialDataLoss: the body was chunked and ended as one."""
    streams = Streams()
    agent = streams.mesh.network.agent()
    url = b"http://east.emitter/api/v1/services?watch=1&timeoutSeconds=5"
    response = streams.mesh.network.wait(agent.request(b"GET", url))
    reasons: list[Any] = []
    done: Deferred[None] = Deferred()

    class Body(Watch):
        def connectionLost(self, reason: Any = None) -> None:
            reasons.append(reason.value)
            done.callback(None)

    response.deliverBody(Body("east", lambda _: None, lambda _: None))
    streams.mesh.advance(5)
    streams.mesh.network.wait(done)
    assert isinstance(reasons[0], ResponseDone)
    streams.close()


def test_a_streamed_list_ends_with_a_bookmark_that_says_so(streams: Streams) -> None:
    """sendInitialEvents: the state as ADDED events, then the annotated bookmark, then changes."""
    streams.put("shop/a")
    watching = Watching()
    agent = streams.mesh.network.agent()
    url = (
        b"http://east.emitter/api/v1/services?watch=1&allowWatchBookmarks=1"
        b"&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion="
    ) + streams.version().encode()
    response = streams.mesh.network.wait(agent.request(b"GET", url), 3)
    response.deliverBody(Watch("east", watching.received, watching.ends.append))
    streams.mesh.settle()
    version = streams.version()
    streams.put("shop/b")
    added, end, later = watching.events
    assert (added["type"], added["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert end["type"] == "BOOKMARK"
    assert end["object"]["metadata"] == {
        "resourceVersion": version,
        "annotations": {"k8s.io/initial-events-end": "true"},
    }
    assert (later["type"], later["object"]["metadata"]["name"]) == ("ADDED", "b")


class Sleeper:
    """A stream that is slow to wake: it takes all the time that there is in a turn."""

    def __init__(self, clock: Clock, told: list[str], name: str) -> None:
        self.done: Deferred[bytes] = Deferred()
        self.meanwhile: list[Callable[[], object]] = []
        self._clock, self._told, self._name = clock, told, name

    def start(self) -> None:
        pass

    def wake(self) -> None:
        self._told.append(self._name)
        self._clock.callLater(0, self._told.append, "-")  # in the next turn
        self._clock.rightNow += SLICE
        while self.meanwhile:
            self.meanwhile.pop()()

    def end(self) -> None:
        self.done.callback(b"")


def test_streams_are_woken_a_part_in_each_turn_and_each_in_its_turn() -> None:
    clock, store = Clock(), Store(SERVICES)
    told: list[str] = []
    hub = Hub(clock, store)
    first, second, third = (Sleeper(clock, told, name) for name in "abc")
    for sleeper in (first, second, third):
        hub.add(sleeper)  # type: ignore[arg-type]
    # The third will see that, and the first two once more, of which one is gone by then.
    second.meanwhile = [lambda: store.advance(2), first.end]
    store.advance(1)
    assert told == []
    clock.advance(0)
    assert "".join(told) == "a-b-c-b-c-"
    assert not clock.getDelayedCalls()
    hub.stop()
