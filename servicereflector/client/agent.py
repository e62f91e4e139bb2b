"""The HTTP agent beneath the client: which sockets it opens, and what it refuses to decode."""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol
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

#: Seconds for the TCP connection.
CONNECT_TIMEOUT = 10.0

#: A peer that vanished without a word is noticed after a minute: 30 s of silence, then three
#: probes. Linux' own default is two hours. Names that a platform lacks are left out.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


@implementer(IStreamClientEndpoint)
class _KeptAlive:
    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(protocolFactory).addCallback(_keep_alive)


def _keep_alive(protocol: IProtocol) -> IProtocol:
    assert isinstance(protocol, Protocol)
    transport = protocol.transport
    transport.setTcpKeepAlive(True)  # type: ignore[union-attr]  # ITCPTransport
    # A request's head and body are two writes: Nagle would hold the second for 40 ms.
    transport.setTcpNoDelay(True)  # type: ignore[union-attr]
    handle = transport.getHandle()  # type: ignore[union-attr]  # twisted.internet.tcp.Connection
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            handle.setsockopt(socket.IPPROTO_TCP, option, value)
    return protocol


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, reactor: IReactorTime, policy: IPolicyForHTTPS) -> None:
        self._reactor = reactor
        self._policy = policy

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        # The keepalive goes on beneath TLS: only there is a socket to be had.
        endpoint: IStreamClientEndpoint = _KeptAlive(
            HostnameEndpoint(
                self._reactor, uri.host.decode("ascii"), uri.port, timeout=CONNECT_TIMEOUT
            )
        )
        if uri.scheme != b"https":
            return endpoint
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)


def make_agent(reactor: IReactorTime, policy: IPolicyForHTTPS, pool: HTTPConnectionPool) -> IAgent:
    """An Agent on real sockets."""
    agent: IAgent = Agent.usingEndpointFactory(reactor, _Endpoints(reactor, policy), pool)
    return agent


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
