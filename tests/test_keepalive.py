"""TCP keepalive, as the kernel has it: on both sides of a connection, and on no Unix socket."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from loopback import disconnected
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.tcp import Client, Server
from twisted.web.static import Data

from servicereflector.client.connection import Connection
from servicereflector.client.credentials import static
from servicereflector.client.http import KubeClient
from servicereflector.client.keepalive import keep_alive
from servicereflector.ops.sockets import SocketService, bind
from servicereflector.testing.certificates import Authority

reactor: Any = global_reactor

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_KEEPIDLE"), reason="the names are those of Linux"
)


def told(kind: type) -> list[tuple[int, ...]]:
    """What the open connections of a kind have set."""
    handles = [reader.getHandle() for reader in reactor.getReaders() if isinstance(reader, kind)]
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    return [
        (
            handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            *(handle.getsockopt(socket.IPPROTO_TCP, name) for name in names),
        )
        for handle in handles
    ]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest_twisted.ensureDeferred
async def test_both_ends_ask_after_each_other(scheme: str, tmp_path: Path) -> None:
    """The sockets themselves, TLS or not."""
    tls, ca = None, None
    if scheme == "https":
        authority = Authority.create(tmp_path, "authority")
        certificate, key = (path.read_bytes() for path in authority.server(["localhost"]))
        tls = PrivateCertificate.loadPEM(certificate + key).options()
        ca = authority.ca_file.read_bytes()
    resource = Data(b"{}", "application/json")
    resource.isLeaf = True
    service = SocketService(reactor, bind("127.0.0.1", 0), resource, tls)
    url = f"{scheme}://localhost:{service.address.port}"
    service.startService()
    client = KubeClient(reactor, static(Connection(url, ca=ca)))
    try:
        await client.request("GET", "/")
        assert told(Client) == told(Server) == [(1, 30, 10, 3)]
    finally:
        await client.close()
        await service.stopService()
        await disconnected()


@pytest_twisted.ensureDeferred
async def test_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    """Linux would refuse TCP's options there."""
    accepted: Deferred[Protocol] = Deferred()
    ended: Deferred[None] = Deferred()

    class Accepted(Protocol):
        def connectionMade(self) -> None:
            accepted.callback(self)

        def connectionLost(self, _reason: object) -> None:
            ended.callback(None)

    port = reactor.listenUNIX(str(tmp_path / "s"), Factory.forProtocol(Accepted))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        protocol = await accepted
        keep_alive(protocol.transport)
        handle = protocol.transport.getHandle()
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    await ended
    await maybeDeferred(port.stopListening)
