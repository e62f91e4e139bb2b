"""The proxy's faults are what their names say, and end when they are to end."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from e2e.clusters import eventually

from .proxy import Answer, BlackHole, Fault, HalfOpen, Proxy, Refuse, Reset, Throttle


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that are reset are what this is about."""


@pytest.fixture(scope="module")
def target() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(target: int) -> Iterator[Proxy]:
    proxy = Proxy(target)
    yield proxy
    proxy.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def says(client: socket.socket, said: bytes) -> bytes:
    """What comes back, as much as was said."""
    client.sendall(said)
    came = b""
    while len(came) < len(said) and (data := client.recv(65536)):
        came += data
    return came


def read_all(client: socket.socket) -> bytes:
    came = b""
    while data := client.recv(65536):
        came += data
    return came


def is_silent(client: socket.socket) -> bool:
    client.sendall(b"?")
    client.settimeout(0.1)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)
    return False


def test_bytes_pass_untouched_and_so_does_a_goodbye(proxy: Proxy) -> None:
    said = bytes(range(256)) * 4000
    with connect(proxy) as client:
        sending = threading.Thread(target=client.sendall, args=(said,))
        sending.start()
        came = b""
        while len(came) < len(said):
            came += client.recv(65536)
        sending.join()
        assert came == said
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    eventually("the connection is forgotten", lambda: proxy.open == 0)


@pytest.mark.parametrize("fault", [Refuse(), BlackHole(), Reset(), Answer(lambda: iter(()))])
def test_open_connections_are_reset(proxy: Proxy, fault: Fault) -> None:
    """A RST, which is no end that a stream could be taken for complete by."""
    with connect(proxy) as client:
        assert says(client, b"before") == b"before"
        proxy.use(fault)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_refuse_ends_with_the_same_port(proxy: Proxy) -> None:
    proxy.use(Refuse())
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.use(None)
    with connect(proxy) as client:
        assert says(client, b"after") == b"after"


def test_a_black_hole_accepts_and_swallows(proxy: Proxy) -> None:
    proxy.use(BlackHole())
    with connect(proxy) as client:
        assert is_silent(client)
        proxy.use(None)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_half_open_connections_stay_silent_and_new_ones_work(proxy: Proxy) -> None:
    with connect(proxy) as old:
        assert says(old, b"before") == b"before"
        proxy.use(HalfOpen())
        with connect(proxy) as new:
            assert says(new, b"new") == b"new"
        assert is_silent(old)
        proxy.use(None)
        assert is_silent(old)


def test_forgotten_half_open_connections_are_reset_in_the_end(proxy: Proxy) -> None:
    with connect(proxy) as old:
        assert says(old, b"before") == b"before"
        proxy.use(HalfOpen(forgotten=True))
        assert is_silent(old)
        proxy.use(None)
        with pytest.raises(ConnectionResetError):
            old.recv(1)


def test_reset_after_so_many_bytes_of_old_and_of_new_connections(proxy: Proxy) -> None:
    with connect(proxy) as old:
        assert says(old, b"before") == b"before"
        proxy.use(Reset(after=10))
        with connect(proxy) as new:
            for client in (old, new):
                assert says(client, b"1234") == b"1234"
                client.sendall(b"5678")
                with pytest.raises(ConnectionResetError):
                    read_all(client)


def test_throttle_passes_everything_at_its_rate_and_then_at_once(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert says(client, b"before") == b"before"
        proxy.use(Throttle(10_000))
        began = time.monotonic()
        assert says(client, b"x" * 4000) == b"x" * 4000
        assert time.monotonic() - began > 0.25
        client.sendall(b"x" * 60_000)
        proxy.use(None)
        began = time.monotonic()
        came = 0
        while came < 60_000:
            came += len(client.recv(65536))
        assert time.monotonic() - began < 2


def test_an_answer_comes_in_the_place_of_the_targets(proxy: Proxy) -> None:
    proxy.use(Answer(lambda: iter([b"not ", b"the target"])))
    with connect(proxy) as client:
        client.sendall(b"GET")
        assert read_all(client) == b"not the target"


def test_an_endless_answer_ends_with_the_fault(proxy: Proxy) -> None:
    proxy.use(Answer(lambda: itertools.repeat(b"on and "), pause=0.01))
    with connect(proxy) as client:
        client.sendall(b"GET")
        assert client.recv(1)
        proxy.use(None)
        with pytest.raises(ConnectionResetError):
            read_all(client)
    with connect(proxy) as client:
        assert says(client, b"after") == b"after"


def test_a_target_that_is_gone_resets(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        proxy.target = closed.getsockname()[1]
    with pytest.raises(ConnectionResetError), connect(proxy) as client:
        says(client, b"anybody?")
