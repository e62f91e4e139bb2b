"""What a connection may cost: how many there are, how long requests take, what these look like."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import Logger, formatEvent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from servicereflector.emitter.clients import Bound, client_of
from servicereflector.emitter.refusals import LOG_PERIOD, Refusals
from servicereflector.ops.channels import MAX_HEAD, Channel, ChannelLimits, Connections
from servicereflector.ops.sockets import QuietSite


class Answers(Resource):
    """Answers with the path, at once or when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Request] = []

    def render(self, request: Request) -> bytes | int:
        if request.path == b"/wait":
            self.waiting.append(request)
            return NOT_DONE_YET
        return request.path


class Transport(StringTransportWithDisconnection):
    """A client's end."""

    @property
    def codes(self) -> list[int]:
        """Of the answers so far."""
        return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d+)", self.value())]


class Port:
    """A server without sockets."""

    def __init__(self, limits: ChannelLimits) -> None:
        self.clock = Clock()
        self.refusals = Refusals(self.clock.seconds)
        self.connections = Connections(limits, self.refusals)
        self.resource = Answers()
        self.site = QuietSite(self.resource, self.connections, reactor=self.clock)

    def connect(self, host: str = "10.0.0.1") -> Transport:
        address = IPv4Address("TCP", host, 1)
        channel = self.site.buildProtocol(address)
        transport = Transport(peerAddress=address)
        transport.protocol = channel
        channel.makeConnection(transport)
        return transport

    @staticmethod
    def send(transport: Transport, data: bytes) -> None:
        if transport.connected:
            transport.protocol.dataReceived(data)

    @property
    def counts(self) -> dict[str, int]:
        return {reason: count for reason, count in self.refusals.counts.items() if count}


GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:0:0:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/a.sock", "/run/a.sock"),
    ],
)
def test_a_client_is_an_address_or_a_network_of_its_own(host: str, client: str) -> None:
    assert client_of(host) == client


def test_a_connection_that_is_idle_for_longest_makes_room() -> None:
    port = Port(ChannelLimits(connections=Bound(3, 2)))
    first, second, other = port.connect(), port.connect(), port.connect("10.0.0.2")
    port.send(first, GET)  # and is idle for less long than the second
    third = port.connect()  # a third of the client's
    assert [t.connected for t in (first, second, other, third)] == [True, False, True, True]
    fourth = port.connect("10.0.0.3")  # a fourth in all
    assert [t.connected for t in (first, other, third, fourth)] == [True, False, True, True]
    assert port.counts == {"evicted": 2}
    assert len(port.connections) == 3


def test_where_none_is_idle_nobody_comes() -> None:
    port = Port(ChannelLimits(connections=Bound(2, 1)))
    for host in ("10.0.0.1", "10.0.0.2"):
        port.send(port.connect(host), WAIT)
    assert not port.connect("10.0.0.1").connected
    assert not port.connect("10.0.0.3").connected
    assert port.counts == {"connections_per_client": 1, "connections": 1}
    port.resource.waiting[0].finish()
    assert port.connect("10.0.0.3").connected
    assert port.counts == {"connections_per_client": 1, "connections": 1, "evicted": 1}


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["open", "get", "wait", "finish", "close"]), st.integers(0, 5)),
        max_size=40,
    )
)
def test_there_are_never_more_than_there_may_be(moves: list[tuple[str, int]]) -> None:
    port = Port(ChannelLimits(head_timeout=0, connections=Bound(4, 2)))
    opened: list[tuple[str, Transport]] = []
    for move, number in moves:
        alive = [transport for _, transport in opened if transport.connected]
        one = alive[number % len(alive)] if alive else None
        if move == "open":
            host = f"10.0.0.{number % 3}"
            before = len(alive)
            transport = port.connect(host)
            opened.append((host, transport))
            if before == 0:
                assert transport.connected
        elif move == "finish":
            if port.resource.waiting:
                request = port.resource.waiting.pop(number % len(port.resource.waiting))
                if request.channel is not None and request.channel.transport.connected:
                    request.finish()
        elif one is not None and move == "close":
            one.loseConnection()
        elif one is not None:
            port.send(one, GET if move == "get" else WAIT)
        by_client = Counter(host for host, transport in opened if transport.connected)
        assert by_client.total() == len(port.connections) <= 4
        assert all(count <= 2 for count in by_client.values())
    port.clock.advance(1000)  # idle connections end
    for _, transport in opened:
        if transport.connected:
            transport.loseConnection()
    assert len(port.connections) == 0


def test_who_sends_a_byte_at_a_time_is_cut_off() -> None:
    port = Port(ChannelLimits(head_timeout=10))
    slow = port.connect()
    for byte in (b"%c" % b for b in GET[:-2]):
        port.send(slow, byte)
        port.clock.advance(1)
        if not slow.connected:
            break
    assert port.clock.seconds() == 10
    assert port.counts == {"header_timeout": 1}


