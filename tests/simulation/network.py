"""A network in memory whose connections have delays, buffers and faults of their own.

A connection is two transports, and bytes between them; only connections on which something can
move are looked at. Which of them moves first is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    ITransport,
)
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import IResource
from zope.interface import implementer

from servicereflector.client.credentials import from_url
from servicereflector.client.http import KubeClient
from servicereflector.listwatch.limits import Limits
from servicereflector.ops.sockets import QuietSite
from servicereflector.testing.network import MOST_ROUNDS, Network, NotSettled

from .clocks import HeapClock, ProcessClock

#: What the kernels on both ends take before a writer has to wait, in bytes.
BUFFER = 64 * 1024

_ADDRESS = IPv4Address("TCP", "127.0.0.1", 80)
_WRITES = (b"POST ", b"PUT ", b"DELETE ")


@implementer(ITransport, IConsumer, IPushProducer)
class Side:
    """One end of a connection, as its protocol sees it.

    :ivar vanish: what it sends from now on does not arrive, its goodbye included.
    :ivar reading: whether its program takes what arrives.
    """

    disconnecting = False

    def __init__(self, wire: Wire, protocol: Any, owner: ProcessClock | None) -> None:
        self.wire = wire
        self.protocol = protocol
        self.owner = owner
        self.peer: Side = self
        self.chunks: list[tuple[float, bytes]] = []
        self.size = 0
        self.closed = False
        self.told_peer = False
        self.vanish = False
        self.reading = True
        self.producer: Any = None
        self.paused = False

    @property
    def takes(self) -> bool:
        owner = self.owner
        return self.reading and (owner is None or not owner.asleep)

    def write(self, data: bytes) -> None:
        if not data or self.closed or self.disconnecting:
            return
        wire = self.wire
        if self is wire.client and data.startswith(_WRITES):
            wire.writing = True
        elif wire.writing and self is wire.server:
            wire.writing = False
            if wire.of.lost_answers > 0:
                wire.of.lost_answers -= 1
                wire.network.note("an answer is lost")
                wire.cutting = True
                wire.network.touch(wire)
        if wire.cutting:
            return
        if self.vanish:
            return
        network = wire.network
        self.chunks.append((network.clock.rightNow + wire.delay, data))
        self.size += len(data)
        network.most_buffered = max(network.most_buffered, self.size)
        if self.size > BUFFER and self.producer is not None and not self.paused:
            self.paused = True
            self.producer.pauseProducing()
        network.touch_later(wire)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self.wire.network.touch(self.wire)

    stopProducing = loseConnection

    def abortConnection(self) -> None:
        self.chunks.clear()
        self.size = 0
        self.producer = None
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming, "nothing here is a pull producer"
        if self.closed:
            producer.stopProducing()
        else:
            self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None
        self.wire.network.touch(self.wire)

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        if not self.reading:
            self.reading = True
            self.wire.network.touch(self.wire)

    def getPeer(self) -> IPv4Address:
        return _ADDRESS

    def getHost(self) -> IPv4Address:
        return _ADDRESS

    def send(self, now: float) -> None:
        """What has arrived by now goes to the other side's protocol."""
        ready = 0
        for due, _ in self.chunks:
            if due > now + 1e-9:
                break
            ready += 1
        if not ready:
            return
        data = b"".join(chunk for _, chunk in self.chunks[:ready])
        limit = self.wire.limit
        if limit is not None and self is self.wire.server:
            data = data[:limit]
            self.wire.limit = limit - len(data)
        del self.chunks[:ready]
        self.size = sum(len(chunk) for _, chunk in self.chunks)
        if not self.peer.closed:
            self.wire.network.bytes_moved += len(data)
            self.peer.protocol.dataReceived(data)
        if self.wire.limit == 0:
            self.wire.network.note("cut short")
            self.wire.cut(ConnectionDone())
        elif self.paused and self.size <= BUFFER // 2:
            self.paused = False
            if self.producer is not None:
                self.producer.resumeProducing()

    def finish(self, reason: Exception) -> None:
        if self.closed:
            return
        self.closed = self.disconnecting = True
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        if self.owner is None or not self.owner.dead:
            self.protocol.connectionLost(Failure(reason))


