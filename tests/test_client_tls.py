"""The HTTP client on real sockets of the loopback: TLS, the pool, and how connections end."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import CannotListenError, ConnectingCancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate
from twisted.internet.task import Clock
from twisted.internet.tcp import Client
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from servicereflector.client.connection import Connection
from servicereflector.client.credentials import Credentials, static
from servicereflector.client.errors import TransportError, transport_error
from servicereflector.client.http import KubeClient
from servicereflector.kube.resources import SERVICES
from servicereflector.testing.certificates import Authority


class Api(Resource):
    """Answers every request by a function."""

    isLeaf = True

    def __init__(self, answer: Callable[[Request], bytes | int]) -> None:
        super().__init__()
        self.render = answer


class Counted(ProtocolWrapper):
    """A server's connection, which tells its factory when it is really over."""

    def connectionMade(self) -> None:
        self.factory.made += 1

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.factory.left()


class Counting(WrappingFactory):
    """Counts the connections made, and knows when the last one is gone."""

    protocol = Counted
    made = 0
    gone: Deferred[None] | None = None

    def left(self) -> None:
        if not self.protocols and self.gone is not None:
            self.gone.callback(None)
            self.gone = None

    async def empty(self) -> None:
        if self.protocols:
            self.gone = Deferred()
            await self.gone


class Server:
    """An API on loopback, with TLS where it has a certificate."""

    def __init__(
        self, factory: Factory, tls: CertificateOptions | None = None, interface: str = "127.0.0.1"
    ) -> None:
        self.factory = Counting(factory)
        if tls is None:
            self.port = reactor.listenTCP(0, self.factory, interface=interface)
        else:
            self.port = reactor.listenSSL(0, self.factory, tls, interface=interface)
        self.number = self.port.getHost().port
        self.clients: list[KubeClient] = []

    def client(self, connection: Connection | Credentials) -> KubeClient:
        credentials = static(connection) if isinstance(connection, Connection) else connection
        self.clients.append(KubeClient(reactor, credentials))
        return self.clients[-1]

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        await self.port.stopListening()
        await self.factory.empty()


def tls_server(
    authority: Authority, *hosts: str, clients: Authority | None = None
) -> CertificateOptions:
    certificate, key = authority.server(hosts)
    own = PrivateCertificate.loadPEM(certificate.read_bytes() + key.read_bytes())
    trusted = [Certificate.loadPEM(clients.ca_file.read_bytes())] if clients else []
    options: CertificateOptions = own.options(*trusted)
    return options


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path, "ca")


def whoami(request: Request) -> bytes:
    """The server's answer: the name asked for, and the certificate shown."""
    tls = request.transport.getHandle()
    peer = tls.get_peer_certificate(as_cryptography=True)
    return json.dumps(
        {
            "sni": (tls.get_servername() or b"").decode(),
            "user": peer.subject.rfc4514_string() if peer else None,
            "version": tls.get_protocol_version_name(),
        }
    ).encode()


