"""One served resource: its lists and single objects, its views and open streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import random
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from ..cooperation import Cooperation
from ..kube.objects import key_of
from ..kube.resources import Resource
from ..kube.server import ServerInfo
from ..kube.status import (
    ApiError,
    expired_continue,
    expired_watch,
    not_found,
    not_ready,
    version_too_large,
)
from ..kube.watchevents import encode_error
from ..store.scope import EVERYTHING, Scope
from ..store.versioned import Predicate, Store
from ..store.views import Filter, View
from .consumers import ANYBODY, Consumer, Readers
from .encoding import Encoder
from .negotiation import Form
from .pieces import compress
from .queries import Query
from .streams import Hub, Stream, StreamStats
from .tokens import ABSOLUTE, make_continue

#: kube-apiserver compresses what is larger (apiserver endpoints/handlers/responsewriters).
GZIP_FROM = 128 * 1024

#: Seconds for which a version of the future is waited for.
FUTURE = 3.0

#: Bytes of list bodies that are kept for those who ask in the same words.
BODIES_KEPT = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Served:
    """A resource that the API serves: the objects of ``store`` for which ``emitted`` holds."""

    store: Store
    emitted: Predicate

    @property
    def resource(self) -> Resource:
        return self.store.resource


@dataclass(slots=True)
class Body:
    """An encoded answer, and the same compressed once somebody wants it so."""

    plain: bytes
    gzipped: bytes = b""


class Collection:
    """
    :param now: the time in seconds since the epoch, for ages in Tables.
    :param server: the upstream as it is known, in whose words is answered.
    :param cooperation: does what is long.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        served: Served,
        stats: StreamStats,
        now: Callable[[], float],
        server: Callable[[], ServerInfo],
        cooperation: Cooperation,
    ) -> None:
        self._cooperation = cooperation
        self.store = served.store
        self._server = server
        self._reactor = reactor
        self._emitted = served.emitted
        self._stats = stats
        self._now = now
        self._hub = Hub(reactor, served.store)
        self._views: WeakValueDictionary[tuple[Filter, Form], View] = WeakValueDictionary()
        self._bodies: dict[tuple[object, ...], Body] = {}
        self._readers = Readers()

    def stop(self) -> None:
        """End all streams cleanly."""
        self._hub.stop()

    def get(self, namespace: str, name: str, form: Form, scope: Scope = EVERYTHING) -> bytes:
        """
        :param scope: what exists for who asks.
        :raises ApiError: 404, or 429 before the first list is in.
        """
        self._check_ready()
        record = self.store.get(key_of(namespace, name))
        if record is None or not self._emitted(record) or not scope.shows(record):
            raise not_found(self.store.resource, name)
        return self._encoder(form).of_object(record)

    async def reach(
        self,
        version: int | None,
        too_early: Callable[[int, int], ApiError] = version_too_large,
    ) -> None:
        """Wait until the store has come to a version.

        :param too_early: the error for the version asked for and the one that is there.
        :raises ApiError: that, if it does not come in time; 429 before the first list is in.
        """
        self._check_ready()
        if version is None or version <= self.store.version:
            return
        reached: Deferred[None] = Deferred()

        def changed(_keys: tuple[str, ...]) -> None:
            if self.store.version >= version and not reached.called:
                reached.callback(None)

        def too_late() -> None:
            reached.errback(too_early(version, self.store.version))

        timer = self._reactor.callLater(FUTURE, too_late)
        unsubscribe = self.store.subscribe(changed)
        try:
            await reached
        finally:
            unsubscribe()
            if timer.active():
                timer.cancel()

    async def list(self, query: Query, form: Form, consumer: Consumer = ANYBODY) -> Body:
        """The objects as they are now, however long it takes to encode them.

        :raises ApiError: 410, where the history does not reach back to the version.
        """
        store = self.store
        if not query.start:
            self._readers.listed(consumer, store.version)
        # A Table tells ages: it is right only now.
        reusable = form.transform != "Table"
        words = (store.epoch, store.version, query, form)
        known = self._bodies.get(words) if reusable else None
        if known is not None:
            return known
        namespace, minor = query.filter.namespace, self._server().minor
        try:
            selection = store.select(
                self._predicate(query.filter),
                at=query.version if query.match == "Exact" else None,
                start=query.start,
                limit=query.limit,
                namespace=namespace,
                exists=self._existing(query.filter.scope),
            )
        except ApiError:  # the history does not reach back so far
            if not query.start:
                raise
            fresh = make_continue(-1, query.start, namespace)
            raise expired_continue(fresh) from None
        token, remaining = "", None
        if selection.next_start:
            token = make_continue(
                selection.version, selection.next_start, namespace, absolute=minor >= ABSOLUTE
            )
            if not query.filter.labels.requirements and not query.filter.fields.terms:
                remaining = selection.remaining
        encoder = self._encoder(form)
        pieces = encoder.of_list(selection.records, selection.version, token, remaining)
        body = Body(b"".join(await self._cooperation.all_of(pieces)))
        if reusable and words[:2] == (store.epoch, store.version):
            self._keep(words, body)
        return body

    async def compressed(self, body: Body) -> bytes:
        if not body.gzipped:
            body.gzipped = b"".join(await self._cooperation.all_of(compress(body.plain)))
        return body.gzipped

    def _keep(self, words: tuple[object, ...], body: Body) -> None:
        """Keep the body until the store moves on, as far as there is room."""
        moment = words[:2]
        self._bodies = {w: b for w, b in self._bodies.items() if w[:2] == moment}
        held = sum(len(b.plain) for b in self._bodies.values())
        if held + len(body.plain) <= BODIES_KEPT:
            self._bodies[words] = body

    def watch(
        self, request: Request, query: Query, form: Form, consumer: Consumer = ANYBODY
    ) -> bytes | Deferred[bytes]:
        """
        :raises ApiError: 429 before the first list is in.
        """
        self._check_ready()
        view = self._view(query.filter, form)
        wants_state = query.initial_events
        if wants_state is None:
            wants_state = not query.version
        if query.timeout is not None and query.timeout < 0:
            return b""  # the time is up already
        if not self._may_go_on(consumer, query, wants_state):
            return encode_error(expired_watch(query.version or 0, self.store.version))
        try:
            cursor = view.cursor(None if wants_state else query.version or None)
        except ApiError as error:
            return encode_error(error)
        initial: Iterator[bytes] = view.initial() if wants_state else iter(())
        stream = Stream(
            self._reactor,
            request,
            view,
            cursor,
            self._stats,
            initial=initial,
            # kube-apiserver's own: between its --min-request-timeout and twice that.
            seconds=max(0, query.timeout) if query.timeout else 1800 + 1800 * random(),
            store=self.store,
            encoder=self._encoder(form),
            bookmarks=query.bookmarks,
            marks_end=bool(query.initial_events) and query.bookmarks,
            framed=self._hub.framed,
        )
        self._hub.add(stream)
        if consumer is not ANYBODY:
            consumer.when_revoked(stream.end)
        return stream.done

    def _may_go_on(self, consumer: Consumer, query: Query, wants_state: bool) -> bool:
        if wants_state:
            self._readers.listed(consumer, self.store.version)
            return True
        return self._readers.may_resume(consumer, query.version or 0, self.store.version)

    def _existing(self, scope: Scope) -> Predicate | None:
        if scope is EVERYTHING:
            return None
        return lambda record: self._emitted(record) and scope.shows(record)

    def _check_ready(self) -> None:
        if not self.store.synced:
            raise not_ready()

    def _predicate(self, wanted: Filter) -> Predicate:
        emitted = self._emitted
        return lambda record: emitted(record) and wanted.matches(record)

    def _view(self, wanted: Filter, form: Form) -> View:
        """The view of these words, the same one for all who have it open."""
        view = self._views.get((wanted, form))
        if view is None:
            view = View(self.store, self._predicate(wanted), self._encoder(form))
            self._views[wanted, form] = view
        return view

    def _encoder(self, form: Form) -> Encoder:
        return Encoder(self.store.resource, form, self._now, self._server())