class Wire:
    """
    :ivar limit: of so many more bytes from the server the client gets no more.
    :ivar writing: whether a write's answer is awaited.
    """

    def __init__(self, network: SimNetwork, of: SimServer, client: Any, owner: ProcessClock | None):
        self.network = network
        self.of = of
        self.delay = of.draw_delay()
        self.limit: int | None = None
        self.writing = False
        self.cutting = False
        self.dirty = False
        there = of.site.buildProtocol(_ADDRESS)
        self.client = Side(self, client, owner)
        self.server = Side(self, there, of.owner)
        self.client.peer, self.server.peer = self.server, self.client
        self.sides = (self.client, self.server)
        there.makeConnection(self.server)
        client.makeConnection(self.client)

    def move(self) -> None:
        if self.cutting:
            self.cut()
            return
        now = self.network.clock.rightNow
        for side in self.sides:
            peer = side.peer
            if side.chunks and peer.takes and not self.of.silent:
                side.send(now)
            # What is left fits the kernel's buffer, so it is no longer the program's to send.
            sent = side.size <= BUFFER and (side.producer is None or peer.closed)
            if side.disconnecting and not side.closed and sent:
                side.finish(ConnectionDone())
            if side.closed and not side.chunks and not side.told_peer:
                if side.vanish:
                    side.told_peer = True
                elif peer.takes and not self.of.silent:
                    side.told_peer = True
                    peer.finish(ConnectionDone())
        if self.client.closed and self.server.closed:
            self.of.wires.pop(self, None)

    def cut(self, reason: Exception | None = None) -> None:
        """Break it in the middle of what it carries; both are told, unless that vanishes too."""
        self.of.wires.pop(self, None)
        for side in self.sides:
            side.chunks.clear()
            side.size = 0
            side.told_peer = True
        for side in self.sides:
            side.finish(reason or ConnectionLost())

    def lose(self, up: bool, down: bool) -> None:
        """From now on nothing arrives, and nobody is told."""
        self.client.vanish = self.client.vanish or up
        self.server.vanish = self.server.vanish or down
        for side in self.sides:
            if side.vanish:
                side.chunks.clear()
                side.size = 0


class SimServer:
    """
    :ivar owner: the process that it belongs to, None for what never fails by itself.
    :ivar delay: seconds, the most that a new connection takes for each byte.
    :ivar silent: bytes wait.
    :ivar blackhole: new connections are not answered.
    :ivar lost_answers: of so many writes the answer will not come.
    """

    def __init__(
        self, network: SimNetwork, name: str, resource: IResource, owner: ProcessClock | None
    ) -> None:
        self.name = name
        self.network = network
        self.owner = owner
        self.site = QuietSite(resource, reactor=owner or network.clock)
        self.wires: dict[Wire, None] = {}
        self.refusing = False
        self.silent = False
        self.blackhole = False
        self.delay = 0.0
        self.lost_answers = 0

    def client(self) -> KubeClient:
        return self.network.client(self.name)

    def draw_delay(self) -> float:
        return self.delay and round(self.delay * self.network.random(), 4)

    def cut(self) -> None:
        for wire in tuple(self.wires):
            wire.cut()

    def hush(self, silent: bool) -> None:
        self.silent = silent
        self.touch()

    def touch(self) -> None:
        for wire in self.wires:
            self.network.touch(wire)

    def connect(self, factory: IProtocolFactory, owner: ProcessClock | None) -> Deferred[IProtocol]:
        if self.refusing:
            return fail(ConnectionRefusedError(f"{self.name} refuses"))
        clock = owner or self.network.clock
        connected: Deferred[IProtocol] = Deferred(lambda _: call.active() and call.cancel())
        if self.blackhole:
            call = clock.callLater(Limits().connect_timeout, connected.errback, TimeoutError())
        else:
            call = clock.callLater(self.draw_delay(), self._connected, factory, owner, connected)
        return connected

    def _connected(
        self,
        factory: IProtocolFactory,
        owner: ProcessClock | None,
        connected: Deferred[IProtocol],
    ) -> None:
        if self.refusing or (self.owner is not None and self.owner.dead):
            connected.errback(ConnectionRefusedError(f"{self.name} refuses"))
            return
        here = factory.buildProtocol(_ADDRESS)
        assert here is not None
        self.wires[Wire(self.network, self, here, owner)] = None
        connected.callback(here)


