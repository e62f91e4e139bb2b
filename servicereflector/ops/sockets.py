"""Listening sockets: opened before anything is started, so that a port in use is told in one line
and nothing has happened yet; served once the reactor runs."""

from __future__ import annotations

import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorSocket
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource
from twisted.web.server import Site


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
    except (OSError, UnicodeError) as error:
        if dual and port:  # a kernel that has IPv6 switched off
            return bind("0.0.0.0", port)
        shown = f"[{host}]" if ":" in host else host
        reason = getattr(error, "strerror", None) or error
        raise BindError(f"cannot listen on {shown}:{port}: {reason}") from None
    listening.setblocking(False)
    return listening


class QuietSite(Site):
    """A Site without an access log: watches live for an hour, metrics tell the rest."""

    noisy = False

    def log(self, request: HttpRequest) -> None:
        pass


class SocketService(Service):
    """Serves a resource on a socket that is open already, which it owns from now on."""

    def __init__(
        self,
        reactor: IReactorSocket,
        listening: socket.socket,
        resource: IResource,
        tls: CertificateOptions | None = None,
    ) -> None:
        self._reactor = reactor
        self._socket = listening
        self._tls = tls
        self._site = QuietSite(resource)
        self._port: IListeningPort | None = None

    @property
    def address(self) -> IAddress:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        kind = IPv6Address if self._socket.family == socket.AF_INET6 else IPv4Address
        address: IAddress = kind("TCP", host, port)
        return address

    def startService(self) -> None:
        Service.startService(self)
        factory: Any = self._site
        if self._tls is not None:
            factory = TLSMemoryBIOFactory(self._tls, isClient=False, wrappedFactory=factory)
        self._port = self._reactor.adoptStreamPort(
            self._socket.fileno(), self._socket.family, factory
        )

    def stopService(self) -> Any:
        Service.stopService(self)
        self._socket.close()
        port, self._port = self._port, None
        return port.stopListening() if port is not None else None