def test_who_says_nothing_is_cut_off() -> None:
    """A TLS handshake that does not end is the same."""
    port = Port(ChannelLimits(head_timeout=10))
    silent = port.connect()
    port.clock.advance(9.9)
    assert silent.connected
    port.clock.advance(0.1)
    assert not silent.connected


def test_between_requests_there_is_more_time() -> None:
    port = Port(ChannelLimits(head_timeout=10))
    transport = port.connect()
    for _ in range(3):
        port.send(transport, GET)
        port.clock.advance(50)
    assert transport.codes == [200] * 3
    port.send(transport, b"G")
    port.clock.advance(10)
    assert not transport.connected
    assert port.counts == {"header_timeout": 1}


def test_an_answer_may_take_as_long_as_it_takes() -> None:
    port = Port(ChannelLimits(head_timeout=10))
    transport = port.connect()
    port.send(transport, WAIT)
    port.clock.advance(1000)
    port.resource.waiting[0].finish()
    assert transport.codes == [200]
    assert port.counts == {}


def test_a_body_has_its_time_too() -> None:
    port = Port(ChannelLimits(head_timeout=10))
    transport = port.connect()
    port.send(transport, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    for _ in range(3):
        port.clock.advance(4)
        port.send(transport, b"x")
    assert not transport.connected
    assert port.counts == {"body_timeout": 1}


@pytest.mark.parametrize("end", [True, False])
def test_a_large_body_is_refused_before_it_is_read(end: bool) -> None:
    port = Port(ChannelLimits(max_body=10))
    transport = port.connect()
    size = 11 if end else 10
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    port.send(transport, head + b"x" * (10 if not end else 0))
    assert transport.codes == [413 if end else 200]
    assert transport.connected is not end


def test_a_large_body_in_pieces_is_refused_when_it_is_too_large() -> None:
    port = Port(ChannelLimits(max_body=10))
    transport = port.connect()
    port.send(transport, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    port.send(transport, b"8\r\n12345678\r\n")
    assert transport.codes == []
    port.send(transport, b"3\r\n123\r\n0\r\n\r\n" + GET)
    assert transport.codes == [413]
    assert not transport.connected
    assert port.counts == {"body_size": 1}


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "url_size"),
        (b"GET /" + b"a" * MAX_HEAD * 3, 414, "url_size"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD + b"\r\n\r\n", 431, "header_size"),
        (b"GET / HTTP/1.1\r\n" + (b"A: " + b"a" * 200 + b"\r\n") * 90, 431, "header_size"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A:\r\n" * 600 + b"\r\n", 400, "malformed"),
    ],
)
def test_a_head_has_a_size(request_: bytes, code: int, reason: str) -> None:
    port = Port(ChannelLimits())
    transport = port.connect()
    port.send(transport, request_)
    assert transport.codes == [code]
    assert not transport.connected
    assert port.counts == {reason: 1}


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"0\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Content-Length: 0\r\nContent-Length: 44", id="two lengths"),
        pytest.param(b"Content-Length: 0, 44", id="two lengths in one"),
        pytest.param(b"Content-Length: +5", id="a sign"),
        pytest.param(b"Content-Length: 0x5", id="hexadecimal"),
        pytest.param(b"Content-Length: 5 5", id="a space within"),
        pytest.param(b"Content-Length:", id="no length"),
        pytest.param(b"Content-Length: -1", id="negative"),
        pytest.param(b"Content-Length: " + b"9" * 5000, id="more digits than Python reads"),
        pytest.param("Content-Length: \u0665".encode(), id="another script's digit"),
        pytest.param(b"Content-Length : 5", id="a space before the colon"),
        pytest.param(b"Content-Length: 5\r\n 0", id="a folded length"),
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", id="both"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5", id="both, turned round"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", id="twice"),
        pytest.param(b"Transfer-Encoding: chunked, chunked", id="twice in one"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", id="two codings"),
        pytest.param(b"Transfer-Encoding: xchunked", id="an unknown coding"),
        pytest.param(b"Transfer-Encoding: identity", id="a coding that is no more"),
        pytest.param(b"Transfer-Encoding: chunked;q=1", id="a parameter"),
        pytest.param(b"Transfer-Encoding: \x0bchunked", id="a vertical tab"),
        pytest.param(b"Transfer-Encoding : chunked", id="a space before the other colon"),
        pytest.param(b"Transfer\x00-Encoding: chunked", id="a NUL in a name"),
        pytest.param(b"X: a\x00b", id="a NUL in a value"),
        pytest.param(b"X: a\nContent-Length: 5", id="a bare line feed"),
        pytest.param(b"X: a\rContent-Length: 5", id="a bare carriage return"),
        pytest.param(b"X\nContent-Length: 5", id="a bare line feed in a name"),
        pytest.param(b"no colon", id="no colon"),
        pytest.param(b": no name", id="no name"),
        pytest.param(b"Host: other", id="two hosts"),
    ],
)
def test_what_others_may_read_otherwise_is_not_read_at_all(headers: bytes) -> None:
    """One answer, 400, and nothing that follows is taken for a request."""
    port = Port(ChannelLimits())
    transport = port.connect()
    head = b"GET /first HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n"
    port.send(transport, head + CHUNKED + SMUGGLED)
    port.send(transport, SMUGGLED)
    assert transport.codes == [400]
    assert b"smuggled" not in transport.value()
    assert not transport.connected


