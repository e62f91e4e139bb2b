"""A TCP connection between the clusters that can be cut and joined again."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.protocol import connectionDone
from twisted.protocols.portforward import (
    ProxyClient,
    ProxyClientFactory,
    ProxyFactory,
    ProxyServer,
)
from twisted.python.failure import Failure


class _Outgoing(ProxyClient):
    transport: Any

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        super().connectionMade()


class _OutgoingFactory(ProxyClientFactory):
    protocol = _Outgoing
    noisy = False


class _Connection(ProxyServer):
    clientProtocolFactory = _OutgoingFactory
    factory: _Factory
    transport: Any

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.factory.open.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.open.discard(self)
        super().connectionLost(reason)


class _Factory(ProxyFactory):
    protocol = _Connection
    noisy = False

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.open: set[_Connection] = set()


class Wire(Service):
    """Forwards a port of its own to another one of this machine."""

    def __init__(self, reactor: Any, port: int) -> None:
        self._reactor = reactor
        self._factory = _Factory(port)
        self._listening = reactor.listenTCP(0, self._factory, interface="127.0.0.1")
        self._port: int = self._listening.getHost().port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def cut(self) -> Any:
        """Refuse connections and break the open ones; fires when the port is closed."""
        for connection in tuple(self._factory.open):
            connection.transport.abortConnection()
        return self._listening.stopListening()

    def join(self) -> None:
        """Listen again."""
        self._listening = self._reactor.listenTCP(self._port, self._factory, interface="127.0.0.1")

    def stopService(self) -> Any:
        Service.stopService(self)
        return self.cut()
