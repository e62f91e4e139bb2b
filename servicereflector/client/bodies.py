"""What receives the body of an answer: collected up to a limit, streamed, or dropped.

``treq.collect`` can be neither cancelled nor bounded, and the transport that a body's protocol is
given has no ``abortConnection``. What it does have is ``stopProducing``, which closes the socket
beneath TLS without waiting for the peer's close-notify: a silent or hostile peer cannot keep the
connection open, and nothing of it comes back to the pool.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from .errors import BodyTooLarge, transport_error


class _Body(Protocol):
    def _close(self) -> None:
        # Absent where the body was complete before anybody asked for it.
        if self.transport is not None:
            self.transport.stopProducing()  # type: ignore[attr-defined]  # TransportProxyProducer


def _is_clean(reason: Failure) -> bool:
    """Whether a body ended where its server meant it to.

    PotentialDataLoss comes only from an answer with neither Content-Length nor chunks, whose end
    is the connection's (RFC 9112, section 6.3): no other end could be told from it.
    """
    return reason.check(ResponseDone, PotentialDataLoss) is not None


class _Collector(_Body):
    def __init__(self, server: str, limit: int, truncate: bool) -> None:
        self._server = server
        self._limit = limit
        self._truncate = truncate
        self._chunks: list[bytes] = []
        self._room = limit
        self.done: Deferred[bytes] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        self._chunks.append(data[: self._room])
        self._room -= len(data)
        if self._room >= 0:
            return
        self._close()
        if self._truncate:
            self.done.callback(b"".join(self._chunks))
        else:
            self._chunks.clear()
            self.done.errback(
                BodyTooLarge(f"{self._server}: the answer is larger than {self._limit} bytes")
            )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if _is_clean(reason):
            self.done.callback(b"".join(self._chunks))
        else:
            self.done.errback(transport_error(self._server, reason))


def collect(
    response: IResponse, server: str, limit: int, *, truncate: bool = False
) -> Deferred[bytes]:
    """The whole body; cancelling closes the connection.

    :param limit: in bytes, decompressed; one that says that it is larger is not read at all.
    :param truncate: of a larger body give its beginning, where the alternative is BodyTooLarge.
    """
    length = response.length
    if isinstance(length, int) and length > limit and not truncate:
        drop(response)
        return fail(BodyTooLarge(f"{server}: the answer has {length} bytes, more than {limit}"))
    collector = _Collector(server, limit, truncate)
    response.deliverBody(collector)
    return collector.done


class _Dropped(_Body):
    def connectionMade(self) -> None:
        self._close()


def drop(response: IResponse) -> None:
    """Close the connection of an answer whose body nobody wants.

    A response that is simply forgotten leaves its transport paused and open.
    """
    response.deliverBody(_Dropped())


class Watch(_Body):
    """A watch that is running: its bytes go to a callback as they arrive."""

    def __init__(
        self,
        server: str,
        on_data: Callable[[bytes], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self._server = server
        self._on_data = on_data
        self._on_end = on_end
        self._over = False

    def stop(self) -> None:
        """Close the connection. No callback comes after this; a second call does nothing."""
        if not self._over:
            self._over = True
            self._close()

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._on_data(data)
        except Exception as error:
            # Twisted would end the stream with it as well, but wait for the peer's goodbye.
            if not self._over:
                self.stop()
                self._on_end(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over:
            return
        self._over = True
        self._on_end(None if _is_clean(reason) else transport_error(self._server, reason))
