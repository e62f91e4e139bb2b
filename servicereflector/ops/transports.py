"""TCP connections that hand to the kernel at once what it takes at once.

Twisted's own wait for the reactor to tell that a socket takes bytes, which it nearly always does:
three system calls and a walk through the reactor where one call is enough.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.tcp import Server

#: Bytes that are sent at once, at most: what is longer may take the kernel a while.
PROMPT = 2**16


class PromptServer(Server):
    """The server's side of a connection."""

    _waits = False  # for the kernel to take what there is

    def write(self, data: bytes) -> None:
        if (
            0 < len(data) <= PROMPT
            and self.connected
            and not self._waits
            and not self.disconnecting
        ):
            try:
                sent = self.socket.send(data)
            except OSError:  # it takes nothing, or is gone: that is noticed where it waits
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def abortConnection(self) -> None:
        super().abortConnection()
        self._waits = True  # for nothing: it has ended

    def startWriting(self) -> None:
        self._waits = True
        super().startWriting()

    def stopWriting(self) -> None:
        self._waits = False
        super().stopWriting()