@pytest_twisted.ensureDeferred
async def test_a_server_of_the_given_authority_is_verified(authority: Authority) -> None:
    """By IP address, which is no SNI name; with TLS 1.2 at least."""
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1"))
    url = f"https://127.0.0.1:{server.number}"
    try:
        told = await server.client(Connection(url, ca=authority.ca_file.read_bytes())).version()
        assert told["sni"] == ""
        assert told["version"] in ("TLSv1.2", "TLSv1.3")
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_server_of_another_authority_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    """The error says that the certificate could not be verified."""
    other = Authority.create(tmp_path / "other", "other")
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1"))
    url = f"https://127.0.0.1:{server.number}"
    try:
        with pytest.raises(TransportError, match="certificate verify failed"):
            await server.client(Connection(url, ca=other.ca_file.read_bytes())).version()
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_an_authority_that_was_replaced_is_read_after_the_first_refusal(
    authority: Authority, tmp_path: Path
) -> None:
    """Not only when the Connection has got old."""
    old = Authority.create(tmp_path / "old", "old")
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1"))
    authorities = iter([old, authority])

    def load() -> Connection:
        url = f"https://127.0.0.1:{server.number}"
        return Connection(url, ca=next(authorities).ca_file.read_bytes())

    clock = Clock()
    client = server.client(Credentials(load, clock=clock, defer_to_thread=maybeDeferred))
    try:
        with pytest.raises(TransportError, match="certificate verify failed"):
            await client.version()
        clock.advance(5)
        with pytest.raises(TransportError, match="certificate verify failed"):
            await client.version()
        await client.version()
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_server_unknown_to_the_system_is_refused(authority: Authority) -> None:
    """Without an authority of one's own the system's roots decide."""
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1"))
    try:
        with pytest.raises(TransportError, match="certificate verify failed"):
            await server.client(Connection(f"https://127.0.0.1:{server.number}")).version()
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    """A known authority is not enough."""
    server = Server(Site(Api(whoami)), tls_server(authority, "10.0.0.1"))
    url = f"https://127.0.0.1:{server.number}"
    try:
        with pytest.raises(TransportError, match="for another name"):
            await server.client(Connection(url, ca=authority.ca_file.read_bytes())).version()
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_the_server_name_is_sent_and_verified_in_place_of_the_host(
    authority: Authority,
) -> None:
    """tls-server-name: the certificate is for it, and the server is told it."""
    server = Server(Site(Api(whoami)), tls_server(authority, "api.example"))
    connection = Connection(
        f"https://127.0.0.1:{server.number}",
        ca=authority.ca_file.read_bytes(),
        server_name="api.example",
    )
    try:
        assert (await server.client(connection).version())["sni"] == "api.example"
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_an_insecure_connection_verifies_nothing_and_still_sends_the_name(
    authority: Authority,
) -> None:
    """Any certificate will do; a router that goes by the name still finds its server."""
    server = Server(Site(Api(whoami)), tls_server(authority, "10.0.0.1"))
    connection = Connection(
        f"https://127.0.0.1:{server.number}", insecure=True, server_name="api.example"
    )
    try:
        assert (await server.client(connection).version())["sni"] == "api.example"
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_client_certificate_is_shown_where_it_is_demanded(authority: Authority) -> None:
    """The server sees the user; without the certificate it sees nobody out."""
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1", clients=authority))
    url = f"https://127.0.0.1:{server.number}"
    ca = authority.ca_file.read_bytes()
    certificate, key = (path.read_bytes() for path in authority.client("jane"))
    known = Connection(url, ca=ca, certificate=certificate, private_key=key)
    try:
        assert (await server.client(known).version())["user"] == "CN=jane"
        with pytest.raises(TransportError):
            await server.client(Connection(url, ca=ca)).version()
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_client_certificate_is_shown_on_an_insecure_connection(
    authority: Authority,
) -> None:
    """Not to verify the other is no reason to hide oneself."""
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1", clients=authority))
    certificate, key = (path.read_bytes() for path in authority.client("jane"))
    connection = Connection(
        f"https://127.0.0.1:{server.number}",
        insecure=True,
        certificate=certificate,
        private_key=key,
    )
    try:
        assert (await server.client(connection).version())["user"] == "CN=jane"
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_new_client_certificate_is_used_as_soon_as_it_is_loaded(
    authority: Authority,
) -> None:
    """The connections made with the old one are not used any more."""
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1", clients=authority))
    pairs = iter([authority.client("before"), authority.client("after")])

    def load() -> Connection:
        certificate, key = (path.read_bytes() for path in next(pairs))
        return Connection(
            f"https://127.0.0.1:{server.number}",
            ca=authority.ca_file.read_bytes(),
            certificate=certificate,
            private_key=key,
        )

    credentials = Credentials(load, clock=Clock(), defer_to_thread=maybeDeferred)
    client = server.client(credentials)
    try:
        assert (await client.version())["user"] == "CN=before"
        await credentials.reload()
        assert (await client.version())["user"] == "CN=after"
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_connection_is_used_again() -> None:
    """Requests one after the other need one connection."""
    server = Server(Site(Api(lambda _: b"{}")))
    client = server.client(Connection(f"http://127.0.0.1:{server.number}"))
    try:
        for _ in range(3):
            await client.version()
        assert server.factory.made == 1
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_stopped_watch_closes_its_connection_under_tls(authority: Authority) -> None:
    """The server need not agree to it."""
    requests: list[Request] = []

    def stream(request: Request) -> int:
        requests.append(request)
        request.setHeader("Content-Type", "application/json")
        request.write(b"event")
        return NOT_DONE_YET

    server = Server(Site(Api(stream)), tls_server(authority, "127.0.0.1"))
    connection = Connection(f"https://127.0.0.1:{server.number}", ca=authority.ca_file.read_bytes())
    ended: list[Exception | None] = []
    first: Deferred[bytes] = Deferred()
    try:
        watch = await server.client(connection).watch(
            SERVICES,
            resource_version="1",
            timeout_seconds=60,
            on_data=first.callback,
            on_end=ended.append,
        )
        gone = requests[0].notifyFinish()
        assert await first == b"event"
        watch.stop()
        with pytest.raises(Exception, match="Connection"):
            await gone
        assert ended == []
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_a_connection_is_probed_while_it_is_silent(authority: Authority) -> None:
    """The kernel asks after 30 s whether the peer is still there, beneath TLS too."""
    server = Server(Site(Api(whoami)), tls_server(authority, "127.0.0.1"))
    url = f"https://127.0.0.1:{server.number}"
    try:
        await server.client(Connection(url, ca=authority.ca_file.read_bytes())).version()
        (client,) = [reader for reader in reactor.getReaders() if isinstance(reader, Client)]
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        if hasattr(socket, "TCP_KEEPIDLE"):
            options.append((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
        assert [client.socket.getsockopt(*option) for option in options] == [1, 30][: len(options)]
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_an_ipv6_host_is_reached() -> None:
    """A URL has it in brackets."""
    try:
        server = Server(Site(Api(lambda _: b"{}")), interface="::1")
    except CannotListenError:
        pytest.skip("no IPv6 on this machine")
    try:
        assert await server.client(Connection(f"http://[::1]:{server.number}")).version() == {}
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_nobody_listening_is_a_transport_error() -> None:
    """It names the server."""
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    number = port.getHost().port
    await port.stopListening()
    client = KubeClient(reactor, static(Connection(f"http://127.0.0.1:{number}")))
    with pytest.raises(TransportError, match=f"127.0.0.1:{number}.*refused"):
        await client.version()
    await client.close()


def test_a_cancelled_connection_is_a_cancellation() -> None:
    """Who stops asking has not failed, however far it has come."""
    error = ConnectingCancelledError(IPv4Address("TCP", "127.0.0.1", 1))
    wrapped = RequestGenerationFailed([Failure(error)])
    assert isinstance(transport_error("east", wrapped), CancelledError)


class Scripted(Protocol):
    """Answers the first bytes with its factory's script, and closes."""

    def dataReceived(self, _data: bytes) -> None:
        self.transport.write(self.factory.script)
        self.transport.loseConnection()


async def ended(script: bytes) -> Exception | None:
    """How a watch ends whose server sends these bytes and closes."""
    factory = Factory.forProtocol(Scripted)
    factory.script = script
    server = Server(factory)
    end: Deferred[Exception | None] = Deferred()
    try:
        await server.client(Connection(f"http://127.0.0.1:{server.number}")).watch(
            SERVICES,
            resource_version="1",
            timeout_seconds=60,
            on_data=lambda _: None,
            on_end=end.callback,
        )
        return await end
    finally:
        await server.close()


@pytest_twisted.ensureDeferred
async def test_an_answer_without_framing_ends_well_with_its_connection() -> None:
    """There is no other end that such a server could give."""
    assert await ended(b"HTTP/1.0 200 OK\r\n\r\nevent\n") is None


@pytest_twisted.ensureDeferred
async def test_an_answer_shorter_than_its_length_ends_badly() -> None:
    """Content-Length promised more."""
    script = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nevent\n"
    assert isinstance(await ended(script), TransportError)
