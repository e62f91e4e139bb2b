"""Watch streams: what a reader of a view is sent, and when it is sent away.

A stream holds a cursor and nothing else. It writes only while its transport takes bytes, so a
client that does not read costs its kernel buffers and one read's worth of ours; when it has been
silent for too long, or the history has moved past it, the stream ends and the client comes back
with the last version that it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.http import toChunk
from twisted.web.server import Request
from zope.interface import implementer

from ..store.versioned import Store
from ..store.views import Cursor, View
from .encoding import Encoder

#: Seconds between bookmarks, as kube-apiserver sends them.
BOOKMARK_PERIOD = 60.0

#: Seconds before the end of a stream at which another one comes.
BOOKMARK_LEAD = 2.0

#: Seconds for which a client may leave events unread.
PATIENCE = 30.0

#: Seconds of a reactor turn in which streams are woken. Those that come later have what has arrived
#: meanwhile in the same write.
SLICE = 0.004


@dataclass(slots=True)
class StreamStats:
    """What the streams of one API did."""

    watchers: int = 0
    bytes_sent: int = 0
    slow: int = 0


def chunk(data: bytes) -> bytes:
    """A chunk of an HTTP/1.1 body."""
    return b"".join(toChunk(data))


@implementer(IPushProducer)
class Stream:
    """One watch request.

    :ivar done: fires with None when the stream has ended, whoever ended it.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        request: Request,
        view: View,
        cursor: Cursor,
        stats: StreamStats,
        *,
        initial: Iterator[bytes],
        seconds: float,
        store: Store,
        encoder: Encoder,
        bookmarks: bool,
        marks_end: bool = False,
        framed: Callable[[bytes], bytes] = chunk,
    ) -> None:
        """
        :param initial: what comes before the changes.
        :param seconds: after which the stream ends.
        :param marks_end: whether a bookmark says where ``initial`` has ended.
        :param framed: as :func:`chunk`.
        """
        self.done: Deferred[bytes] = Deferred(lambda _: self._disconnected())
        self._reactor = reactor
        self._request = request
        self._view = view
        self._cursor = cursor
        self._stats = stats
        self._initial: Iterator[bytes] | None = initial
        self._store = store
        self._encoder = encoder
        self._marks_end = marks_end
        self._framed = framed
        self._chunked = False
        self._send: Callable[[bytes], None] = request.write
        self._first = True
        now = reactor.seconds()
        self._ends_at = now + seconds
        self._bookmark_at = float("inf")
        if bookmarks:
            # One comes shortly before the end: the client returns with its version.
            self._bookmark_at = now + min(BOOKMARK_PERIOD, max(0.0, seconds - BOOKMARK_LEAD))
        self._initial_version = self._told = store.version
        self._paused_at: float | None = None
        self._closed = False
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        self._stats.watchers += 1
        # Before the first write, or a large one would not be paused.
        self._request.registerProducer(self, True)
        self._request.write(b"")  # the headers: the client waits for them, events may be long off
        # Past the Request, which would frame the same events for each of many.
        self._chunked = bool(self._request.chunked)
        self._send = self._request.channel.write
        self._set_timer()
        self.wake()

    def wake(self) -> None:
        """Send what there is, as far as the transport takes it."""
        while not self._closed:
            if self._view.lost(self._cursor):
                self._stats.slow += self._paused_at is not None
                self.end()
                return
            if self._paused_at is not None:
                return
            data = self._next()
            if not data:
                return
            self._write(data)
            if self._initial is None and self._view.at_end(self._cursor):
                return

    def end(self) -> None:
        """End the stream as HTTP says a body ends: the client resumes where it was."""
        if self._close():
            self._request.unregisterProducer()
            self.done.callback(b"")

    def _next(self) -> bytes:
        if self._initial is not None:
            chunk = next(self._initial, None)
            if chunk is not None:
                return chunk
            self._initial = None
            if self._marks_end:
                # The view has not been read yet: this is where its cursor stands.
                return self._encoder.of_bookmark(self._initial_version, initial_events_end=True)
        return self._view.read(self._cursor)

    def _write(self, data: bytes) -> None:
        if self._first:
            self._first = False
            data = self._encoder.first(data)
        self._stats.bytes_sent += len(data)
        if self._chunked:
            self._send(self._framed(data))
        else:
            self._request.write(data)

    def _close(self) -> bool:
        if self._closed:
            return False
        self._closed = True
        self._stats.watchers -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return True

    def _disconnected(self) -> None:
        """Klein cancels ``done`` when the client has gone."""
        self._close()

    def _set_timer(self) -> None:
        due = min(self._ends_at, self._bookmark_at)
        if self._paused_at is not None:
            due = min(due, self._paused_at + PATIENCE)
        if self._timer is not None:
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(
            max(0.0, due - self._reactor.seconds()), self._time_passed
        )

    def _time_passed(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        if self._paused_at is not None and now >= self._paused_at + PATIENCE:
            self._stats.slow += 1
            self.end()
            return
        if now >= self._ends_at:
            self.end()
            return
        if now >= self._bookmark_at:
            left = self._ends_at - now
            self._bookmark_at = now + min(BOOKMARK_PERIOD, max(1.0, left - BOOKMARK_LEAD))
            self._bookmark()
        if not self._closed:
            self._set_timer()

    def _bookmark(self) -> None:
        """Tell up to where everything has been sent, if it has."""
        if self._paused_at is None and self._initial is None and not self._lagging():
            version = self._store.version
            # kube-apiserver sends none before its version has moved since the watch began.
            if version > self._told:
                self._write(self._encoder.of_bookmark(version))

    def _lagging(self) -> bool:
        self.wake()
        return self._closed or not self._view.at_end(self._cursor)

    # IPushProducer

    def pauseProducing(self) -> None:
        if self._paused_at is None and not self._closed:
            self._paused_at = self._reactor.seconds()
            self._set_timer()

    def resumeProducing(self) -> None:
        self._paused_at = None
        self.wake()

    def stopProducing(self) -> None:
        self._close()


class Hub:
    """The open streams over one store. Changes of one reactor turn are sent together."""

    def __init__(self, reactor: IReactorTime, store: Store) -> None:
        self._reactor = reactor
        self._streams: dict[Stream, None] = {}
        self._round: Iterator[Stream] = iter(())  # those that are still to be woken
        self._changed_since = False  # that it began
        self._flush_soon: IDelayedCall | None = None
        self._unsubscribe = store.subscribe(self._changed)
        self._chunk = b"", b""

    def add(self, stream: Stream) -> None:
        self._streams[stream] = None
        stream.done.addBoth(self._remove, stream)
        stream.start()

    def framed(self, data: bytes) -> bytes:
        """As :func:`chunk`, which it asks once for all the streams that are sent the same."""
        if self._chunk[0] is not data:
            self._chunk = data, chunk(data)
        return self._chunk[1]

    def stop(self) -> None:
        """End all streams."""
        self._unsubscribe()
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        for stream in tuple(self._streams):
            stream.end()

    def _remove(self, result: object, stream: Stream) -> object:
        self._streams.pop(stream, None)
        return result

    def _changed(self, _keys: tuple[str, ...]) -> None:
        self._changed_since = True
        self._flush_again()

    def _flush_again(self) -> None:
        if self._flush_soon is None and self._streams:
            self._flush_soon = self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        """Wake streams for a while. Each has its turn once before any has it again."""
        self._flush_soon = None
        now = self._reactor.seconds
        until = now() + SLICE
        while True:
            for stream in self._round:
                stream.wake()
                if now() >= until:
                    self._flush_again()
                    return
            if not self._changed_since:
                return
            self._changed_since = False
            self._round = iter(tuple(self._streams))
