"""What an operator asks and tells the running program, over HTTP on a Unix socket of his own.

Not on the port of health and metrics, which the whole cluster reaches: some of it deletes mirrors.
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from klein import Klein
from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException

from ..emitter.answers import parameters_of
from ..reasons import Code
from .sockets import BindError, SiteService

if TYPE_CHECKING:
    from twisted.internet.posixbase import PosixReactorBase

#: Where a container has a directory for the socket.
_RUN = Path("/run/service-reflector")

#: Bytes of a path that the kernel takes (unix(7)), its NUL left out.
_LONGEST_PATH = 107


class Administered(Protocol):
    """What is to be asked and told; a ValueError is a refusal, in one line."""

    def status(self) -> dict[str, Any]: ...

    def explain(self, key: str) -> dict[str, Any]: ...

    def release(self, source: str) -> str: ...

    def forget(self, source: str) -> str: ...


class AdminApi:
    """``GET /status``, ``GET /explain/NAMESPACE/NAME``, ``POST /release`` and ``/forget``, both
    with ``?source=NAME``. Every answer is a JSON object; one that says no has an ``error``."""

    app = Klein()
    log = Logger()

    def __init__(self, administered: Administered) -> None:
        self._administered = administered

    @app.route("/status", methods=["GET"])
    def status(self, request: Request) -> bytes:
        return self._answer(request, self._administered.status)

    @app.route("/explain/<namespace>/<name>", methods=["GET"])
    def explain(self, request: Request, namespace: str, name: str) -> bytes:
        return self._answer(request, lambda: self._administered.explain(f"{namespace}/{name}"))

    @app.route("/release", methods=["POST"])
    def release(self, request: Request) -> bytes:
        return self._tell(request, self._administered.release)

    @app.route("/forget", methods=["POST"])
    def forget(self, request: Request) -> bytes:
        return self._tell(request, self._administered.forget)

    @app.handle_errors(HTTPException)
    def not_routed(self, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, HTTPException)
        return self._json(request, error.code or 500, {"error": f"{error.name}: no such question"})

    def _tell(self, request: Request, told: Callable[[str], str]) -> bytes:
        source = parameters_of(request).get("source", "")
        return self._answer(request, lambda: {"message": told(source)})

    def _answer(self, request: Request, ask: Callable[[], dict[str, Any]]) -> bytes:
        try:
            return self._json(request, 200, ask())
        except ValueError as error:
            return self._json(request, 400, {"error": str(error)})
        except Exception:
            text = "an operator's question could not be answered"
            self.log.failure(text, reason=Code.INTERNAL_ERROR)
            return self._json(request, 500, {"error": "internal error, see the log"})

    @staticmethod
    def _json(request: IRequest, code: int, document: dict[str, Any]) -> bytes:
        request.setResponseCode(code)
        request.setHeader(b"Content-Type", b"application/json")
        return orjson.dumps(document)


class _Port(unix.Port):
    """Takes its file away at the end, but not what has come in its place, or nothing at all."""

    _path = b""
    _file: tuple[int, int] | None = None

    def startListening(self) -> None:
        super().startListening()
        self._path = self.getHost().name
        self._file = _identity(self._path)

    def connectionLost(self, reason: Failure) -> None:
        if _identity(self._path) == self._file:
            super().connectionLost(reason)
        else:
            tcp.Port.connectionLost(self, reason)


class AdminService(SiteService):
    """Serves on a Unix socket that only this user may open, and takes it away at the end.

    :param path: as :func:`check_path` found it good.
    """

    log = Logger()

    def __init__(self, reactor: PosixReactorBase, path: Path, resource: IResource) -> None:
        super().__init__(reactor, resource)
        self._path = path

    def startService(self) -> None:
        try:
            super().startService()
        except (BindError, CannotListenError, OSError) as error:
            # Another process was faster. The program has more to do than to answer its operator.
            code = Code.ADMIN_SOCKET_UNAVAILABLE
            self.log.warn("no admin socket: {error}", reason=code, error=error)

    def _listen(self) -> IListeningPort:
        check_path(self._path)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)  # it is not for a moment another's
        try:
            port = _Port(os.fsencode(self._path), self._factory, mode=0o600, reactor=self._reactor)
            port.startListening()
            listening: IListeningPort = port
            return listening
        finally:
            os.umask(before)


def default_path(environ: Mapping[str, str]) -> Path:
    """Where the socket is unless a flag says otherwise."""
    if os.access(_RUN, os.W_OK):
        return _RUN / "admin.sock"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "service-reflector" / "admin.sock"
    try:
        temporary = tempfile.gettempdir()
    except OSError:  # all of them are read-only, as a container's may be
        temporary = "/tmp"
    return Path(temporary) / f"service-reflector-{os.getuid()}" / "admin.sock"


def check_path(path: Path) -> None:
    """Whether the socket can be there; its directory is made.

    :raises BindError: naming the path.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise BindError(f"{path} is longer than {_LONGEST_PATH} bytes")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In a directory for everyone another user may have been faster. Elsewhere a link is as good
        # as a directory: /var/run is one.
        shared = path.parent.parent.stat().st_mode & stat.S_IWOTH
        linked = shared and path.parent.is_symlink()
        if linked or path.parent.stat().st_uid not in (os.getuid(), 0):
            raise BindError(f"{path.parent} is another user's, or a symbolic link")
        if not os.access(path.parent, os.W_OK):
            raise BindError(f"{path.parent} cannot be written")
        if os.path.lexists(path):
            _check_dead(path)
    except OSError as error:
        raise BindError(f"cannot listen on {path}: {error.strerror}") from None


def _check_dead(path: Path) -> None:
    """Whether the file is the socket of a process that is no more."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise BindError(f"{path} is there, and no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(os.fspath(path))
        except ConnectionRefusedError:
            return
    raise BindError(f"{path} is in use by another process")


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
