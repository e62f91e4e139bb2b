"""HTTP connections that strangers open: how many, how long their requests may take to arrive, and
how large these may be.

Twisted's own channel bounds what a request holds in memory; here it is bounded in time, and its
body, too. A connection that has no request under way gives way to one that comes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from ..emitter.bounds import PATIENCE
from ..emitter.clients import UNBOUND, Bound, Full, Places, client_of
from ..emitter.refusals import Refusals

#: Bytes of a request's line and headers together, and of the longest line.
MAX_HEAD = 16 * 1024

#: Digits that a length may have: Python refuses to read thousands.
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """
    :ivar head_timeout: seconds from a request's first byte, or from the connection's beginning, a
        TLS handshake included, to the end of its headers; the same once more for its body. 0 for
        none.
    :ivar max_body: bytes of a request's body.
    """

    head_timeout: float = 10.0
    max_body: int = 16 * 1024
    connections: Bound = UNBOUND


class Connections:
    """The open connections of one or more ports."""

    def __init__(self, limits: ChannelLimits, refusals: Refusals) -> None:
        self.limits = limits
        self.refusals = refusals
        self._places = Places("connections", limits.connections)
        self._clients: dict[Channel, str] = {}
        self._idle: OrderedDict[Channel, None] = OrderedDict()
        self._idle_of: dict[str, OrderedDict[Channel, None]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def used(self) -> float | None:
        """Which part of the connections that there may be is open, None for any number."""
        return self._places.used

    def opened(self, channel: Channel, host: str) -> bool:
        """Whether there is room for it, made by the one that has been idle for longest if need be.

        :param host: the client's address.
        """
        client = client_of(host)
        try:
            self._places.check(client)
        except Full as full:
            of_client = full.reason.endswith("per_client")
            idle = self._idle_of.get(client) if of_client else self._idle
            self.refusals.add("evicted" if idle else full.reason, client)
            if not idle:
                return False
            longest = next(iter(idle))
            self.closed(longest)
            longest.abort()
        self._places.take(client)
        self._clients[channel] = client
        self.idle(channel)
        return True

    def idle(self, channel: Channel) -> None:
        """No request of it is under way."""
        client = self._clients.get(channel)
        if client is not None:
            self._idle[channel] = None
            self._idle_of.setdefault(client, OrderedDict())[channel] = None

    def busy(self, channel: Channel) -> None:
        client = self._clients.get(channel)
        if client is not None and channel in self._idle:
            del self._idle[channel]
            del self._idle_of[client][channel]
            if not self._idle_of[client]:
                del self._idle_of[client]

    def closed(self, channel: Channel) -> None:
        self.busy(channel)
        client = self._clients.pop(channel, None)
        if client is not None:
            self._places.leave(client)

    def refused(self, channel: Channel, reason: str) -> None:
        self.refusals.add(reason, self._clients.get(channel, "somebody"))


class BoundedRequest(Request):
    """Of a :class:`Channel`."""

    channel: Channel

    def gotLength(self, length: int | None) -> None:
        """Bodies are small, where they are bounded: no file is made for one, which a read-only file
        system would not have."""
        if self.channel.connections is None:
            super().gotLength(length)
        else:
            self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        if self.channel.takes(data):
            super().handleContentChunk(data)


class Channel(HTTPChannel):
    """
    :ivar connections: where it is counted; None for no limits at all.
    """

    totalHeadersSize = MAX_HEAD
    MAX_LENGTH = MAX_HEAD
    connections: Connections | None = None
    callLater: Callable[..., IDelayedCall]
    transport: Any
    write: Callable[[bytes], None]

    _answered: Request | None = None
    _deadline: IDelayedCall | None = None
    _received = 0
    _done_for = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.write = self.transport.write  # all that Twisted's own does is to call it
        if self.connections is None:
            return
        host = getattr(self.transport.getPeer(), "host", "")
        if not self.connections.opened(self, host):
            self.abort()
            return
        self._limit_time("header_timeout")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._no_limit()
        if self.connections is not None:
            self.connections.closed(self)
        super().connectionLost(reason)

    def abort(self) -> None:
        """End the connection now, whatever is still to be sent."""
        self._done_for = True
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._done_for:
            return
        if self._deadline is None and not self.requests:
            self._limit_time("header_timeout")
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if self._done_for:
            return
        if self._receivedHeaderSize + len(line) > MAX_HEAD:
            self._too_long()
            return
        super().lineReceived(line)

    def lineLengthExceeded(self, _line: bytes) -> None:
        self._too_long()

    def headerReceived(self, line: bytes) -> bool:
        name, _, value = (part.strip().lower() for part in line.partition(b":"))
        long = name == b"content-length" and len(value) > _MAX_DIGITS
        # RFC 9112, 7: there is no such coding any more. Others may take it for one.
        if long or (name == b"transfer-encoding" and value == b"identity"):
            self.refuse(b"400 Bad Request", "malformed")
            return False
        passed: bool = super().headerReceived(line)
        return passed

    def allHeadersReceived(self) -> None:
        if self._done_for:
            return
        request = self.requests[-1]
        hosts = request.requestHeaders.getRawHeaders(b"Host", ())
        if len(hosts) > 1 or (self._version == b"HTTP/1.1" and not hosts):
            # RFC 9112, 3.2: or the next one on the way reads another name than this.
            self.refuse(b"400 Bad Request", "malformed")
            return
        if self.connections is not None:
            if (self.length or 0) > self.connections.limits.max_body:
                self._too_large()
                return
            self._no_limit()
            self._limit_time("body_timeout")
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        if not self._done_for:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        if self._done_for:
            return
        self._no_limit()
        self._received = 0
        if self.connections is not None:
            self.connections.busy(self)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """The next request is looked at when the client has taken the answer to this one: who sends
        many in a row and reads nothing has one answer in memory, not all of them."""
        if self.connections is not None and self._waitingForTransport:
            self._answered = request
            self._limit_time("stalled", PATIENCE)
            return
        if self.connections is not None:
            self.connections.idle(self)
        super().requestDone(request)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._answered is not None and not self._waitingForTransport:
            request, self._answered = self._answered, None
            self._no_limit()
            self.requestDone(request)

    def refuse(self, status: bytes, reason: str) -> None:
        """Answer with nothing but a status, and hang up: what else comes is not read.

        :param reason: for counting.
        """
        if self._done_for:
            return
        self._done_for = True
        self._no_limit()
        if self.connections is not None:
            self.connections.refused(self, reason)
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(b"400 Bad Request", "malformed")

    def _too_long(self) -> None:
        if self.requests and hasattr(self, "_path"):
            self.refuse(b"431 Request Header Fields Too Large", "header_size")
        else:
            self.refuse(b"414 URI Too Long", "url_size")

    def takes(self, data: bytes) -> bool:
        """Whether a piece of a body is taken: not all tell their length before."""
        self._received += len(data)
        if self.connections is not None and self._received > self.connections.limits.max_body:
            self._too_large()
        return not self._done_for

    def _too_large(self) -> None:
        self.refuse(b"413 Request Entity Too Large", "body_size")

    def _limit_time(self, reason: str, seconds: float = 0.0) -> None:
        """
        :param seconds: 0 for the time of a head.
        """
        if self.connections is None:
            return
        seconds = seconds or self.connections.limits.head_timeout
        if seconds:
            self._deadline = self.callLater(seconds, self._out_of_time, reason)

    def _no_limit(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _out_of_time(self, reason: str) -> None:
        self._deadline = None
        if self.connections is not None:
            self.connections.refused(self, reason)
        self.abort()
