"""A TCP proxy on loopback whose fault can be switched while it runs.

Bytes pass through untouched, TLS or not: it knows nothing of what they mean.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from servicereflector.testing.processes import free_port

T = TypeVar("T")

_READ = 64 * 1024
_LINGER_0 = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nobody listens; open connections are reset."""


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Open connections are reset; new ones are accepted, and nothing comes out of them."""


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Open connections fall silent, for good and without a word; new ones work.

    :ivar forgotten: whether they are reset when the fault ends.
    """

    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """Connections are reset once so many more bytes have passed through them.

    :ivar after: 0 is at once.
    """

    after: int = 0


@dataclass(frozen=True, slots=True)
class Throttle:
    """Bytes pass at this rate.

    :ivar rate: a second, of each direction of each connection.
    """

    rate: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Open connections are reset; new ones are answered by somebody else.

    :ivar chunks: what is sent once something has come; the connection is closed after it.
    :ivar pause: seconds between two chunks.
    """

    chunks: Callable[[], Iterator[bytes]]
    pause: float = 0.0


Fault = Refuse | BlackHole | HalfOpen | Reset | Throttle | Answer


class Proxy:
    """Forwards to a port of loopback, in a thread of its own.

    :ivar port: where it listens, the same until it is closed.
    :ivar accepted: how many connections were made so far.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.accepted = 0
        self.target = target
        self.fault: Fault | None = None
        self._connections: set[_Connection] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._listen())

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def use(self, fault: Fault | None) -> None:
        """Have this fault from now on, or none; what the one before it did to connections that
        are still open ends with a reset of these."""
        self._run(self._use(fault))

    def close(self) -> None:
        """End all connections and the thread."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        listening.setblocking(False)
        self._accepting = self._loop.create_task(self._accept(listening))

    async def _accept(self, listening: socket.socket) -> None:
        with listening:
            while True:
                client, _ = await self._loop.sock_accept(listening)
                self.accepted += 1
                connection = _Connection(self, client)
                self._connections.add(connection)
                connection.task.add_done_callback(
                    lambda _task, done=connection: self._connections.discard(done)  # type: ignore[misc]
                )

    async def _refuse(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            with suppress(asyncio.CancelledError):
                await self._accepting
            self._accepting = None

    async def _use(self, fault: Fault | None) -> None:
        ended, self.fault = self.fault, fault
        if not isinstance(ended, HalfOpen) or ended.forgotten:
            await self._reset(spoiled=True)
        match fault:
            case Refuse():
                await self._refuse()
                await self._reset()
            case BlackHole() | Answer() | Reset(after=0):
                await self._reset()
            case HalfOpen():
                for connection in self._connections:
                    connection.silent = connection.spoiled = True
            case Reset(after=after):
                for connection in self._connections:
                    connection.left = after
        if self._accepting is None and not isinstance(fault, Refuse):
            await self._listen()

    async def _reset(self, *, spoiled: bool = False) -> None:
        ended = [c for c in self._connections if c.spoiled or not spoiled]
        for connection in ended:
            connection.task.cancel()
        await asyncio.gather(*(c.task for c in ended), return_exceptions=True)

    async def _stop(self) -> None:
        await self._refuse()
        await self._reset()


class _Connection:
    """
    :ivar silent: whether what arrives is swallowed.
    :ivar spoiled: whether it cannot be of use any more.
    :ivar left: how many bytes may pass before it is reset; None for any number.
    """

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.silent = self.spoiled = False
        self.left: int | None = None
        self._proxy = proxy
        self._client = client
        self._loop = asyncio.get_running_loop()
        self.task = self._loop.create_task(self._serve())

    async def _serve(self) -> None:
        """Ends in good form only where both sides have said goodbye."""
        client = self._client
        upstream = socket.socket()
        for one in (client, upstream):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._follow(upstream)
        except (OSError, asyncio.CancelledError):
            for one in (client, upstream):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        finally:
            client.close()
            upstream.close()

    async def _follow(self, upstream: socket.socket) -> None:
        match self._proxy.fault:
            case BlackHole():
                self.silent = self.spoiled = True
            case Answer() as answer:
                self.spoiled = True
                await self._answer(answer)
                return
            case Reset(after=0):
                raise ConnectionResetError
            case Reset(after=after):
                self.left = after
        await self._loop.sock_connect(upstream, ("127.0.0.1", self._proxy.target))
        pumps = [
            self._loop.create_task(self._pump(*ends))
            for ends in ((self._client, upstream), (upstream, self._client))
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, _READ):
            fault = self._proxy.fault
            if self.silent:
                continue
            if self.left is not None:
                data, self.left = data[: self.left], self.left - len(data)
            if isinstance(fault, Throttle):
                await self._trickle(data, sink)
            else:
                await self._loop.sock_sendall(sink, data)
            if self.left is not None and self.left <= 0:
                raise ConnectionResetError
        if self.silent:
            await asyncio.Event().wait()  # nobody hears of it
        sink.shutdown(socket.SHUT_WR)

    async def _trickle(self, data: bytes, sink: socket.socket) -> None:
        """A tenth of a second's worth at a time, as long as the fault lasts."""
        while data:
            fault = self._proxy.fault
            size = max(1, fault.rate // 10) if isinstance(fault, Throttle) else len(data)
            await self._loop.sock_sendall(sink, data[:size])
            data = data[size:]
            if data:
                await asyncio.sleep(0.1)

    async def _answer(self, answer: Answer) -> None:
        await self._loop.sock_recv(self._client, _READ)
        for chunk in answer.chunks():
            await self._loop.sock_sendall(self._client, chunk)
            await asyncio.sleep(answer.pause)
        self._client.shutdown(socket.SHUT_WR)
