"""Servers that say what no API says, on real sockets: one error, a closed connection, little
memory, and nobody else waits."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from loopback import Served, disconnected
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.web.static import Data

from servicereflector.client.connection import Connection
from servicereflector.client.credentials import static
from servicereflector.client.http import KubeClient
from servicereflector.kube.lists import encode_list
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.status import ApiError
from servicereflector.listwatch.informer import Informer
from servicereflector.listwatch.limits import Limits
from servicereflector.store.versioned import Store

reactor: Any = global_reactor

#: More than the kernel's buffers of a connection hold on both sides, and little for a process.
LITTLE = 16 * 1024 * 1024

OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
HTML = OK + b"Content-Type: text/html\r\n"

LIST = encode_list(SERVICES, (), 7)


def whole(body: bytes, head: bytes = JSON) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


class Connected(Protocol):
    """Says what the test wants, once it has heard a request's head."""

    def connectionMade(self) -> None:
        self._heard = b""
        self.ended: Deferred[None] = Deferred()
        self.factory.open.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self._heard or data.startswith((b"GET", b"POST")):  # the rest is a body
            self._heard += data
        if b"\r\n\r\n" not in self._heard:
            return
        watch, self._heard = b"watch=true" in self._heard, b""
        if self.factory.watched and not watch:
            self.transport.write(whole(LIST))
        else:
            self.factory.answer(self)

    def connectionLost(self, _reason: object) -> None:
        self.factory.open.discard(self)
        self.ended.callback(None)

    def say(self, data: bytes) -> None:
        self.factory.sent += len(data)
        self.transport.write(data)


class Hostile(Factory):
    """
    :ivar sent: bytes that the kernel took, and some more.
    """

    noisy = False
    protocol = Connected

    def __init__(self, answer: Callable[[Connected], None], watched: bool = False) -> None:
        self.answer = answer
        self.watched = watched
        self.open: set[Connected] = set()
        self.sent = 0
        self._port = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}"

    async def close(self) -> None:
        """Once every connection has been closed by the other side."""
        await maybeDeferred(self._port.stopListening)
        while self.open:  # pytest-timeout is the deadline
            await deferLater(reactor, 0)


class Flood:
    """Says a piece whenever there is room."""

    def __init__(self, connection: Connected, piece: bytes) -> None:
        self._connection = connection
        self._piece = piece
        connection.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self._connection.say(self._piece)

    def stopProducing(self) -> None:
        """The connection is closed."""


def say(data: bytes) -> Callable[[Connected], None]:
    return lambda connection: connection.say(data)


def endless(head: bytes, piece: bytes) -> Callable[[Connected], None]:
    def answer(connection: Connected) -> None:
        connection.say(head)
        Flood(connection, piece)

    return answer


def drip(connection: Connected) -> None:
    connection.say(JSON + b"Content-Length: 1000\r\n\r\n")

    drops = LoopingCall(connection.say, b" ")
    connection.ended.addCallback(lambda _: drops.stop())
    drops.start(0.02)


class Followed:
    """An Informer of a server, and a healthy server beside it that is asked all the while."""

    def __init__(self, hostile: Hostile, limits: Limits | None = None) -> None:
        self.hostile = hostile
        self.limits = limits or Limits(request_timeout=20, list_timeout=20)
        self.client = KubeClient(reactor, static(Connection(hostile.url)), limits=self.limits)
        self.errors: list[Exception] = []
        self.informer = Informer(
            reactor,
            self.client,
            Store(SERVICES),
            random=lambda: 1.0,
            source="east",
            limits=self.limits,
            troubled=self.errors.append,
        )
        healthy = Data(LIST, "application/json")
        healthy.isLeaf = True
        self._healthy = Served(healthy)
        self._healthy_client = KubeClient(reactor, static(Connection(self._healthy.url)))
        self._longest = 0.0

    async def until(self, reached: Callable[[], bool]) -> None:
        """Follow until then; the healthy one is answered in the meantime, as ever."""
        self.informer.startService()
        while not reached():
            began = reactor.seconds()
            assert await self._healthy_client.list(SERVICES) == LIST
            self._longest = max(self._longest, reactor.seconds() - began)
        assert self._longest < 5

    async def end(self) -> None:
        """Each connection has been closed, and by whom it should be."""
        await maybeDeferred(self.informer.stopService)
        for client in (self.client, self._healthy_client):
            await client.close()
        await self.hostile.close()
        await self._healthy.close()
        await disconnected()

    async def failure(self) -> str:
        await self.until(lambda: bool(self.errors))
        (error,) = self.errors
        return str(error)


