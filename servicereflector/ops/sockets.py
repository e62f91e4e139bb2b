"""Listening sockets: opened before anything is started, so that a port in use is told in one line
and nothing has happened yet; served once the reactor runs."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    ITransport,
)
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource
from twisted.web.server import Site

from ..client.keepalive import keep_alive
from .channels import BoundedRequest, Channel, Connections
from .transports import PromptServer

if TYPE_CHECKING:
    from twisted.internet.posixbase import PosixReactorBase

#: Seconds that a client is given to take what was still sent to it.
CLOSE_TIMEOUT = 1.0


class BindError(Exception):
    """An address that cannot be listened on: one line."""


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    :param host: an address or name; ``""`` is every address, of both families where there are two.
    :param port: 0 takes a free one.
    :raises BindError: naming the address.
    """
    everywhere = not host
    dual = everywhere and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in host else socket.AF_INET
    try:
        listening = socket.create_server(
            (host, port), family=family, backlog=1024, dualstack_ipv6=dual
        )
    except (OSError, UnicodeError, TypeError) as error:
        number = getattr(error, "errno", None)
        if dual and number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return bind("0.0.0.0", port)  # a kernel that has IPv6 switched off
        shown = f"[{host}]" if ":" in host else host
        # create_server adds the address to the system's own text.
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise BindError(f"cannot listen on {shown}:{port}: {reason}") from None
    listening.setblocking(False)
    return listening


class QuietSite(Site):
    """A Site without an access log: watches live for an hour, metrics tell the rest."""

    noisy = False
    protocol = Channel  # type: ignore[assignment]  # where Twisted's has a place for HTTP/2
    requestFactory = BoundedRequest

    def __init__(
        self, resource: IResource, connections: Connections | None = None, **options: Any
    ) -> None:
        """
        :param connections: None for no limits.
        :param options: as Site takes them.
        """
        super().__init__(resource, **options)
        self._connections = connections

    def acceptableProtocols(self) -> list[bytes]:
        """Not HTTP/2, even where there is a library for it: its streams have no limits here."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Any:
        channel = super().buildProtocol(addr)
        channel.connections = self._connections
        return channel

    def log(self, request: HttpRequest) -> None:
        pass


class _Counted(ProtocolWrapper):
    """One of its connections."""

    def makeConnection(self, transport: ITransport) -> None:
        self.write = transport.write  # type: ignore[method-assign]  # nothing is to be done on the way
        super().makeConnection(transport)


class _Drained(WrappingFactory):
    """Knows when its last connection is over."""

    protocol: type[ProtocolWrapper] = _Counted
    noisy = False
    _waiting: Deferred[None] | None = None

    def drained(self) -> Deferred[None]:
        """Fires when there is no connection."""
        if not self.protocols:
            return succeed(None)
        self._waiting = Deferred()
        return self._waiting

    def registerProtocol(self, p: ProtocolWrapper) -> None:
        super().registerProtocol(p)
        keep_alive(p.transport)  # a watcher that vanished would be kept until its watch ends

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        super().unregisterProtocol(p)
        waiting = self._waiting
        if waiting is not None and not self.protocols:
            self._waiting = None
            waiting.callback(None)


class _Tls(_Drained, TLSMemoryBIOFactory):
    # Twisted's default waits a turn of the reactor for more to encrypt. Here what belongs together
    # is written together.
    protocol = TLSMemoryBIOProtocol


class SiteService(Service):
    """Serves a resource on a port that it opens, and ends with its connections ended."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        resource: IResource,
        tls: IOpenSSLServerConnectionCreator | None = None,
        connections: Connections | None = None,
    ) -> None:
        """
        :param connections: None for no limits.
        """
        self._reactor = reactor
        site = QuietSite(resource, connections)
        self._factory = (
            _Drained(site) if tls is None else _Tls(tls, isClient=False, wrappedFactory=site)
        )
        self._port: IListeningPort | None = None

    def _listen(self) -> IListeningPort:
        raise NotImplementedError

    def startService(self) -> None:
        Service.startService(self)
        self._port = self._listen()

    def stopService(self) -> Deferred[None]:
        """Take no more connections, and close those that there are once their answers are out."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        # What is served ends its streams in this same turn of the reactor.
        await deferLater(self._reactor, 0)
        for connection in tuple(self._factory.protocols):
            connection.unregisterProducer()  # HTTP's channel, for which TLS would wait
            connection.loseConnection()
        with suppress(TimeoutError):
            await self._factory.drained().addTimeout(CLOSE_TIMEOUT, self._reactor)
        for connection in tuple(self._factory.protocols):
            connection.abortConnection()
        await self._factory.drained()
        await deferLater(self._reactor, 0)  # the HTTP channel is told after the factory


class SocketService(SiteService):
    """Serves on a socket that is open already, which it owns from now on."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        listening: socket.socket,
        resource: IResource,
        tls: IOpenSSLServerConnectionCreator | None = None,
        connections: Connections | None = None,
    ) -> None:
        super().__init__(reactor, resource, tls, connections)
        self._socket = listening

    @property
    def address(self) -> IAddress:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        kind = IPv6Address if self._socket.family == socket.AF_INET6 else IPv4Address
        address: IAddress = kind("TCP", host, port)
        return address

    def _listen(self) -> IListeningPort:
        port: Any = self._reactor.adoptStreamPort(
            self._socket.fileno(), self._socket.family, self._factory
        )
        port.transport = PromptServer
        return cast("IListeningPort", port)

    def stopService(self) -> Deferred[None]:
        """Take no more connections, and close those that there are once their answers are out."""
        self._socket.close()
        return super().stopService()
