"""Connections that send at once: nothing is lost, doubled or out of order, however slowly read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from servicereflector.ops.transports import PromptServer

#: More than the kernel takes of one who does not read.
MUCH = 16 * 2**20


class Served(Protocol):
    def __init__(self) -> None:
        self.made: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(None)

    def connectionLost(self, _reason: object = None) -> None:
        self.lost.callback(None)


@pytest.fixture
def connected() -> Iterator[tuple[Served, socket.socket]]:
    served = Served()
    factory = Factory.forProtocol(lambda: served)
    factory.noisy = False
    port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
    port.transport = PromptServer
    client = socket.create_connection(("127.0.0.1", port.getHost().port))
    pytest_twisted.blockon(served.made)
    yield served, client
    client.close()
    if not served.lost.called:
        served.transport.abortConnection()
        pytest_twisted.blockon(served.lost)
    pytest_twisted.blockon(port.stopListening())


def read(client: socket.socket, count: int) -> bytes:
    client.settimeout(20)
    pieces = []
    while count:
        pieces.append(client.recv(min(count, 65536)))
        assert pieces[-1]
        count -= len(pieces[-1])
    return b"".join(pieces)


def test_what_fits_is_sent_before_the_reactor_turns(
    connected: tuple[Served, socket.socket],
) -> None:
    served, client = connected
    served.transport.write(b"one ")
    served.transport.writeSequence([b"two ", b"three"])
    assert read(client, 13) == b"one two three"


@pytest_twisted.inlineCallbacks
def test_what_does_not_fit_follows_in_order(connected: tuple[Served, socket.socket]) -> Any:
    served, client = connected
    sent = b"".join(b"%08d" % number for number in range(MUCH // 8))
    for start in range(0, len(sent), 100_000):
        served.transport.write(sent[start : start + 100_000])
    assert (yield deferToThread(read, client, len(sent))) == sent
    yield deferLater(reactor, 0)
    served.transport.write(b"once more, at once")
    assert read(client, 18) == b"once more, at once"


@pytest_twisted.inlineCallbacks
def test_a_connection_that_is_gone_is_noticed(connected: tuple[Served, socket.socket]) -> Any:
    served, client = connected
    served.transport.stopReading()  # or it would be noticed there
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    served.transport.write(b"into the void")
    served.transport.write(b"and again")
    yield served.lost
    served.transport.write(b"and nothing happens")


@pytest_twisted.inlineCallbacks
def test_nothing_is_sent_after_an_abort(connected: tuple[Served, socket.socket]) -> Any:
    served, client = connected
    served.transport.abortConnection()
    served.transport.write(b"too late")
    yield served.lost
    with suppress(ConnectionResetError):
        assert client.recv(100) == b""


@pytest_twisted.inlineCallbacks
def test_what_was_written_is_sent_before_a_connection_is_closed(
    connected: tuple[Served, socket.socket],
) -> Any:
    served, client = connected
    served.transport.write(b"x" * MUCH)
    served.transport.write(b"end")
    served.transport.loseConnection()
    assert (yield deferToThread(read, client, MUCH + 3)).endswith(b"xend")
    yield served.lost
    assert client.recv(1) == b""
