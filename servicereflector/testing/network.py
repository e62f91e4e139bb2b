"""A network in memory, on a made clock: real HTTP parsers on both sides, no socket, no waiting.

What treq's ``RequestTraversalAgent`` does for one request is done here for whole clusters: names
that clients connect to, connections that are kept and reused, watches that stream chunk by chunk,
and the faults of real networks. Nothing moves but in :meth:`Network.settle` and what calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IPolicyForHTTPS
from twisted.web.resource import IResource
from zope.interface import implementer

from ..client.credentials import from_url
from ..client.http import KubeClient
from ..ops.sockets import QuietSite

#: Rounds after which what still moves is taken for a loop.
MOST_ROUNDS = 20_000

_T = TypeVar("_T")


class NotSettled(AssertionError):
    """Something goes on without end in no time, or an answer did not come in time."""


@implementer(IAgentEndpointFactory)
class Network:
    """
    :ivar clock: the time of everything that takes part; :meth:`advance` moves it.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self._servers: dict[str, Server] = {}
        self._replicas: dict[str, tuple[Sequence[Server], Callable[[int], int]]] = {}

    def spread(self, name: str, servers: Sequence[Server], choose: Callable[[int], int]) -> None:
        """Put several servers behind ``http://<name>``.

        :param choose: which one the next connection goes to, out of so many.
        """
        self._replicas[name] = servers, choose

    def serve(self, name: str, resource: IResource) -> Server:
        """Put an HTTP server at ``http://<name>``, in the place of one that was there."""
        if name in self._servers:
            self._servers[name].cut()
        server = self._servers[name] = Server(self, name, resource)
        return server

    def client(self, name: str) -> KubeClient:
        """A client of ``http://<name>``, whether or not a server is there yet."""
        return KubeClient(self.clock, from_url(f"http://{name}"), agent_factory=self._agent)

    def settle(self) -> None:
        """Move bytes, and run what is due, until nothing moves and nothing is due now.

        :raises NotSettled: that does not come to an end.
        """
        for _ in range(MOST_ROUNDS):
            moved = [server.pump() for server in tuple(self._servers.values())]
            if self._due(self.clock.seconds()):
                self.clock.advance(0)
            elif not any(moved):
                return
        raise NotSettled("something goes on without end: " + str(self.clock.getDelayedCalls()))

    def step(self) -> bool:
        """What was sent arrives, and what is due now is run; not yet what comes of that.

        :return: whether there was anything.
        """
        moved = [server.pump(once=True) for server in tuple(self._servers.values())]
        if self._due(self.clock.seconds()):
            self.clock.advance(0)
            return True
        return any(moved)

    def advance(self, seconds: float) -> None:
        """Let time pass, from one delayed call to the next, settling at each."""
        self.settle()
        end = self.clock.seconds() + seconds
        while self._due(end):
            earliest = min(call.getTime() for call in self.clock.getDelayedCalls())
            self.clock.advance(max(0.0, earliest - self.clock.seconds()))
            self.settle()
        self.clock.advance(max(0.0, end - self.clock.seconds()))
        self.settle()

    def wait(
        self, result: Deferred[_T] | Coroutine[Deferred[Any], Any, _T], seconds: float = 0.0
    ) -> _T:
        """The result, which comes within so many seconds of this network's time.

        :raises NotSettled: it does not come.
        """
        waiting = result if isinstance(result, Deferred) else Deferred.fromCoroutine(result)
        results: list[_T] = []
        failures: list[Failure] = []
        waiting.addCallbacks(results.append, failures.append)
        self.settle()
        if not results and not failures:
            self.advance(seconds)
        if failures:
            failures[0].raiseException()
        if not results:
            raise NotSettled(f"no result within {seconds:g} s")
        return results[0]

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """For Agents."""
        return _Endpoint(self, uri.host.decode("ascii"))

    def agent(self) -> IAgent:
        """For requests that no client makes; a connection for each."""
        return self._agent(None, None)

    def _agent(self, _policy: IPolicyForHTTPS | None, pool: HTTPConnectionPool | None) -> IAgent:
        agent: IAgent = Agent.usingEndpointFactory(self.clock, self, pool)
        return agent

    def _connect(self, name: str, factory: IProtocolFactory) -> Deferred[IProtocol]:
        server = self._servers.get(name)
        if name in self._replicas:
            servers, choose = self._replicas[name]
            server = servers[choose(len(servers))]
        if server is None:
            return fail(ConnectionRefusedError(f"no server {name}"))
        return server.connect(factory)

    def _due(self, until: float) -> bool:
        return any(call.getTime() <= until for call in self.clock.getDelayedCalls())


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._network._connect(self._name, protocolFactory)


class Server:
    """One HTTP server of a network, and the faults that it can have.

    :ivar name: as which clients know it.
    """

    def __init__(self, network: Network, name: str, resource: IResource) -> None:
        self.name = name
        self._network = network
        self._site = QuietSite(resource, reactor=network.clock)
        self._wires: list[IOPump] = []
        self._refusing = False
        self._silent = False

    @property
    def url(self) -> str:
        return f"http://{self.name}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._wires)

    def client(self) -> KubeClient:
        """A client of this server."""
        return self._network.client(self.name)

    @property
    def requests(self) -> list[bytes]:
        """The requests that clients have sent and that have not arrived."""
        return [sent for wire in self._wires if (sent := b"".join(wire.clientIO.stream))]

    def refuse(self, refusing: bool = True) -> None:
        """Refuse new connections, or no longer; those that are open stay."""
        self._refusing = refusing

    def silence(self, silent: bool = True) -> None:
        """Take connections and move no byte on any, in either direction; or catch up again."""
        self._silent = silent

    def cut(self) -> None:
        """Break every open connection in the middle of whatever it carries."""
        wires, self._wires = self._wires, []
        for wire in wires:
            for side in (wire.clientIO, wire.serverIO):
                side.stream.clear()
                side.disconnectReason = ConnectionLost()
            wire.serverIO.loseConnection()
            wire.flush(advanceClock=False)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a client's protocol."""
        if self._refusing:
            return fail(ConnectionRefusedError(f"{self.name} refuses"))
        address = IPv4Address("TCP", "127.0.0.1", 80)
        there = self._site.buildProtocol(address)
        here = factory.buildProtocol(address)
        assert here is not None
        wire = IOPump(here, there, FakeTransport(here, False), FakeTransport(there, True), False)
        there.makeConnection(wire.serverIO)
        here.makeConnection(wire.clientIO)
        self._wires.append(wire)
        return succeed(here)

    def pump(self, *, once: bool = False) -> bool:
        """Move what there is to move; whether there was anything.

        :param once: not what comes of that, too.
        """
        if self._silent:
            return False
        moved = [
            wire.pump(advanceClock=False) if once else wire.flush(advanceClock=False)
            for wire in tuple(self._wires)
        ]
        self._wires = [
            wire
            for wire in self._wires
            if not (wire.clientIO.disconnected and wire.serverIO.disconnected)
        ]
        return any(moved)
