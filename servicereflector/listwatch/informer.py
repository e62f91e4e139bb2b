"""The Service that drives a list-watch machine: one resource of one API into one store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from ..cooperation import cooperation_of
from ..kube.lists import ListPage, decode_in_pieces, joined
from ..kube.objects import BadObject, Record, record_of
from ..kube.status import TOO_LARGE, ApiError
from ..kube.strangers import Reader, Rejected, checked_record, deleted_record
from ..kube.text import Confidential, shown
from ..kube.watchevents import (
    Bookmark,
    ErrorEvent,
    EventType,
    LineSplitter,
    ObjectEvent,
    decode_event,
)
from ..outages import ONLY_COUNTED, Outage, Ration
from ..reasons import Code, code_of
from ..store.versioned import Store
from ..telling import tell_failure, tell_recovery
from .api import Api, Stoppable
from .effects import (
    Abandon,
    Apply,
    Effect,
    EndlessList,
    List,
    Look,
    OlderList,
    Replace,
    Trouble,
    Watch,
)
from .limits import Limits
from .machine import PAGE_LIMIT, ListWatch, Timing
from .quota import Room
from .rejections import QUOTA, Rejections

#: So many warnings of unusable objects are given in a minute: a server could fill the logs.
MOST_WARNINGS = 10

#: Seconds after which a source that has had more than its quotas is listed, once there is room.
ROOM_WAIT = 60.0


@dataclass(slots=True)
class Stats:
    """What one Informer did; times are the reactor's seconds.

    :ivar restored: how often a list was believed that was older than what had been seen.
    :ivar trouble: why the last list or watch failed, ``""`` if it did not.
    :ivar code: the same in a word, where there is trouble.
    :ivar confidential: whether the operator alone should read that.
    :ivar listed: objects that have come so far of the last list.
    """

    lists: int = 0
    watches: int = 0
    events: int = 0
    bookmarks: int = 0
    bad_objects: int = 0
    troubles: int = 0
    restored: int = 0
    heard_at: float | None = None
    connected: bool = False
    trouble: str = ""
    code: Code = Code.UNREACHABLE
    confidential: bool = False
    listed: int = 0


class Informer(Service):
    """Keeps ``store`` equal to what ``api`` serves while it runs.

    :param source: the name that log lines give the API.
    :param random: a draw from [0, 1).
    :param outage: of the API, to which others may belong that ask it.
    :param room: of a source, whose objects are checked, and taken in as far as there is room.
    :param troubled: called with each failure, after which it goes on all the same unless stopped.
    :param heard: called when anything has arrived.
    :param recovered: called when a list or watch has succeeded after a failure.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        api: Api,
        store: Store,
        *,
        random: Callable[[], float],
        source: str,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timing: Timing | None = None,
        limits: Limits | None = None,
        room: Room | None = None,
        outage: Outage | None = None,
        troubled: Callable[[Exception], None] = lambda _error: None,
        heard: Callable[[], None] = lambda: None,
        recovered: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.source = source
        self.stats = Stats()
        self._reactor = reactor
        self._api = api
        self._scope = {
            "namespace": namespace,
            "label_selector": label_selector,
            "field_selector": field_selector,
        }
        self._random = random
        self._limits = limits or Limits()
        self._timing = timing or Timing(idle=self._limits.idle_timeout)
        self._tell_trouble = troubled
        self._tell_heard = heard
        self._tell_recovered = recovered
        self._read_object: Reader = record_of
        self._read_deleted: Reader = record_of
        self._room = room
        if room is not None:
            self._read_object = partial(checked_record, namespace=namespace)
            self._read_deleted = partial(deleted_record, namespace=namespace)
        self.rejections = Rejections()
        self._unsubscribe: Callable[[], None] | None = None
        self._relisting: IDelayedCall | None = None  # for what there may be room now
        self._machine = ListWatch(random, self._timing)
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None
        self._stream: Stoppable | None = None
        self._outage = outage or Outage()
        self._failing = False
        self._settling: IDelayedCall | None = None  # until a success is believed to last
        self._listed = 0  # bytes of the list under way
        self._warnings = Ration(MOST_WARNINGS)

    def startService(self) -> None:
        Service.startService(self)
        if self._room is not None:
            self._unsubscribe = self._room.subscribe(self._freed)
        self._machine = ListWatch(self._random, self._timing, self._machine.newest)
        self._carry_out(self._machine.start(self._reactor.seconds()))

    def stopService(self) -> None:
        Service.stopService(self)
        self._abandon()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for call in (self._timer, self._relisting, self._settling):
            if call is not None:
                call.cancel()
        self._timer = self._relisting = self._settling = None
        self._failing = False
        self._outage.recovered(self._reactor.seconds(), self.store.resource.plural)

    def relist(self) -> None:
        """List anew: the store does not hold what the API has."""
        if self.running:
            self._carry_out(self._machine.relist(self._reactor.seconds()))

    async def page(self, label_selector: str, continue_token: str) -> ListPage:
        """A page of what it follows, less what the labels leave out; the store is not touched."""
        ours = self._scope["label_selector"]
        both = f"{ours},{label_selector}" if ours else label_selector
        scope = {**self._scope, "label_selector": both}
        body = await self._api.list(
            self.store.resource, limit=PAGE_LIMIT, continue_token=continue_token, **scope
        )
        return await self._decoded(body)

    def _carry_out(self, effects: list[Effect], *admitted: Sequence[Record]) -> None:
        """
        :param admitted: what there is room for of a list that is to be taken over.
        """
        for effect in effects:
            match effect:
                case List() | Look() | Watch():
                    self._ask(effect)
                case Replace(records, version, newest):
                    if newest:
                        self._restored(version, newest)
                    (taken,) = admitted
                    self.store.replace(taken, version)
                    self._recovered(f"listed {len(records)} objects")
                case Apply(event):
                    if isinstance(event, Bookmark):
                        self.stats.bookmarks += 1
                        self.store.advance(event.version)
                    else:
                        self.stats.events += 1
                        self._apply(event)
                case Abandon():
                    self._abandon()
                case Trouble(error, delay):
                    self._troubled(error, delay)
        self._set_timer()

    def _admitted(self, records: tuple[Record, ...]) -> Sequence[Record]:
        """What there is room for, and in its last good version what the list has in a bad one."""
        if self._room is None:
            return records
        for record in records:
            self.rejections.healed(record.key)
        known = (self.store.get(key) for key in self.rejections.listed())
        last_good = [record for record in known if record is not None]
        taken, refused = self._room.replace(
            self.store.resource, self.store.get, (*last_good, *records)
        )
        for error in refused:
            self._bad(error, listed=True)
        self.rejections.end()
        return taken

    def _apply(self, event: ObjectEvent) -> None:
        record, room = event.record, self._room
        if room is not None and record.version > self.store.version:
            old = self.store.get(record.key)
            if event.type is not EventType.DELETED:
                try:
                    room.admit(self.store.resource, record, old, len(self.store))
                except Rejected as error:
                    self._bad(error)
                    return
            elif old is not None:
                room.leave(self.store.resource, old)
            self.rejections.healed(record.key)
        self.store.apply(event.type, record)

    def _freed(self) -> None:
        if self.rejections.wants_room and self._relisting is None:
            self._relisting = self._reactor.callLater(ROOM_WAIT, self._look_for_room)

    def _look_for_room(self) -> None:
        self._relisting = None
        if self.rejections.wants_room:
            self.relist()

    def _set_timer(self) -> None:
        """One timer, moved only when it would fire too late: the deadline moves with every byte."""
        deadline = self._machine.deadline
        if not self.running or deadline == float("inf"):
            return
        if self._timer is not None:
            if self._timer.getTime() <= deadline:
                return
            self._timer.cancel()
        delay = max(0.0, deadline - self._reactor.seconds())
        self._timer = self._reactor.callLater(delay, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._carry_out(self._machine.deadline_passed(self._reactor.seconds()))

    def _ask(self, effect: List | Look | Watch) -> None:
        self._abandon()
        match effect:
            case List():
                self.stats.lists += not effect.continue_token
                asking = Deferred.fromCoroutine(self._list(effect))
            case Look():
                asking = Deferred.fromCoroutine(self._look(effect))
            case Watch():
                self.stats.watches += 1
                asking = Deferred.fromCoroutine(self._watch(effect))
        if not asking.called:
            self._asking = asking
        asking.addErrback(self._failed, effect.request)

    async def _list(self, effect: List) -> None:
        most = self._limits.max_body
        self._listed *= bool(effect.continue_token)
        self.stats.listed *= bool(effect.continue_token)
        if not effect.continue_token:
            self.rejections.begin()
        body = await self._page(effect.limit, effect.continue_token)
        self._listed += len(body)
        if self._listed > most:
            raise EndlessList(f"the pages of the list are larger than {most} bytes")
        page = await self._decoded(body)
        self.stats.listed += len(page.records)
        for error in page.bad:
            self._bad(error, listed=True)
        effects = self._machine.page(effect.request, page, self._reactor.seconds())
        lists = (self._admitted(one.records) for one in effects if isinstance(one, Replace))
        # To admit 20,000 objects and to take them over fills a turn of the reactor each.
        admitted = await cooperation_of(self._reactor).all_of(lists)
        self._asking = None
        self._carry_out(effects, *admitted)

    async def _look(self, effect: Look) -> None:
        page = await self._decoded(await self._page(1))
        self._asking = None
        self._carry_out(self._machine.looked(effect.request, page.version, self._reactor.seconds()))

    async def _page(self, limit: int, continue_token: str = "") -> bytes:
        body = await self._api.list(
            self.store.resource, limit=limit, continue_token=continue_token, **self._scope
        )
        self._heard()
        return body

    async def _decoded(self, body: bytes) -> ListPage:
        # Neither a page nor pages that arrive together are read in one turn of the reactor.
        reading = decode_in_pieces(self.store.resource, body, self._read_object)
        return joined(await cooperation_of(self._reactor).all_of(reading))

    async def _watch(self, effect: Watch) -> None:
        splitter = LineSplitter(self._limits.max_line)

        def received(data: bytes) -> None:
            self._received(effect.request, splitter, data)

        def ended(error: Exception | None) -> None:
            self._ended(effect.request, error)

        stream = await self._api.watch(
            self.store.resource,
            resource_version=str(effect.version),
            timeout_seconds=effect.timeout_seconds,
            on_data=received,
            on_end=ended,
            **self._scope,
        )
        if effect.request != self._machine.request or not self.running:
            # The body came with the headers, and its end has led to the next request already.
            stream.stop()
            return
        self._asking = None
        self._stream = stream
        self._heard()
        self._carry_out(self._machine.opened(effect.request, self._reactor.seconds()))
        self._recovered("watching")

    def _received(self, request: int, splitter: LineSplitter, data: bytes) -> None:
        now = self._reactor.seconds()
        self._asking = None
        self._heard()
        self._machine.opened(request, now)
        self._machine.data(request, now)
        too_long = splitter.too_long
        for line in splitter.feed(data):
            try:
                event = decode_event(
                    self.store.resource, line, self._read_object, self._read_deleted
                )
            except BadObject as error:
                self._bad(error)
            else:
                if isinstance(event, ErrorEvent):
                    event = ErrorEvent(self._api.conceal(event.error))
                self._carry_out(self._machine.event(request, event, now))
        for _ in range(splitter.too_long - too_long):
            told = f"a line of the watch is longer than {self._limits.max_line} bytes"
            self._bad(Rejected("size", told))

    def _ended(self, request: int, error: Exception | None) -> None:
        self._stream = self._asking = None
        now = self._reactor.seconds()
        self._machine.opened(request, now)
        if error is None:
            self._carry_out(self._machine.ended(request, now))
        else:
            self._carry_out(self._machine.failed(request, error, now))

    def _failed(self, failure: Failure, request: int) -> None:
        error = failure.value
        # What is no Exception, GeneratorExit, is of a request that was forgotten with its network.
        if isinstance(error, CancelledError) or not isinstance(error, Exception):
            return
        if not self.running:  # a connection that was being made says that it was given up
            return
        self._asking = None
        self._carry_out(self._machine.failed(request, error, self._reactor.seconds()))

    def _abandon(self) -> None:
        asking, self._asking = self._asking, None
        stream, self._stream = self._stream, None
        if asking is not None:
            asking.cancel()
        if stream is not None:
            stream.stop()

    def _heard(self) -> None:
        self.stats.heard_at = self._reactor.seconds()
        self._tell_heard()

    def _bad(self, error: BadObject, *, listed: bool = False) -> None:
        why = shown(str(error))
        self.stats.bad_objects += 1
        if self._room is not None and not self._is_news(error, listed):
            return
        left = self._warnings.take(self._reactor.seconds())
        full = isinstance(error, Rejected) and error.reason == QUOTA
        self.log.emit(
            LogLevel.warn if left >= 0 else LogLevel.debug,
            "{source}: {resource}: skipped: {why}{more}",
            reason=Code.QUOTA_REACHED if full else Code.OBJECT_REJECTED,
            source=self.source,
            resource=self.store.resource.plural,
            why=why,
            more="" if left else ONLY_COUNTED,
        )

    def _is_news(self, error: BadObject, listed: bool) -> bool:
        """Each object is told of once, and once that there is no room for more."""
        if not isinstance(error, Rejected):
            error = Rejected("malformed", str(error))
        full = self.rejections.wants_room
        return self.rejections.note(error, listed=listed) and not (full and error.reason == QUOTA)

    def _restored(self, version: int, newest: int) -> None:
        self.stats.restored += 1
        self.log.warn(
            "{source}: {resource}: restored from a backup: version {version} after {newest}",
            reason=Code.RESTORED,
            source=self.source,
            resource=self.store.resource.plural,
            version=version,
            newest=newest,
        )

    def _recovered(self, what: str) -> None:
        self.stats.connected = True
        self.stats.trouble = ""
        self.log.debug(
            "{source}: {resource}: {what}",
            source=self.source,
            resource=self.store.resource.plural,
            what=what,
        )
        failing, self._failing = self._failing, False
        if failing:
            # One that fails again at once has not recovered, for people.
            healthy = self._timing.healthy
            self._outage.recovered(self._reactor.seconds(), self.store.resource.plural, healthy)
            self._settling = self._reactor.callLater(healthy, self._settled)
            self._tell_recovered()

    def _settled(self) -> None:
        self._settling = None
        tally = self._outage.recovered(self._reactor.seconds(), self.store.resource.plural)
        tell_recovery(self.log, tally, "{source}: answers again, {after}", source=self.source)

    def _troubled(self, error: Exception, delay: float) -> None:
        self.stats.troubles += 1
        self.stats.connected = False
        self.stats.trouble = shown(str(error)) or type(error).__name__
        self._failing = True
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        code, plural = code_of(error), self.store.resource.plural
        self.stats.code = code
        tell_failure(
            self.log,
            self._outage.failed(code, self._reactor.seconds(), plural),
            "{source}: {still}{resource}: {error}; again in {delay_seconds:.1f} s",
            reason=code,
            source=self.source,
            resource=plural,
            error=self.stats.trouble,
            delay_seconds=round(delay, 1),
        )
        self.stats.confidential = isinstance(error, Confidential)
        self._tell_trouble(error)
        if isinstance(error, OlderList) or (
            isinstance(error, ApiError) and TOO_LARGE in error.causes
        ):
            self._api.reconnect()  # another replica may be further on