ANSWERS: dict[str, tuple[Callable[[Connected], None], str]] = {
    "header lines without end": (
        endless(OK, b"X-Header: %s\r\n" % (b"x" * 1000)),
        "the answer's head is larger than 65536 bytes",
    ),
    "a header line without end": (endless(OK + b"X-Header: ", b"x" * 65536), "127.0.0.1"),
    "a status line without end": (endless(b"HTTP/1.1 200 O", b"K" * 65536), "127.0.0.1"),
    "informational answers without end": (
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
        "the answer's head is larger than 65536 bytes",
    ),
    "a chunk's size without end": (endless(CHUNKED, b"0" * 65536), "[Cc]hunk"),
    "a trailer without end": (
        endless(CHUNKED + b"0\r\n", b"X-Trailer: x\r\n" * 1000),
        "[Tt]railer",
    ),
    "garbage": (say(b"\x15\x03\x01\x00\x02\x02\x16 no HTTP at all\r\n\r\n"), "127.0.0.1"),
}
LISTS = {
    **ANSWERS,
    "1 GB, it says": (
        endless(JSON + b"Content-Length: 1073741824\r\n\r\n", b" " * 65536),
        "has 1073741824 bytes, more than 268435456",
    ),
    "HTML": (say(whole(b"<html>", HTML)), "the list is no JSON"),
    "nested": (say(whole(b"[" * 100_000)), "the list is no JSON"),
    "nested items": (
        say(whole(b'{"kind":"ServiceList","items":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}")),
        "the list is no JSON",
    ),
}
WATCHES = {
    **ANSWERS,
    "HTML": (
        say(whole(b"<html>", HTML)),
        "answered with 'text/html",
    ),
}


@pytest.mark.parametrize("name", LISTS)
@pytest_twisted.ensureDeferred
async def test_a_list_is_given_up(name: str) -> None:
    answer, told = LISTS[name]
    await fails(Hostile(answer), told)


@pytest.mark.parametrize("name", WATCHES)
@pytest_twisted.ensureDeferred
async def test_a_watch_is_given_up(name: str) -> None:
    answer, told = WATCHES[name]
    await fails(Hostile(answer, watched=True), told)


async def fails(hostile: Hostile, told: str) -> None:
    """For the reason told, in one line, and long before the deadline."""
    followed = Followed(hostile)
    began = reactor.seconds()
    try:
        message = await followed.failure()
    finally:
        await followed.end()
    assert reactor.seconds() - began < 10
    assert "\n" not in message
    assert len(message) < 400
    assert re.search(told, message), message
    assert hostile.sent < LITTLE


@pytest_twisted.ensureDeferred
async def test_a_body_that_drips_has_a_deadline() -> None:
    """Of the whole list, whatever arrives."""
    followed = Followed(Hostile(drip), Limits(list_timeout=0.3))
    try:
        assert "no answer within 0.3 s" in await followed.failure()
    finally:
        await followed.end()


@pytest_twisted.ensureDeferred
async def test_a_watchs_line_without_end_costs_no_memory() -> None:
    """It is thrown away as it comes; such a stream goes on."""
    hostile = Hostile(endless(JSON + b'\r\n{"type":"', b"x" * 65536), watched=True)
    followed = Followed(hostile, Limits(max_line=1024 * 1024))
    tracemalloc.start()
    try:
        await followed.until(lambda: hostile.sent > 64 * 1024 * 1024)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await followed.end()
    assert followed.errors == []
    assert peak < LITTLE


@pytest_twisted.ensureDeferred
async def test_a_watchs_line_that_is_nested_is_skipped() -> None:
    """What comes after it counts."""
    deep = b'{"type":"ADDED","object":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n'
    followed = Followed(Hostile(say(JSON + b"\r\n" + deep + bookmark), watched=True))
    try:
        await followed.until(lambda: followed.informer.stats.bookmarks == 1)
    finally:
        await followed.end()
    assert followed.informer.stats.bad_objects == 1
    assert followed.errors == []


@pytest_twisted.ensureDeferred
async def test_an_answer_may_come_before_the_request_was_sent_whole() -> None:
    """It is believed, and the connection is closed if the answer says so."""

    def refuse(connection: Connected) -> None:
        connection.transport.pauseProducing()  # the rest of the request is never read
        connection.say(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        reactor.callLater(0.05, connection.transport.resumeProducing)

    hostile = Hostile(refuse)
    client = KubeClient(reactor, static(Connection(hostile.url)))
    request = Deferred.fromCoroutine(client.request("POST", "/x", body=b" " * 32 * 1024 * 1024))
    try:
        with pytest.raises(ApiError) as raised:
            await request
        assert raised.value.code == 413
    finally:
        await client.close()
        await hostile.close()
        await disconnected()