class SimNetwork(Network):
    """
    :ivar random: a draw from [0, 1); it decides what moves first.
    :ivar most_buffered: bytes, the most that any writer had waiting.
    """

    clock: HeapClock

    def __init__(self, random: Callable[[], float]) -> None:
        self.clock = HeapClock()
        self.random = random
        self.servers: dict[str, SimServer] = {}
        self.bytes_moved = 0
        self.most_buffered = 0
        self.wrap: Callable[[str, IResource], IResource] = lambda _name, resource: resource
        self.note: Callable[[str], None] = lambda _what: None
        self._dirty: list[Wire] = []

    def serve(self, name: str, resource: IResource, owner: ProcessClock | None = None) -> SimServer:  # type: ignore[override]
        old = self.servers.get(name)
        server = self.servers[name] = SimServer(self, name, self.wrap(name, resource), owner)
        if old is not None:
            server.delay, server.silent = old.delay, old.silent
            server.blackhole, server.refusing = old.blackhole, old.refusing
        return server

    def client(self, name: str, owner: ProcessClock | None = None) -> KubeClient:
        clock = owner or self.clock
        endpoints = _Endpoints(self, owner)
        return KubeClient(
            clock,
            from_url(f"http://{name}"),
            agent_factory=lambda _policy, pool: Agent.usingEndpointFactory(clock, endpoints, pool),
        )

    def touch(self, wire: Wire) -> None:
        if not wire.dirty:
            wire.dirty = True
            self._dirty.append(wire)

    def touch_later(self, wire: Wire) -> None:
        if wire.delay:
            self.clock.callLater(wire.delay, self.touch, wire)
        else:
            self.touch(wire)

    def step(self) -> bool:
        """One connection moves, or one call that is due is made; whether there was anything."""
        dirty = self._dirty
        if not dirty or (len(dirty) < 3 and self.random() < 0.5):
            if self.clock.run_next():
                return True
            if not dirty:
                return False
        if len(dirty) > 1:
            index = int(self.random() * len(dirty))
            dirty[index], dirty[-1] = dirty[-1], dirty[index]
        wire = dirty.pop()
        wire.dirty = False
        wire.move()
        return True

    def settle(self) -> None:
        for _ in range(MOST_ROUNDS):
            if not self.step():
                return
        raise NotSettled("something goes on without end: " + str(self.clock.getDelayedCalls()[:5]))

    def advance(self, seconds: float) -> None:
        self.settle()
        clock = self.clock
        end = clock.rightNow + seconds
        while (due := clock.next_due()) is not None and due <= end:
            clock.rightNow = max(clock.rightNow, due)
            self.settle()
        clock.rightNow = end
        self.settle()

    def close_of(self, owner: ProcessClock, *, vanish: bool) -> None:
        """A process is gone: its kernel says goodbye, or there is no kernel any more."""
        for server in self.servers.values():
            for wire in tuple(server.wires):
                if owner in (wire.client.owner, wire.server.owner):
                    if vanish:
                        wire.lose(True, True)
                    else:
                        wire.cut()

    def touch_all(self) -> None:
        for server in self.servers.values():
            server.touch()


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, network: SimNetwork, owner: ProcessClock | None) -> None:
        self.network = network
        self.owner = owner

    def endpointForURI(self, uri: URI) -> Any:
        return _Endpoint(self, uri.host.decode("ascii"))


class _Endpoint:
    def __init__(self, endpoints: _Endpoints, name: str) -> None:
        self.endpoints = endpoints
        self.name = name

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        server = self.endpoints.network.servers.get(self.name)
        if server is None:
            return fail(ConnectionRefusedError(f"no server {self.name}"))
        return server.connect(factory, self.endpoints.owner)
