"""The client of one Kubernetes API: requests with a deadline and a limit, and watches.

Knows resources and Status bodies, but not what is done with them; every answer that is not a
success is an :class:`ApiError`, every one that did not come a :class:`TransportError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import orjson
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from ..kube.resources import Resource
from ..kube.status import ApiError, from_response
from ..listwatch.limits import Limits
from .bodies import Watch, collect, drop
from .connection import ConfigError, Connection
from .credentials import Credentials
from .errors import BadAnswer, RequestTimedOut, TlsFailed
from .transport import AgentFactory, Transport

#: Of a Content-Type as much as is told: what follows may be anything.
_MEDIA_TYPE = re.compile(r"(?:text|application|image|multipart)/[a-z.+-]{1,40}(?=;|$)")

_MAX_ERROR_BODY = 64 * 1024

_T = TypeVar("_T")


class KubeClient:
    """One API, over a connection pool of its own."""

    def __init__(
        self,
        reactor: IReactorTime,
        credentials: Credentials,
        *,
        max_connections: int = 16,
        limits: Limits | None = None,
        agent_factory: AgentFactory | None = None,
    ) -> None:
        """
        :param max_connections: how many idle connections are kept.
        """
        self._reactor = reactor
        self._credentials = credentials
        self._limits = limits or Limits()
        self._readers = DeferredSemaphore(self._limits.max_reads)
        connect_timeout = self._limits.connect_timeout
        self._transport = Transport(reactor, max_connections, connect_timeout, agent_factory)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        """The body of a 2xx answer. Cancelling drops the connection.

        :param path: below the URL of the Connection, already quoted.
        :param timeout: seconds for everything, credentials and the wait in line included: what a
            slow server does to the others in line is no more than what it does to the first.
            None is the limits' own.
        :raises ApiError: any other answer; a 401 only after the credentials were loaded again.
        :raises TransportError: no usable answer; RequestTimedOut and BodyTooLarge among them.
        :raises ConfigError: there are no credentials.
        """

        async def exchange() -> bytes:
            response, connection = await self._answer(
                method, path, params, body, content_type, accept
            )
            return await collect(response, connection.server, self._limits.max_body)

        async def in_line() -> bytes:
            await self._readers.acquire()
            try:
                return await exchange()
            finally:
                self._readers.release()

        # How many writes are under way is up to who writes.
        work = in_line() if method == "GET" else exchange()
        return await self._before(timeout or self._limits.request_timeout, method, path, work)

    async def dated(self, path: str, *, timeout: float) -> tuple[bytes, float | None]:
        """The body of a GET, and the server's time in seconds since 1970: whole ones, and None
        where it tells none.

        :raises: as :meth:`request` does.
        """

        async def exchange() -> tuple[bytes, float | None]:
            response, connection = await self._answer("GET", path, (), None, "")
            body = await collect(response, connection.server, self._limits.max_body)
            return body, _time(_header(response, b"Date") or "")

        return await self._before(timeout, "GET", path, exchange())

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str,
        timeout_seconds: int,
        on_data: Callable[[bytes], None],
        on_end: Callable[[Exception | None], None],
    ) -> Watch:
        """Start a watch; its bytes go to ``on_data`` as they come, cut anywhere.

        Both callbacks may run before this returns, where the answer is there at once.

        :param timeout_seconds: after how long the server is to end the watch.
        :param on_end: called once, unless the watch is stopped: with None where the server ended
            the stream in good form, else with what broke it.
        :raises: as :meth:`request` does, for anything but a 200.
        """
        params = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(timeout_seconds)),
            *_given(labelSelector=label_selector, fieldSelector=field_selector),
        ]
        path = _path(resource, namespace)

        async def start() -> Watch:
            response, connection = await self._answer("GET", path, params, None, "")
            server = connection.server
            if response.code != 200:
                drop(response)
                raise BadAnswer(f"{server}: a watch was answered with {response.code}")
            content_type = _header(response, b"Content-Type") or ""
            if content_type and "json" not in content_type:
                drop(response)
                shown = _MEDIA_TYPE.match(content_type)
                told = repr(shown[0]) if shown else "no JSON"
                raise BadAnswer(f"{server}: a watch was answered with {told}")
            watch = Watch(server, on_data, on_end)
            response.deliverBody(watch)
            return watch

        return await self._before(self._limits.request_timeout, "GET", path, start())

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> bytes:
        """The body of a list, not parsed."""
        params = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
            resourceVersion=resource_version,
            **{"continue": continue_token},
        )
        path = _path(resource, namespace)
        timeout = self._limits.list_timeout
        return await self.request("GET", path, params=params, timeout=timeout)

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        return _object(await self.request("GET", _path(resource, namespace, name)))

    async def create(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Create in the namespace that the object's metadata names."""
        path = _path(resource, obj["metadata"].get("namespace", ""))
        return _object(await self.request("POST", path, body=orjson.dumps(obj)))

    async def update(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Replace; the object's own resourceVersion is the precondition."""
        metadata = obj["metadata"]
        path = _path(resource, metadata.get("namespace", ""), metadata["name"])
        return _object(await self.request("PUT", path, body=orjson.dumps(obj)))

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Delete what still has this uid and resourceVersion; a 409 says that it has not."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = dict(_given(uid=uid, resourceVersion=resource_version))
        if preconditions:
            options["preconditions"] = preconditions
        path = _path(resource, namespace, name)
        await self.request("DELETE", path, body=orjson.dumps(options))

    async def version(self) -> dict[str, Any]:
        return _object(await self.request("GET", "/version"))

    def conceal(self, error: ApiError) -> ApiError:
        """An error that came as a watch's event, without the token that the server was sent."""
        return self._credentials.conceal(error)

    def close(self) -> Deferred[None]:
        """Close the idle connections; what is under way is its caller's to cancel or stop."""
        return self._transport.close()

    def reconnect(self) -> None:
        """The next request goes over a new connection, perhaps to another replica."""
        self._transport.close()

    async def _before(
        self, seconds: float, method: str, path: str, work: Coroutine[Any, Any, _T]
    ) -> _T:
        def out_of_time(_: object, seconds: float) -> Failure:
            return Failure(RequestTimedOut(f"{method} {path}: no answer within {seconds:g} s"))

        return await Deferred.fromCoroutine(work).addTimeout(seconds, self._reactor, out_of_time)

    async def _answer(
        self,
        method: str,
        path: str,
        params: Sequence[tuple[str, str]],
        body: bytes | None,
        content_type: str,
        accept: str = "application/json",
    ) -> tuple[IResponse, Connection]:
        """A 2xx answer, its body still to be read, and where it came from."""
        target = f"{path}?{urlencode(params, quote_via=quote)}" if params else path
        connection = await self._credentials.current()
        asked = (method, target, body, content_type, accept)
        try:
            response = await self._transport.send(connection, *asked)
        except TlsFailed:
            # As a 401: the kubeconfig may name another authority or certificate by now.
            self._credentials.doubt()
            raise
        if response.code == 401:
            refused = self.conceal(await _error(response, connection.server))
            try:
                connection = await self._credentials.reload()
            except ConfigError:
                raise refused from None
            response = await self._transport.send(connection, *asked)
        if not 200 <= response.code < 300:
            raise self.conceal(await _error(response, connection.server))
        return response, connection


async def _error(response: IResponse, server: str) -> ApiError:
    body = await collect(response, server, _MAX_ERROR_BODY, truncate=True)
    if 300 <= response.code < 400:
        return ApiError(response.code, f"redirected to {_host(response)}, which is not followed")
    return from_response(response.code, body, _header(response, b"Retry-After"))


def _header(response: IResponse, name: bytes) -> str | None:
    values = response.headers.getRawHeaders(name)
    return values[0].decode("latin-1") if values else None


def _time(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _host(response: IResponse) -> str:
    """The host of a redirection: the rest of a Location may hold tokens."""
    try:
        return urlsplit(_header(response, b"Location") or "").hostname or "the same server"
    except ValueError:
        return "no URL"


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise BadAnswer("the server answered with something that is no JSON object")
    return parsed


def _given(**params: str) -> Sequence[tuple[str, str]]:
    return [(name, value) for name, value in params.items() if value]


def _path(resource: Resource, namespace: str, name: str = "") -> str:
    """The path, with names quoted: they may come from another cluster, which may be hostile."""
    if {namespace, name} & {".", ".."}:
        raise ValueError(f"no name of an object: {namespace!r}, {name!r}")
    return resource.path(quote(namespace, safe=""), quote(name, safe=""))
