"""A Unix socket for one user: opened before anything is started, as those of TCP are."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReadDescriptor,
)
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from zope.interface import implementer

from .sockets import BindError, SocketService

if TYPE_CHECKING:
    from twisted.internet.posixbase import PosixReactorBase

#: Bytes of a path that the kernel takes (unix(7): 108 with the NUL).
LONGEST = 107

#: Seconds for which no connection is accepted when none could be, for want of descriptors.
PAUSE = 1.0


def claim(path: Path) -> socket.socket:
    """A listening Unix socket that only this user may connect to. One that a process left behind
    when it was killed is replaced.

    :raises BindError: naming the path.
    """
    if len(os.fsencode(path)) > LONGEST:
        raise BindError(f"cannot listen on {path}: it is longer than {LONGEST} bytes")
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket(socket.AF_UNIX))
        try:
            if _left_behind(path):
                path.unlink()
            listening.bind(os.fspath(path))
            # Nobody connects before it listens.
            path.chmod(0o600)
            listening.listen(64)
        except OSError as error:
            raise BindError(f"cannot listen on {path}: {error.strerror}") from None
        opened.pop_all()
    listening.setblocking(False)
    return listening


def _left_behind(path: Path) -> bool:
    """Whether there is a socket that nobody listens on.

    :raises BindError: somebody does, or it is no socket.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise BindError(f"cannot listen on {path}: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        number = probe.connect_ex(os.fspath(path))
    if number == errno.ECONNREFUSED:
        return True
    if number in (0, errno.EAGAIN):
        raise BindError(f"cannot listen on {path}: another process does")
    raise BindError(f"cannot listen on {path}: {os.strerror(number)}")


@implementer(IListeningPort, IReadDescriptor)
class _UnixPort:
    """Accepts connections. Twisted's own port, given a socket that is open, lets all users in."""

    def __init__(
        self, reactor: PosixReactorBase, listening: socket.socket, factory: IProtocolFactory
    ) -> None:
        self._reactor = reactor
        self._socket = listening
        self._factory = factory
        self._resuming: IDelayedCall | None = None

    def startListening(self) -> None:
        # A copy, because the reactor has to forget a descriptor before it is closed.
        self._socket = self._socket.dup()
        self._factory.doStart()
        self._reactor.addReader(self)

    def stopListening(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
        self._reactor.removeReader(self)
        self._factory.doStop()
        self._socket.close()

    def getHost(self) -> IAddress:
        address: IAddress = UNIXAddress(os.fsencode(self._socket.getsockname()))
        return address

    def fileno(self) -> int:
        return self._socket.fileno()

    def doRead(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            self._reactor.removeReader(self)
            self._resuming = self._reactor.callLater(PAUSE, self._resume)
            return
        with connection, suppress(OSError):
            self._reactor.adoptStreamConnection(
                connection.fileno(), connection.family, self._factory
            )

    def _resume(self) -> None:
        self._resuming = None
        self._reactor.addReader(self)

    def logPrefix(self) -> str:
        return "admin"

    def connectionLost(self, reason: Failure) -> None:
        pass


class UnixSocketService(SocketService):
    """Serves a resource on what :func:`claim` opened, and removes its file at the end."""

    def __init__(
        self, reactor: PosixReactorBase, listening: socket.socket, resource: IResource
    ) -> None:
        super().__init__(reactor, listening, resource)
        self.path = Path(listening.getsockname()).absolute()
        self._file = _identity(self.path)

    @property
    def address(self) -> IAddress:
        address: IAddress = UNIXAddress(os.fsencode(self.path))
        return address

    def startService(self) -> None:
        super().startService()

    def stopService(self) -> Deferred[None]:
        # Somebody may have removed it, and another process be there now.
        if self._file is not None and _identity(self.path) == self._file:
            with suppress(OSError):
                self.path.unlink()
        return super().stopService()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
