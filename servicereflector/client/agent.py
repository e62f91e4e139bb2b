"""The HTTP agent beneath the client: which sockets it opens, and what it refuses to decode."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IPolicyForHTTPS,
    IResponse,
)
from zope.interface import implementer

from .bodies import drop
from .errors import BadAnswer
from .keepalive import keep_alive

#: Bytes of an answer's head: Twisted bounds its lines, but not how many there are.
MAX_HEAD = 64 * 1024


@implementer(IStreamClientEndpoint)
class _KeptAlive:
    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(protocolFactory).addCallback(_keep_alive)


def _keep_alive(protocol: IProtocol) -> IProtocol:
    assert isinstance(protocol, Protocol)
    keep_alive(protocol.transport)
    # A request's head and body are two writes: Nagle would hold the second for 40 ms.
    protocol.transport.setTcpNoDelay(True)  # type: ignore[union-attr]  # ITCPTransport
    return protocol


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(
        self, reactor: IReactorTime, policy: IPolicyForHTTPS, connect_timeout: float
    ) -> None:
        self._reactor = reactor
        self._policy = policy
        self._connect_timeout = connect_timeout

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        # The keepalive goes on beneath TLS: only there is a socket to be had.
        endpoint: IStreamClientEndpoint = _KeptAlive(
            HostnameEndpoint(
                self._reactor, uri.host.decode("ascii"), uri.port, timeout=self._connect_timeout
            )
        )
        if uri.scheme != b"https":
            return endpoint
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)


def make_agent(
    reactor: IReactorTime,
    policy: IPolicyForHTTPS,
    pool: HTTPConnectionPool,
    connect_timeout: float,
) -> IAgent:
    """An Agent on real sockets."""
    endpoints = _Endpoints(reactor, policy, connect_timeout)
    agent: IAgent = Agent.usingEndpointFactory(reactor, endpoints, pool)
    return agent


class _BoundedHead(HTTP11ClientProtocol):
    """Gives up an answer whose head has no end."""

    _head: int | None = None  # bytes that came since the request, None once it is answered
    _why: Failure | None = None

    def request(self, request: Request) -> Deferred[IResponse]:
        self._head = 0
        return super().request(request).addBoth(self._answered)

    def _answered(self, result: object) -> object:
        self._head = None
        return result

    def dataReceived(self, bytes: bytes) -> None:
        if self._head is not None:
            if self._head > MAX_HEAD:
                self._why = Failure(BadAnswer(f"the answer's head is larger than {MAX_HEAD} bytes"))
                self.transport.abortConnection()  # type: ignore[union-attr]  # ITCPTransport
                return
            self._head += len(bytes)
        super().dataReceived(bytes)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(self._why or reason)


class _BoundedHeads(Factory):
    noisy = False

    def __init__(self, quiescent: Callable[[HTTP11ClientProtocol], None], _told: str) -> None:
        self._quiescent = quiescent

    def buildProtocol(self, _address: IAddress | None) -> HTTP11ClientProtocol:
        return _BoundedHead(self._quiescent)


class ConnectionPool(HTTPConnectionPool):
    """Twisted's, of connections that bound what an answer begins with."""

    _factory = _BoundedHeads  # type: ignore[assignment]  # its usual one is as good as private


@implementer(IAgent)
class OnceEncoded:
    """Refuses an answer that claims to be compressed more than once.

    treq asks for gzip and undoes as many layers as the answer names, with no limit on what one
    read grows to: a factor of a thousand for each. One layer makes some 64 MB of one read at the
    very worst, which the limit on the body then ends; two would make 64 GB.
    """

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(_check)


def _check(response: IResponse) -> IResponse:
    encodings = b",".join(response.headers.getRawHeaders(b"Content-Encoding", []))
    if encodings.strip().lower() not in (b"", b"identity", b"gzip"):
        drop(response)
        raise BadAnswer("the answer has a Content-Encoding that was not asked for")
    return response
