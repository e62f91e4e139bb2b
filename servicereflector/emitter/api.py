"""The Klein resource that answers get, list and watch over stores.

It is the whole of the Emitter, and the reading half of the embedded cluster. What is served, and
which objects of it, is handed in; where the stores get their objects from is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import random
from typing import Any
from urllib.parse import parse_qsl
from weakref import WeakValueDictionary

import orjson
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException

from ..kube.lists import encode_list
from ..kube.objects import Record, full_body, key_of
from ..kube.resources import Resource
from ..kube.status import (
    ApiError,
    method_not_allowed,
    not_found,
    not_ready,
    unknown_path,
    version_too_large,
)
from ..kube.watchevents import encode_error
from ..store.versioned import Predicate, Store
from ..store.views import Filter, View
from . import discovery
from .queries import Query, make_continue, parse_query
from .streams import Hub, Stream, StreamStats

Json = dict[str, Any]
Answer = bytes | Deferred[bytes]


@dataclass(frozen=True, slots=True)
class Served:
    """A resource that the API serves: the objects of ``store`` for which ``emitted`` holds."""

    store: Store
    emitted: Predicate

    @property
    def resource(self) -> Resource:
        return self.store.resource


class _Collection:
    """One served resource, its open streams, and the views that they share."""

    def __init__(self, reactor: IReactorTime, served: Served) -> None:
        self.store = served.store
        self.emitted = served.emitted
        self.hub = Hub(reactor, served.store)
        self._views: WeakValueDictionary[Filter, View] = WeakValueDictionary()

    def predicate(self, wanted: Filter) -> Predicate:
        emitted = self.emitted
        return lambda record: emitted(record) and wanted.matches(record)

    def view(self, wanted: Filter) -> View:
        """The view of this filter, the same one for all who have it open."""
        view = self._views.get(wanted)
        if view is None:
            view = self._views[wanted] = View(self.store, self.predicate(wanted))
        return view


def _respond(request: IRequest, code: int, document: Json | bytes) -> bytes:
    body = document if isinstance(document, bytes) else orjson.dumps(document) + b"\n"
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-cache, private")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def respond_error(request: IRequest, error: ApiError) -> bytes:
    """Answer with the error's Status body."""
    if error.retry_after is not None:
        request.setHeader(b"Retry-After", b"%d" % error.retry_after)
    return _respond(request, error.code, error.body())


def parameters_of(request: Request) -> dict[str, str]:
    """The query's first value of each parameter; what is no UTF-8 is replaced.

    ``?verbose`` is the same as ``?verbose=``. (``request.args`` lacks it.)
    """
    query = request.uri.partition(b"?")[2].decode("utf-8", "replace")
    return dict(reversed(parse_qsl(query, keep_blank_values=True, errors="replace")))


