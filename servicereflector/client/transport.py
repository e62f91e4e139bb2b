"""One request over HTTP to the server of a Connection: the connection pool, TLS, the headers.

Knows no retry, no deadline and no meaning of an answer; treq does the request.
"""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy

from hyperlink import EncodedURL
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.web.client import HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from .. import __version__
from .agent import ConnectionPool, OnceEncoded, make_agent
from .connection import Connection, tls_policy
from .errors import transport_error

#: Seconds that an idle connection is kept: less than the 60 s of Twisted's server and of the usual
#: load balancers, lest a PUT (which cannot be repeated blindly) meets a connection just closed.
_IDLE_TIMEOUT = 30
#: Seconds to wait for the peers of closed connections to say goodbye.
_CLOSE_TIMEOUT = 5.0

#: Makes what carries the requests: the place where a test puts ``RequestTraversalAgent``.
AgentFactory = Callable[[IPolicyForHTTPS, HTTPConnectionPool], IAgent]


class Transport:
    """A connection pool and the TLS policy that its connections were made with."""

    def __init__(
        self,
        reactor: IReactorTime,
        max_connections: int,
        connect_timeout: float,
        agent_factory: AgentFactory | None,
    ) -> None:
        self._reactor = reactor
        self._max_connections = max_connections
        self._agent_factory: AgentFactory = agent_factory or (
            lambda policy, pool: make_agent(reactor, policy, pool, connect_timeout)
        )
        self._tls: tuple[object, ...] | None = None
        self._client: HTTPClient | None = None
        self._pool: HTTPConnectionPool | None = None

    async def send(
        self,
        connection: Connection,
        method: str,
        target: str,
        body: bytes | None = None,
        content_type: str = "",
        accept: str = "application/json",
    ) -> IResponse:
        """The answer, whatever its status, its body still to be read.

        :param target: the path and query, below the Connection's URL.
        :raises TransportError: where no answer came.
        :raises ConfigError: where the Connection's certificates are none.
        """
        headers = Headers()
        headers.addRawHeader("Accept", accept)
        headers.addRawHeader("User-Agent", f"service-reflector/{__version__}")
        if body is not None:
            headers.addRawHeader("Content-Type", content_type)
        if connection.token is not None:
            headers.addRawHeader("Authorization", f"Bearer {connection.token}")
        client = self._client_for(connection)
        try:
            response: IResponse = await client.request(
                method,
                _Url.from_text(connection.url + target),
                headers=headers,
                data=body,
                allow_redirects=False,
                unbuffered=True,
                # Unused without treq's timeout; None would import the global reactor.
                reactor=self._reactor,  # type: ignore[arg-type]  # IReactorTime is all it uses
            )
        except Exception as error:
            raise transport_error(connection.server, error) from None
        return response

    def close(self) -> Deferred[None]:
        """Close the idle connections; those in use are closed at the end of their request."""
        pool, self._pool, self._client, self._tls = self._pool, None, None, None
        return succeed(None) if pool is None else self._retire(pool)

    def _client_for(self, connection: Connection) -> HTTPClient:
        if self._client is None or self._tls != connection.tls:
            policy = tls_policy(connection)
            old, self._pool = self._pool, ConnectionPool(self._reactor)
            self._pool.maxPersistentPerHost = self._max_connections
            self._pool.cachedConnectionTimeout = _IDLE_TIMEOUT
            self._client = HTTPClient(
                OnceEncoded(self._agent_factory(policy, self._pool)),
                # An API has no sessions; a server could fill the usual jar without end.
                cookiejar=IndexableCookieJar(DefaultCookiePolicy(allowed_domains=())),
                data_to_body_producer=_WholeBody,
            )
            self._tls = connection.tls
            if old is not None:
                self._retire(old)
        return self._client

    def _retire(self, pool: HTTPConnectionPool) -> Deferred[None]:
        # What is still in use would come back to it, and be kept for its usual time.
        pool.cachedConnectionTimeout = 0
        ended: Deferred[None] = Deferred(lambda _: late.cancel())
        late = self._reactor.callLater(_CLOSE_TIMEOUT, ended.callback, None)

        def closed(_result: object) -> None:
            if late.active():
                late.cancel()
                ended.callback(None)

        # It is not cancelled itself: nobody would hear what each of its connections said to that.
        pool.closeCachedConnections().addBoth(closed)
        return ended


class _Url(EncodedURL):
    """A URL that treq takes as it is.

    Its usual way makes an internationalized name of the host, which fails for every IPv6 address
    (python-hyper/hyperlink#188) and for names with underscores.
    """

    def to_uri(self) -> EncodedURL:
        return self


@implementer(IBodyProducer)
class _WholeBody:
    """A body that is written at once: FileBodyProducer takes turns of the global reactor."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All is written."""

    def resumeProducing(self) -> None:
        """All is written."""

    def stopProducing(self) -> None:
        """All is written."""
