"""The Klein resource that answers get, list and watch over stores.

It is the whole of the Emitter, and the reading half of the embedded cluster. What is served, and
which objects of it, is handed in; where the stores get their objects from is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, NotFound

from ..cooperation import cooperation_of
from ..kube.objects import Record
from ..kube.resources import ENDPOINTS, Resource
from ..kube.server import ServerInfo
from ..kube.status import ApiError, bad_request, method_not_allowed, not_ready, unknown_path
from ..reasons import Code
from ..store.scope import EVERYTHING
from . import discovery
from .answers import (
    header_of,
    parameters_of,
    respond,
    respond_error,
    respond_in_text,
    takes_gzip,
)
from .bounds import PIECE, UNLIMITED, ReadLimits, Reads
from .collection import GZIP_FROM, Collection, Served
from .consumers import consumer_of
from .negotiation import (
    Form,
    encode,
    negotiate,
    negotiate_discovery,
    route,
    route_to_resource,
)
from .queries import (
    asks_to_watch,
    check_path_segment,
    check_timeout,
    named_only,
    parse_get,
    parse_query,
)
from .refusals import Refusals
from .streams import StreamStats

Json = dict[str, Any]

#: The minor version from which the router does not trim a slash at a path's end (go-restful 3.11).
_KEEPS_SLASHES = 28

#: The minor version from which Endpoints are deprecated.
_ENDPOINTS_DEPRECATED = 33

ENDPOINTS_WARNING = (
    b'299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
)


class ReadApi:
    """
    :param server: what the upstream tells of itself, None as long as it is not known.
    :param verbs: what discovery tells that can be done.
    :param now: the time in seconds since the epoch.
    :ivar reads: what is being read, and what was refused.
    """

    app = Klein()
    app.url_map.strict_slashes = False  # a slash at the end: see _KEEPS_SLASHES
    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        served: Iterable[Served],
        *,
        server: Callable[[], ServerInfo | None],
        verbs: tuple[str, ...] = discovery.READING,
        now: Callable[[], float] = time.time,
        limits: ReadLimits = UNLIMITED,
    ) -> None:
        self.stats = StreamStats()
        self.reads = Reads(reactor, limits, Refusals(reactor.seconds))
        self._server = server
        self._verbs = verbs
        self._reactor = reactor
        self._cooperation = cooperation_of(reactor)
        self._now = now
        self._collections: dict[tuple[str, str, str], Collection] = {}
        for one in served:
            self.serve(one)
        self._needed = list(self._collections.values())

    def serve(self, served: Served) -> None:
        """Serve one more resource."""
        resource = served.resource
        self._collections[resource.group, resource.version, resource.plural] = Collection(
            self._reactor, served, self.stats, self._now, self._told, self._cooperation
        )

    @property
    def _resources(self) -> list[Resource]:
        return [collection.store.resource for collection in self._collections.values()]

    @property
    def _served(self) -> list[str]:
        return sorted(resource.plural for resource in self._resources)

    def _told(self) -> ServerInfo:
        """What the upstream has told; its minor version decides about words and rules."""
        return self._server() or ServerInfo({})

    @property
    def ready(self) -> bool:
        """Whether the first lists are in, of all that is served from the beginning."""
        return all(c.store.synced for c in self._needed)

    def stop(self) -> None:
        """End all streams cleanly."""
        for collection in self._collections.values():
            collection.stop()

    @app.handle_errors(ApiError)
    def refused(self, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, ApiError)
        return respond_error(request, error)

    @app.handle_errors(HTTPException)
    def not_routed(self, request: IRequest, failure: Failure) -> bytes:  # noqa: ARG002
        parts = request.path.split(b"/")
        groups = [resource.group.encode() for resource in self._resources]
        known_group = parts[1] == b"apis" and parts[2:3] and parts[2] in groups
        if parts[1] in (b"api", b"version") or known_group:
            return respond_error(request, unknown_path())
        respond_in_text(request, 404)
        return b"404 page not found\n"

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        self.log.failure(
            "{path} failed", failure=failure, reason=Code.INTERNAL_ERROR, path=request.path
        )
        return respond_error(request, ApiError(500, "Internal error occurred"))

    @app.route("/healthz", defaults={"check": "healthz"})
    @app.route("/livez", defaults={"check": "livez"})
    @app.route("/readyz", defaults={"check": "readyz"})
    def health(self, request: Request, check: str) -> bytes:
        synced = {}
        if check == "readyz":
            synced = {c.store.resource.plural: c.store.synced for c in self._collections.values()}
        well = self.ready or check != "readyz"
        respond_in_text(request, 200 if well else 500)
        if well and "verbose" not in parameters_of(request):
            return b"ok"
        lines = ["[+]ping ok"]
        for plural, listed in synced.items():
            lines.append(
                f"[+]{plural} ok" if listed else f"[-]{plural} failed: the first list is not in"
            )
        lines.append(f"{check} check {'passed' if well else 'failed'}\n")
        return "\n".join(lines).encode()

    @app.route("/version")
    def version(self, request: Request) -> bytes:
        self._only_get(request)
        server = self._server()
        if server is None:
            raise not_ready()
        route(header_of(request, b"Accept"), server.minor, ("application/json",))
        return respond(request, 200, server.version)

    @app.route("/api")
    def core_versions(self, request: Request) -> bytes:
        self._only_get(request)
        address = header_of(request, b"Host")
        return self._discover(request, discovery.core_versions(address), core=True)

    @app.route("/apis")
    def groups(self, request: Request) -> bytes:
        return self._discover(request, discovery.groups(self._resources), core=False)

    def _discover(self, request: Request, document: Json, *, core: bool | None = None) -> bytes:
        """Answer with a discovery document, or with everything below it at once.

        :param core: of ``/api`` and ``/apis``: whether the core group is meant.
        """
        minor = self._told().minor
        form = negotiate_discovery(
            header_of(request, b"Accept"),
            user_agent=header_of(request, b"User-Agent"),
            parameters=parameters_of(request),
            minor=minor,
            aggregated=core is not None,
            routed=core is not False,
        )
        if not form.transform or core is None:
            return respond(request, 200, encode(document, form), form.content_type)
        document = discovery.aggregated(self._resources, self._verbs, core=core)
        body = encode(document, form)
        request.setHeader(b"Vary", b"Accept")
        request.setHeader(b"Cache-Control", b"public")
        if request.setETag(discovery.etag(body).encode()):  # the client has it already: 304
            return b""
        return respond(request, 200, body, form.content_type, b"public")

    @app.route("/apis/<group>")
    def group(self, request: Request, group: str) -> bytes:
        self._only_get(request)
        for resource in self._resources:
            if group == resource.group:
                document = discovery.group(group, resource.version)
                return self._discover(request, {"kind": "APIGroup", "apiVersion": "v1", **document})
        raise NotFound

    @app.route("/api/<version>")
    @app.route("/apis/<group>/<version>")
    def group_version(self, request: Request, version: str, group: str = "") -> bytes:
        self._only_get(request)
        group_version = f"{group}/{version}" if group else version
        if all(r.api_version != group_version for r in self._resources):
            raise NotFound
        return self._discover(
            request,
            discovery.resources_of(group_version, self._resources, self._verbs, self._told()),
        )

    @app.route("/api/<version>/watch/<plural>", defaults={"watch": True})
    @app.route("/api/<version>/watch/namespaces/<namespace>/<plural>", defaults={"watch": True})
    @app.route(
        "/api/<version>/watch/namespaces/<namespace>/<plural>/<name>", defaults={"watch": True}
    )
    @app.route("/apis/<group>/<version>/watch/<plural>", defaults={"watch": True})
    @app.route(
        "/apis/<group>/<version>/watch/namespaces/<namespace>/<plural>", defaults={"watch": True}
    )
    @app.route(
        "/apis/<group>/<version>/watch/namespaces/<namespace>/<plural>/<name>",
        defaults={"watch": True},
    )
    @app.route("/api/<version>/<plural>")
    @app.route("/api/<version>/namespaces/<namespace>/<plural>")
    @app.route("/apis/<group>/<version>/<plural>")
    @app.route("/apis/<group>/<version>/namespaces/<namespace>/<plural>")
    async def collection(
        self,
        request: Request,
        version: str,
        plural: str,
        group: str = "",
        namespace: str = "",
        name: str = "",
        watch: bool = False,
    ) -> bytes:
        collection = self._find(group, version, plural)
        if request.path.endswith(b"/") and self._told().minor >= _KEEPS_SLASHES:
            self._warn(request, collection)
            raise bad_request("name must be provided")  # an object's path, with no name in it
        if namespace and not collection.store.resource.namespaced:
            raise unknown_path()
        self._only_get(request)
        parameters = parameters_of(request)
        minor = self._told().minor
        watches = watch or asks_to_watch(parameters)
        if not watches:
            check_timeout(parameters, minor)
        form = self._form(request, parameters, collection, watch=watches, listed=True)
        query = parse_query(
            parameters, collection.store.resource, namespace, minor=minor, legacy_watch=watch
        )
        if name:
            query = named_only(query, name)
        consumer = consumer_of(request)
        if consumer.scope is not None:
            query = replace(query, filter=replace(query.filter, scope=consumer.scope))
        too_early = partial(query.too_early, minor)
        if query.watch:
            with self.reads.watch(request):
                if query.initial_events:
                    await collection.reach(query.version, too_early)
                request.setHeader(b"Content-Type", b"application/json")
                request.setHeader(b"Cache-Control", b"no-cache, private")
                streamed = collection.watch(request, query, form, consumer)
                return streamed if isinstance(streamed, bytes) else await streamed
        with self.reads.list(request) as place:
            await collection.reach(query.version, too_early)
            body = await collection.list(query, form, consumer)
            data = body.plain
            if len(data) > GZIP_FROM and takes_gzip(request):
                data = await collection.compressed(body)
                request.setHeader(b"Content-Encoding", b"gzip")
                request.setHeader(b"Vary", b"Accept-Encoding")
            self.stats.bytes_sent += len(data)
            document = respond(request, 200, data, form.content_type)
            return await self.reads.send(request, document, place)

    @app.route("/api/<version>/<plural>/<name>")
    @app.route("/api/<version>/namespaces/<namespace>/<plural>/<name>")
    @app.route("/apis/<group>/<version>/namespaces/<namespace>/<plural>/<name>")
    async def named(
        self,
        request: Request,
        version: str,
        plural: str,
        name: str,
        group: str = "",
        namespace: str = "",
    ) -> bytes:
        if (version, plural) == ("v1", "namespaces") and "namespaces" not in self._served:
            # kubectl looks here after a 404, to tell whether the namespace is what is missing. At
            # another 404 it would not say which object was not found.
            raise ApiError(
                403,
                f'namespaces "{name}" is forbidden: only {", ".join(self._served)} are served',
                details={"name": name, "kind": "namespaces"},
            )
        collection = self._find(group, version, plural)
        resource = collection.store.resource
        if resource.namespaced != bool(namespace):
            raise unknown_path()
        self._only_get(request)
        parameters = parameters_of(request)
        check_timeout(parameters, self._told().minor)
        form = self._form(request, parameters, collection, watch=False, listed=False)
        check_path_segment(name)
        await collection.reach(parse_get(parameters, self._told().minor))
        data = collection.get(namespace, name, form, consumer_of(request).scope or EVERYTHING)
        if len(data) <= PIECE:
            return respond(request, 200, data, form.content_type)
        with self.reads.list(request) as place:  # it costs as much as one
            document = respond(request, 200, data, form.content_type)
            return await self.reads.send(request, document, place)

    def _form(
        self,
        request: Request,
        parameters: dict[str, str],
        collection: Collection,
        *,
        watch: bool,
        listed: bool,
    ) -> Form:
        accept, minor = header_of(request, b"Accept"), self._told().minor
        route_to_resource(accept, minor, collection=listed)
        self._warn(request, collection)
        return negotiate(
            accept,
            user_agent=header_of(request, b"User-Agent"),
            parameters=parameters,
            watch=watch,
            collection=listed,
            resource=collection.store.resource,
        )

    def _warn(self, request: Request, collection: Collection) -> None:
        deprecated = self._told().minor >= _ENDPOINTS_DEPRECATED
        if collection.store.resource is ENDPOINTS and deprecated:
            request.setHeader(b"Warning", ENDPOINTS_WARNING)

    def _find(self, group: str, version: str, plural: str) -> Collection:
        collection = self._collections.get((group, version, plural))
        if collection is None and self._server() is None:
            raise not_ready()  # the upstream may have more than is known of it yet
        if collection is None:
            raise NotFound
        return collection

    def _only_get(self, request: Request) -> None:
        if request.path.endswith(b"/") and self._told().minor >= _KEEPS_SLASHES:
            raise unknown_path()
        if request.method != b"GET":
            raise method_not_allowed()


def every(_record: Record) -> bool:
    """The predicate of an API that holds nothing back."""
    return True