@pytest.mark.parametrize(
    "line",
    [
        b"GET /first",
        b"GET  /first HTTP/1.1",
        b"GET /first HTTP/0.9",
        b"GET /first HTTP/2.0",
        b"GET /first http/1.1",
        b"GET /fi\trst HTTP/1.1",
        b"GET /first HTTP/1.1 ",
        b" GET /first HTTP/1.1",
        b"G\x00T /first HTTP/1.1",
        b"GET /first HTTP/1.1\nHost: y",
        b"",
    ],
)
def test_a_bad_request_line_ends_the_connection(line: bytes) -> None:
    port = Port(ChannelLimits())
    transport = port.connect()
    if not line:
        line = b"\r\n"  # one empty line is taken, as after a POST; not two
    port.send(transport, line + b"\r\nHost: x\r\n\r\n" + SMUGGLED)
    assert transport.codes == [400]
    assert not transport.connected


def test_a_request_without_a_host_is_refused() -> None:
    port = Port(ChannelLimits())
    new, old = port.connect(), port.connect()
    port.send(new, b"GET / HTTP/1.1\r\n\r\n")
    assert new.codes == [400]
    port.send(old, b"GET / HTTP/1.0\r\n\r\n")
    assert old.codes == [200]


@pytest.mark.parametrize(
    "chunks",
    [
        b"-1\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b"1\na\n0\n\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"g\r\n",
        b"ffffffffffffffffffffff\r\na",
        b"1;" + b"a" * 70_000 + b"\r\na\r\n0\r\n\r\n",
    ],
)
def test_bad_chunks_end_the_connection(chunks: bytes) -> None:
    port = Port(ChannelLimits())
    transport = port.connect()
    head = b"POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    port.send(transport, head + chunks + SMUGGLED)
    port.clock.advance(10)  # some never end
    assert b"smuggled" not in transport.value()
    assert not transport.connected
    assert transport.codes in ([400], [413], [])


def test_requests_in_a_row_are_answered_in_order() -> None:
    port = Port(ChannelLimits())
    transport = port.connect()
    port.send(transport, b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" + GET + WAIT + SMUGGLED)
    assert transport.codes == [200, 200]
    port.resource.waiting[0].finish()
    assert transport.codes == [200] * 4
    assert transport.value().index(b"/1") < transport.value().index(b"/a")


def test_who_reads_no_answer_has_one_in_memory() -> None:
    """However many requests it sends in a row."""
    port = Port(ChannelLimits())
    transport = port.connect()
    channel = transport.protocol
    channel.pauseProducing()  # as a transport says whose client takes nothing
    port.send(transport, GET * 50)
    assert transport.codes == [200]
    channel.resumeProducing()
    assert transport.codes == [200] * 50
    channel.pauseProducing()
    port.send(transport, GET * 2)
    port.clock.advance(30)
    assert transport.codes == [200] * 51
    assert not transport.connected
    assert port.counts == {"stalled": 1}


def test_no_file_is_made_for_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's file system is read-only."""
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    port = Port(ChannelLimits())
    transport = port.connect()
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    port.send(transport, head + b"1\r\na\r\n0\r\n\r\n")
    assert transport.codes == [200]


def test_the_log_has_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    refusals = Refusals(clock.seconds)
    told: list[str] = []
    log = Logger(observer=lambda event: told.append(formatEvent(event)))
    monkeypatch.setattr(Refusals, "log", log)
    for _ in range(3):
        refusals.add("watches", "10.0.0.1")
    clock.advance(LOG_PERIOD)
    refusals.add("lists", "10.0.0.2")
    assert told == [
        "clients were refused: 1 watches; at last 10.0.0.1",
        "clients were refused: 1 lists, 2 watches; at last 10.0.0.2",
    ]


def test_a_channel_without_limits_is_twisteds() -> None:
    site = QuietSite(Answers(), reactor=Clock())
    channel = site.buildProtocol(IPv4Address("TCP", "10.0.0.1", 1))
    assert isinstance(channel, Channel)
    transport = Transport()
    transport.protocol = channel
    channel.makeConnection(transport)
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    channel.dataReceived(head + b"x" * 100_000)
    assert transport.codes == [200]
    transport.loseConnection()
