"""How many watches and lists are served at a time, and how a body goes to a client."""

from __future__ import annotations

from collections.abc import Iterator
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

#: The same where others want the place.
SOON = 1.0

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

    def __init__(self, reactor: IReactorTime, limits: ReadLimits, refusals: Refusals) -> None:
        self.refusals = refusals
        self.watches = Places("watches", limits.watches)
        self.lists = Places("lists", limits.lists)
        self._reactor = reactor
        self._stalled: dict[Sender, float] = {}

    @contextmanager
    def watch(self, request: IRequest) -> Iterator[None]:
        """
        :raises ApiError: 429, where there is no place for one more.
        """
        client = _client_of(request)
        self._take(self.watches, client)
        try:
            yield
        finally:
            self.watches.leave(client)

    @contextmanager
    def list(self, request: IRequest) -> Iterator[ListPlace]:
        """
        :raises ApiError: 429, where there is no place for one more.
        """
        place = ListPlace(self.lists, _client_of(request))
        self._make_room()
        self._take(self.lists, place.client)
        try:
            yield place
        finally:
            place.leave()

    async def send(self, request: Request, data: bytes, place: ListPlace) -> bytes:
        """Send a body; what is left to be written is the result.

        It comes to an end when the client has taken it, or is cancelled when the client has gone.
        """
        if len(data) <= PIECE:
            return data
        sender = Sender(self._reactor, request, data, place, self)
        sender.start()
        await sender.done
        return b""

    def pauses(self, sender: Sender) -> None:
        """Its client takes nothing, for now."""
        self._stalled.setdefault(sender, self._reactor.seconds())

    def goes_on(self, sender: Sender) -> None:
        self._stalled.pop(sender, None)

    def _take(self, places: Places, client: str) -> None:
        try:
            places.check(client)
        except Full as full:
            self.refusals.add(full.reason, client)
            raise too_many(full) from None
        places.take(client)

    def _make_room(self) -> None:
        """Who has taken nothing for longest goes before one that may."""
        if self.lists.full and self._stalled:
            sender, since = next(iter(self._stalled.items()))
            if self._reactor.seconds() >= since + SOON:
                sender.give_up()


class ListPlace:
    """One client's."""

    def __init__(self, places: Places, client: str) -> None:
        self.client = client
        self._places: Places | None = places

    def leave(self) -> None:
        """Once, however often it is called."""
        places, self._places = self._places, None
        if places is not None:
            places.leave(self.client)


@implementer(IPushProducer)
class Sender:
    """Writes a body as fast as the transport takes it, a piece in each turn of the reactor, which
    has others to look after. The bytes are shared, but for a piece.

    :ivar done: fires when all was written, and the transport asks for more.
    """

    def __init__(
        self, reactor: IReactorTime, request: Request, data: bytes, place: ListPlace, reads: Reads
    ) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._reactor = reactor
        self._request = request
        self._data = memoryview(data)
        self._place = place
        self._reads = reads
        self._paused = False
        self._timer: IDelayedCall | None = None
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self._paused = True
        self._reads.pauses(self)
        if self._timer is None:
            self._timer = self._reactor.callLater(PATIENCE, self.give_up)

    def resumeProducing(self) -> None:
        self._go_on()
        self._paused = False
        if self._next is None:
            self._write()

    def _write(self) -> None:
        self._next = None
        if self._data and not self._paused:
            piece, self._data = bytes(self._data[:PIECE]), self._data[PIECE:]
            self._request.write(piece)
        if self._paused:
            return
        if self._data:
            self._next = self._reactor.callLater(0, self._write)
        elif not self.done.called:
            self._request.unregisterProducer()
            self.done.callback(None)

    def stopProducing(self) -> None:
        """The client has gone."""
        self._go_on()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._paused = True
        self._data = memoryview(b"")

    def give_up(self) -> None:
        """The client takes nothing: hang up."""
        self.stopProducing()
        self._reads.refusals.add("stalled", self._place.client)
        self._place.leave()
        transport: Any = self._request.transport
        transport.abortConnection()

    def _go_on(self) -> None:
        self._reads.goes_on(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def _client_of(request: IRequest) -> str:
    return client_of(getattr(request.getClientAddress(), "host", ""))
