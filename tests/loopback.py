"""HTTP on loopback, for tests that must see the kernel's buffers or a foreign client."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import IResource

from servicereflector.ops.sockets import QuietSite

reactor: Any = global_reactor


class Served:
    """A resource on a free port of 127.0.0.1.

    :ivar url: where it is.
    """

    def __init__(self, resource: IResource) -> None:
        self._factory = WrappingFactory(QuietSite(resource))
        self._factory.noisy = False
        self._port = reactor.listenTCP(0, self._factory, interface="127.0.0.1")
        self.port: int = self._port.getHost().port
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> list[Any]:
        """The server's ends of what is open, as protocols."""
        return list(self._factory.protocols)

    async def close(self) -> None:
        """Stop listening, and wait until the clients have closed their connections."""
        await maybeDeferred(self._port.stopListening)
        while self._factory.protocols:  # pytest-timeout is the deadline
            await deferLater(reactor, 0)


async def disconnected() -> None:
    """Wait until no client's socket is open: one that was told to close does so in a later turn."""
    while any(isinstance(reader, Client) for reader in reactor.getReaders()):
        await deferLater(reactor, 0)
