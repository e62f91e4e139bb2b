"""How many watches and lists are served at a time, and how a body goes to a client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.iweb import IRequest
from twisted.web.server import Request
from zope.interface import implementer

from .clients import UNBOUND, Bound, Full, Places, client_of, too_many
from .refusals import Refusals

#: Seconds for which a client may take nothing of a body.
PATIENCE = 30.0

#: Bytes of a body that are given to a transport at a time. It takes another such piece before it
#: says stop, so twice that is what a client costs that does not read.
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """
    :ivar lists: that are in progress: one is until the client has taken its body.
    """

    watches: Bound = UNBOUND
    lists: Bound = UNBOUND


UNLIMITED = ReadLimits()


class Reads:
    """What is being read by whom.

    :ivar refusals: of this API, and of the sockets that it is served on.
    """

    def __init__(self, limits: ReadLimits, refusals: Refusals) -> None:
        self.refusals = refusals
        self.watches = Places("watches", limits.watches)
        self.lists = Places("lists", limits.lists)

    @contextmanager
    def place(self, places: Places, request: IRequest) -> Iterator[None]:
        """
        :raises ApiError: 429, where there is none.
        """
        client = _client_of(request)
        try:
            places.check(client)
        except Full as full:
            self.refusals.add(full.reason, client)
            raise too_many(full) from None
        with places.place(client):
            yield

    async def send(self, reactor: IReactorTime, request: Request, data: bytes) -> bytes:
        """Send a body; what is left to be written is the result. See :func:`send`."""

        def stalled() -> None:
            self.refusals.add("stalled", _client_of(request))

        return await send(reactor, request, data, stalled)


def _client_of(request: IRequest) -> str:
    return client_of(getattr(request.getClientAddress(), "host", ""))


@implementer(IPushProducer)
class _Sender:
    """Writes a body as fast as the transport takes it. The bytes are shared, but for a piece.

    :ivar done: fires when all was written, and the transport asks for more.
    """

    def __init__(
        self, reactor: IReactorTime, request: Request, data: bytes, stalled: Callable[[], None]
    ) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._reactor = reactor
        self._stalled = stalled
        self._timer: IDelayedCall | None = None
        self._request = request
        self._data = memoryview(data)
        self._paused = False

    def start(self) -> None:
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self._paused = True
        if self._timer is None:
            self._timer = self._reactor.callLater(PATIENCE, self._give_up)

    def resumeProducing(self) -> None:
        self._paused = False
        self._forget_timer()
        while self._data and not self._paused:
            piece, self._data = bytes(self._data[:PIECE]), self._data[PIECE:]
            self._request.write(piece)
        if not self._data and not self._paused and not self.done.called:
            self._request.unregisterProducer()
            self.done.callback(None)

    def stopProducing(self) -> None:
        """The client has gone."""
        self._paused = True
        self._data = memoryview(b"")
        self._forget_timer()

    def _give_up(self) -> None:
        self._timer = None
        self._stalled()
        transport: Any = self._request.transport
        transport.abortConnection()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def send(
    reactor: IReactorTime, request: Request, data: bytes, stalled: Callable[[], None]
) -> bytes:
    """Send the body; what is left to be written is the result.

    It comes to an end when the client has taken it, or is cancelled when the client has gone.

    :param stalled: called where the client takes nothing for too long, before it is hung up on.
    """
    if len(data) <= PIECE:
        return data
    sender = _Sender(reactor, request, data, stalled)
    sender.start()
    await sender.done
    return b""