class ReadApi:
    """
    :param version: the document of ``/version``, or None as long as it is not known.
    :param verbs: what discovery tells that can be done.
    """

    app = Klein()
    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        served: Iterable[Served],
        *,
        version: Callable[[], Json | None],
        verbs: tuple[str, ...] = discovery.READING,
    ) -> None:
        self.stats = StreamStats()
        self._reactor = reactor
        self._version = version
        self._verbs = verbs
        self._collections = {
            (one.resource.group, one.resource.version, one.resource.plural): _Collection(
                reactor, one
            )
            for one in served
        }
        self._resources = [c.store.resource for c in self._collections.values()]

    @property
    def ready(self) -> bool:
        """Whether the first lists of all stores are in."""
        return all(c.store.synced for c in self._collections.values())

    def stop(self) -> None:
        """End all streams cleanly."""
        for collection in self._collections.values():
            collection.hub.stop()

    @app.handle_errors(ApiError)
    def refused(self, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, ApiError)
        return respond_error(request, error)

    @app.handle_errors(HTTPException)
    def not_routed(self, request: IRequest, failure: Failure) -> bytes:  # noqa: ARG002
        if request.path.startswith((b"/api/", b"/apis/")):
            return respond_error(request, unknown_path())
        request.setResponseCode(404)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"404 page not found\n"

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        self.log.failure("{path} failed", failure=failure, path=request.path)
        return respond_error(request, ApiError(500, "Internal error occurred"))

    @app.route("/healthz")
    @app.route("/livez")
    def alive(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"ok"

    @app.route("/readyz")
    def readiness(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        lines = []
        for collection in self._collections.values():
            mark = "+" if collection.store.synced else "-"
            state = "ok" if collection.store.synced else "failed: the first list is not in"
            lines.append(f"[{mark}]{collection.store.resource.plural} {state}\n")
        if self.ready and "verbose" not in parameters_of(request):
            return b"ok"
        request.setResponseCode(200 if self.ready else 503)
        lines.append(f"readyz check {'passed' if self.ready else 'failed'}\n")
        return "".join(lines).encode()

    @app.route("/version")
    def version(self, request: Request) -> bytes:
        self._only_get(request)
        version = self._version()
        if version is None:
            raise not_ready()
        return _respond(request, 200, version)

    @app.route("/api")
    def core_versions(self, request: Request) -> bytes:
        self._only_get(request)
        return _respond(request, 200, discovery.core_versions())

    @app.route("/apis")
    def groups(self, request: Request) -> bytes:
        self._only_get(request)
        return _respond(request, 200, discovery.groups(self._resources))

    @app.route("/apis/<group>")
    def group(self, request: Request, group: str) -> bytes:
        self._only_get(request)
        for resource in self._resources:
            if group == resource.group:
                document = discovery.group(group, resource.version)
                return _respond(request, 200, {"kind": "APIGroup", "apiVersion": "v1", **document})
        raise unknown_path()

    @app.route("/api/<version>")
    @app.route("/apis/<group>/<version>")
    def group_version(self, request: Request, version: str, group: str = "") -> bytes:
        self._only_get(request)
        group_version = f"{group}/{version}" if group else version
        if all(r.api_version != group_version for r in self._resources):
            raise unknown_path()
        return _respond(
            request, 200, discovery.resources_of(group_version, self._resources, self._verbs)
        )

    @app.route("/api/<version>/<plural>")
    @app.route("/api/<version>/namespaces/<namespace>/<plural>")
    @app.route("/apis/<group>/<version>/<plural>")
    @app.route("/apis/<group>/<version>/namespaces/<namespace>/<plural>")
    def collection(
        self, request: Request, version: str, plural: str, group: str = "", namespace: str = ""
    ) -> Answer:
        collection = self._find(group, version, plural)
        if namespace and not collection.store.resource.namespaced:
            raise unknown_path()
        self._only_get(request)
        query = parse_query(parameters_of(request), namespace)
        if not collection.store.synced:
            raise not_ready()
        return (
            self._watch(request, collection, query)
            if query.watch
            else self._list(request, collection, query)
        )

    @app.route("/api/<version>/<plural>/<name>")
    @app.route("/api/<version>/namespaces/<namespace>/<plural>/<name>")
    @app.route("/apis/<group>/<version>/namespaces/<namespace>/<plural>/<name>")
    def named(
        self,
        request: Request,
        version: str,
        plural: str,
        name: str,
        group: str = "",
        namespace: str = "",
    ) -> bytes:
        collection = self._find(group, version, plural)
        resource = collection.store.resource
        if resource.namespaced != bool(namespace):
            raise unknown_path()
        self._only_get(request)
        if not collection.store.synced:
            raise not_ready()
        record = collection.store.get(key_of(namespace, name))
        if record is None or not collection.emitted(record):
            raise not_found(resource, name)
        return _respond(request, 200, full_body(resource, record) + b"\n")

    def _find(self, group: str, version: str, plural: str) -> _Collection:
        collection = self._collections.get((group, version, plural))
        if collection is None:
            raise unknown_path()
        return collection

    @staticmethod
    def _only_get(request: Request) -> None:
        if request.method != b"GET":
            raise method_not_allowed()

    def _list(self, request: Request, collection: _Collection, query: Query) -> bytes:
        store = collection.store
        if query.version is not None and query.version > store.version:
            raise version_too_large(query.version, store.version)
        selection = store.select(
            collection.predicate(query.filter),
            at=query.version if query.match == "Exact" else None,
            after=query.after,
            limit=query.limit,
            namespace=query.filter.namespace,
        )
        token, remaining = "", None
        if selection.next_key:
            token = make_continue(selection.version, selection.next_key, query.filter.namespace)
            if not query.filter.labels.requirements and not query.filter.fields.terms:
                remaining = selection.remaining
        body = encode_list(store.resource, selection.records, selection.version, token, remaining)
        self.stats.bytes_sent += len(body)
        return _respond(request, 200, body)

    def _watch(self, request: Request, collection: _Collection, query: Query) -> Answer:
        view = collection.view(query.filter)
        initial: Iterator[bytes] = iter(())
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-cache, private")
        try:
            cursor = view.cursor(query.version or None)
        except ApiError as error:
            return encode_error(error)
        if not query.version:
            initial = view.initial()
        stream = Stream(
            self._reactor,
            request,
            view,
            cursor,
            self.stats,
            initial=initial,
            # kube-apiserver's own: between its --min-request-timeout and twice that.
            seconds=max(0, query.timeout) if query.timeout else 1800 + 1800 * random(),
            store=collection.store,
            bookmarks=query.bookmarks,
        )
        collection.hub.add(stream)
        return stream.done


def every(_record: Record) -> bool:
    """The predicate of an API that holds nothing back."""
    return True
