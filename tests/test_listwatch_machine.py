"""The list-watch machine: against a server that does anything, and each rule by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from servicereflector.kube.lists import ListPage
from servicereflector.kube.objects import Record
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.status import ApiError, expired_watch, version_too_large
from servicereflector.kube.watchevents import Bookmark, ErrorEvent, EventType, ObjectEvent
from servicereflector.listwatch.backoff import MAX_RETRY_AFTER
from servicereflector.listwatch.effects import (
    Abandon,
    Apply,
    Effect,
    EndlessList,
    Idle,
    List,
    Look,
    OlderList,
    Replace,
    Trouble,
    VeryShortWatch,
    Watch,
)
from servicereflector.listwatch.machine import MOST_PAGES, PAGE_LIMIT, ListWatch, State
from servicereflector.store.versioned import Store
from servicereflector.testing.strategies import keys, small_record

errors = st.sampled_from(
    [
        OSError("connection lost"),
        expired_watch(1, 2),
        version_too_large(9, 2),
        *(ApiError(code, "no") for code in (400, 401, 403, 404, 408, 429, 500, 503)),
        ApiError(429, "later", retry_after=45),
        ApiError(503, "later", retry_after=1),
    ]
)


@dataclass
class Server:
    """An API server's objects and its log."""

    version: int = 5
    floor: int = 5

    def __post_init__(self) -> None:
        self.objects: dict[str, Record] = {}
        self.log: list[ObjectEvent] = []
        self.past = [(self.version, dict(self.objects))]  # what replicas may still be at

    def happened(self, event: ObjectEvent) -> None:
        self.log.append(event)
        self.past.append((self.version, dict(self.objects)))

    def put(self, key: str) -> None:
        self.version += 1
        event_type = EventType.MODIFIED if key in self.objects else EventType.ADDED
        self.objects[key] = small_record(key, self.version, {})
        self.happened(ObjectEvent(event_type, self.objects[key]))

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.version += 1
            last = self.objects.pop(key).at_version(self.version)
            self.happened(ObjectEvent(EventType.DELETED, last))

    def next_after(self, version: int) -> ObjectEvent | None:
        return next((event for event in self.log if event.record.version > version), None)


class MachineAgainstServer(RuleBasedStateMachine):
    """A server that answers, fails, is silent, or answers a request that was given up long ago."""

    def __init__(self) -> None:
        super().__init__()
        self.draw = 0.5
        self.now = 100.0
        self.server = Server()
        self.store = Store(SERVICES)
        self.machine = ListWatch(lambda: self.draw)
        self.under_way: List | Look | Watch | None = None
        self.opened = False
        self.sent = 0  # the version up to which the stream has been told
        self.last_request = 0
        self.known = 0  # the only version to watch from
        self.pages: dict[str, tuple[list[Record], int]] = {}
        self.failures, self.failed_at = 0, -math.inf
        self.listed_at = -math.inf
        self.newest = 0  # version of an object that was seen
        self.older_since = math.inf

    @initialize(versions=st.booleans(), there=st.sets(keys, max_size=5))
    def begin(self, versions: bool, there: set[str]) -> None:
        self.versions = versions
        for key in there:
            self.server.put(key)
        self.carry_out(self.machine.start(self.now))

    def carry_out(self, effects: list[Effect], failed: Exception | None = None) -> None:
        waits = any(isinstance(effect, Trouble) for effect in effects)
        listed_at = self.listed_at
        for effect in effects:
            match effect:
                case List() | Look() | Watch():
                    assert self.under_way is None, "two requests at a time"
                    assert effect.request > self.last_request, "a number is used again"
                    self.last_request = effect.request
                    self.under_way, self.opened = effect, False
                    if isinstance(effect, Watch):
                        assert self.versions
                        assert effect.version == self.known > 0
                        assert 300 <= effect.timeout_seconds <= 600
                        self.sent = effect.version
                    elif isinstance(effect, List) and not effect.continue_token:
                        self.known = 0
                        self.listed_at = self.now
                case Replace(records, version, newest):
                    self.check_time(version, newest)
                    self.store.replace(records, version)
                    self.known = version
                    listed = min(version, max((r.version for r in records), default=0))
                    self.newest = listed if newest else max(self.newest, listed)
                case Apply(event):
                    if isinstance(event, Bookmark):
                        self.store.advance(event.version)
                        self.known = max(self.known, event.version)
                    else:
                        self.store.apply(event.type, event.record)
                        self.known = max(self.known, event.record.version)
                        self.newest = max(self.newest, event.record.version)
                case Abandon(request):
                    assert self.under_way is not None
                    assert self.under_way.request == request
                    self.finished()
                case Trouble(error, delay):
                    assert failed is None or error is failed
                    if isinstance(error, OlderList):
                        self.older_since = min(self.older_since, self.now)
                    self.check_delay(error, delay)
        if failed is not None:
            if isinstance(failed, ApiError) and failed.code == 410 and not waits:
                assert self.now >= listed_at + 10, "asked again at once after a failure"
            else:
                assert waits, "asked again at once after a failure"

    def check_time(self, version: int, newest: int) -> None:
        """The store goes back only where nothing newer was to be had for half a minute."""
        if newest:
            assert newest == self.newest > version
            assert self.now >= self.older_since + 30
        else:
            assert version >= self.newest or not version
        self.older_since = math.inf

    def check_delay(self, error: Exception, delay: float) -> None:
        if self.now - self.failed_at >= 120:
            self.failures = 0
        ceiling = min(30.0, 0.8 * 2**self.failures)
        least = min(getattr(error, "retry_after", None) or 0.0, MAX_RETRY_AFTER)
        assert least <= delay <= max(ceiling, least)
        assert self.machine.state is State.WAITING
        assert self.machine.deadline == self.now + delay
        self.failures += 1
        self.failed_at = self.now

    def finished(self) -> int:
        """The request under way has its answer, or its end."""
        assert self.under_way is not None
        self.opened = False
        request, self.under_way = self.under_way.request, None
        return request

    @rule(draw=st.floats(0, 1, exclude_max=True))
    def chance(self, draw: float) -> None:
        self.draw = draw

    @rule(key=keys)
    def put(self, key: str) -> None:
        self.server.put(key)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.server.delete(key)

    @rule()
    def compact(self) -> None:
        """The server forgets what happened."""
        self.server.floor = self.server.version
        self.pages.clear()

    @rule(seconds=st.sampled_from((0.0, 0.5, 1.0, 30.0, 89.0, 130.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.time_is_up()

    @rule()
    def the_deadline_comes(self) -> None:
        self.now = max(self.now, self.machine.deadline)
        self.time_is_up()

    def time_is_up(self) -> None:
        effects = self.machine.deadline_passed(self.now)
        if any(isinstance(effect, Abandon) for effect in effects):
            assert self.now >= 90
            assert self.opened or any(isinstance(effect, Trouble) for effect in effects)
        self.carry_out(effects)

    @precondition(lambda self: isinstance(self.under_way, List))
    @rule()
    def answer_the_list(self) -> None:
        """In pages of two, all of the same version."""
        asked = self.under_way
        assert isinstance(asked, List)
        request = self.finished()
        if asked.continue_token:
            if asked.continue_token not in self.pages:
                error = ApiError(410, "the token expired")
                self.carry_out(self.machine.failed(request, error, self.now), error)
                return
            rest, version = self.pages[asked.continue_token]
        else:
            rest, version = list(self.server.objects.values()), self.server.version
        size = 2 if asked.limit else len(rest)
        token = ""
        if rest[size:]:
            token = f"token-{request}"
            self.pages[token] = (rest[size:], version)
        page = ListPage(tuple(rest[:size]), version if self.versions else 0, token)
        self.carry_out(self.machine.page(request, page, self.now))

    @precondition(lambda self: isinstance(self.under_way, List))
    @rule(back=st.integers(0, 4))
    def answer_the_list_of_the_past(self, back: int) -> None:
        """As a replica does that lags, or an API server out of a backup."""
        request = self.finished()
        version, objects = self.server.past[-min(back + 1, len(self.server.past))]
        page = ListPage(tuple(objects.values()), version if self.versions else 0)
        self.carry_out(self.machine.page(request, page, self.now))

    @precondition(lambda self: isinstance(self.under_way, Look))
    @rule(back=st.integers(0, 2))
    def answer_the_look(self, back: int) -> None:
        version = self.server.version - back
        self.carry_out(self.machine.looked(self.finished(), version, self.now))
        assert isinstance(self.under_way, Watch if version >= self.known > 0 else List)

    @precondition(lambda self: isinstance(self.under_way, Watch) and not self.opened)
    @rule()
    def answer_the_watch(self) -> None:
        asked = self.under_way
        assert isinstance(asked, Watch)
        if asked.version < self.server.floor:
            error = expired_watch(asked.version, self.server.floor)
            self.carry_out(self.machine.failed(self.finished(), error, self.now), error)
            return
        self.opened = True
        self.carry_out(self.machine.opened(asked.request, self.now))

    @precondition(lambda self: self.opened and self.under_way is not None)
    @rule(repeat=st.booleans())
    def send_an_event(self, repeat: bool) -> None:
        """The next one, or one that was sent before."""
        assert self.under_way is not None
        event = self.server.next_after(self.sent)
        if repeat and self.server.log:
            event = next((e for e in self.server.log if e.record.version <= self.sent), event)
        if event is None:
            return
        self.sent = max(self.sent, event.record.version)
        request = self.under_way.request
        self.carry_out(self.machine.data(request, self.now))
        self.carry_out(self.machine.event(request, event, self.now))

    @precondition(lambda self: self.opened and self.under_way is not None)
    @rule()
    def send_a_bookmark(self) -> None:
        assert self.under_way is not None
        while self.server.next_after(self.sent) is not None:
            self.send_an_event(repeat=False)
        self.sent = self.server.version
        bookmark = Bookmark(self.sent)
        self.carry_out(self.machine.event(self.under_way.request, bookmark, self.now))

    @precondition(lambda self: self.opened and self.under_way is not None)
    @rule(error=errors.filter(lambda error: isinstance(error, ApiError)))
    def send_an_error(self, error: ApiError) -> None:
        assert self.under_way is not None
        request = self.under_way.request
        self.carry_out(self.machine.event(request, ErrorEvent(error), self.now), error)

    @precondition(lambda self: self.opened and self.under_way is not None)
    @rule()
    def end_the_stream(self) -> None:
        self.carry_out(self.machine.ended(self.finished(), self.now))

    @precondition(lambda self: self.under_way is not None)
    @rule(error=errors)
    def fail_the_request(self, error: Exception) -> None:
        self.carry_out(self.machine.failed(self.finished(), error, self.now), error)

    @rule(back=st.integers(0, 3))
    def answer_late(self, back: int) -> None:
        """To a request that is no longer under way: nothing comes of it, whatever it is."""
        old = self.last_request - back
        if self.under_way is not None and old == self.under_way.request:
            return
        machine, now = self.machine, self.now
        before = (machine.state, machine.deadline, machine.request)
        record = small_record("a/stale", 1 << 40, {})
        assert machine.page(old, ListPage((record,), 1 << 40), now) == []
        assert machine.looked(old, 1 << 40, now) == []
        assert machine.opened(old, now) == []
        assert machine.data(old, now) == []
        assert machine.event(old, ObjectEvent(EventType.ADDED, record), now) == []
        assert machine.event(old, ErrorEvent(expired_watch(1, 2)), now) == []
        assert machine.ended(old, now) == []
        assert machine.failed(old, expired_watch(1, 2), now) == []
        assert (machine.state, machine.deadline, machine.request) == before

    @invariant()
    def the_deadline_is_finite(self) -> None:
        assert math.isfinite(self.machine.deadline) or self.machine.state is State.IDLE

    @invariant()
    def a_request_is_under_way_unless_it_waits(self) -> None:
        if self.machine.state is State.IDLE:
            return
        assert (self.under_way is None) == (self.machine.state is State.WAITING)

    def teardown(self) -> None:
        """The faults are over: the store becomes what the server has, and the watch stays open."""
        if self.machine.state is State.IDLE:
            return
        for _ in range(60):
            if isinstance(self.under_way, List):
                self.answer_the_list()
            elif isinstance(self.under_way, Look):
                self.answer_the_look(0)
            elif self.under_way is None:
                if not self.versions and self.store_is_the_servers():
                    return
                self.the_deadline_comes()
            elif not self.opened:
                self.answer_the_watch()
            elif self.server.next_after(self.sent) is not None:
                self.send_an_event(repeat=False)
            else:
                break
        assert self.machine.state is State.STREAMING
        assert self.store_is_the_servers()

    def store_is_the_servers(self) -> bool:
        return {record.key: record for record in self.store} == self.server.objects


TestMachineAgainstServer = MachineAgainstServer.TestCase
TestMachineAgainstServer.settings = settings(max_examples=100, stateful_step_count=40)


NOW = 1000.0


def listed(machine: ListWatch, version: int = 7, now: float = NOW) -> list[Effect]:
    """What follows when the list under way is answered in one page."""
    return machine.page(machine.request, ListPage((), version), now)


def opened(random: float = 0.5) -> ListWatch:
    """A machine that has listed version 7 and whose watch is open."""
    machine = ListWatch(lambda: random)
    machine.start(NOW)
    listed(machine)
    machine.opened(machine.request, NOW)
    assert machine.state is State.STREAMING
    return machine


def event(version: int) -> ObjectEvent:
    return ObjectEvent(EventType.ADDED, small_record("a/x", version, {}))


def after_the_wait(machine: ListWatch) -> Effect:
    assert machine.state is State.WAITING
    return looked(machine, machine.deadline_passed(machine.deadline))


def looked(machine: ListWatch, effects: list[Effect], version: int = 1 << 40) -> Effect:
    """What follows the look, if it is what was wanted, at a server of this version."""
    effect = effects[-1]
    if not isinstance(effect, Look):
        return effect
    return machine.looked(effect.request, version, NOW)[-1]


def test_it_begins_with_a_list_in_pages() -> None:
    """From the start of the keys."""
    assert ListWatch(lambda: 0.5).start(NOW) == [List(1, "", PAGE_LIMIT)]


def test_the_store_is_replaced_by_the_last_page() -> None:
    """With the records of all of them, once, and watched from there."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    one, two = small_record("a/x", 1, {}), small_record("b/x", 2, {})
    assert machine.page(1, ListPage((one,), 7, "t"), NOW) == [List(2, "t", PAGE_LIMIT)]
    assert machine.page(2, ListPage((two,), 7), NOW) == [Replace((one, two), 7), Watch(3, 7, 450)]


def test_a_list_without_a_version_is_repeated_after_thirty_seconds() -> None:
    """It cannot be watched: the Go Emitter's is one."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    assert listed(machine, 0) == [Replace((), 0)]
    assert machine.deadline == NOW + 30
    assert isinstance(after_the_wait(machine), List)


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 300), (0.5, 450), (0.999999, 599)])
def test_watches_are_asked_for_between_five_and_ten_minutes(random: float, seconds: int) -> None:
    """At random, so that many do not end together."""
    machine = ListWatch(lambda: random)
    machine.start(NOW)
    assert listed(machine)[-1] == Watch(2, 7, seconds)


@pytest.mark.parametrize("last", [event(9), Bookmark(9)])
def test_a_watch_that_ends_is_followed_by_one_from_the_last_version(last: Any) -> None:
    """At once, be it an event's or a bookmark's."""
    machine = opened()
    assert machine.event(machine.request, last, NOW) == [Apply(last)]
    watch = looked(machine, machine.ended(machine.request, NOW + 1))
    assert isinstance(watch, Watch)
    assert watch.version == 9


def test_an_older_version_does_not_move_the_place_back() -> None:
    """An event may be repeated after a bookmark."""
    machine = opened()
    for seen in (Bookmark(9), event(8)):
        machine.event(machine.request, seen, NOW)
    watch = looked(machine, machine.ended(machine.request, NOW + 1))
    assert isinstance(watch, Watch)
    assert watch.version == 9


def test_a_stream_that_breaks_is_followed_by_a_wait_and_a_watch() -> None:
    """From the last version seen."""
    machine = opened()
    machine.event(machine.request, event(9), NOW)
    error = OSError("reset")
    assert machine.failed(machine.request, error, NOW) == [Trouble(error, 0.4)]
    watch = after_the_wait(machine)
    assert isinstance(watch, Watch)
    assert watch.version == 9


UNUSABLE = [ApiError(code, "no") for code in (400, 403, 404, 410, 422)]
PASSING = [ApiError(code, "no") for code in (401, 408, 429, 500, 503, 504)] + [
    version_too_large(9, 2, retry=False),
    OSError("lost"),
]


@pytest.mark.parametrize("error", UNUSABLE, ids=str)
def test_a_watch_whose_version_is_refused_leads_to_a_list(error: Exception) -> None:
    """After a wait."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    listed(machine)
    (trouble,) = machine.failed(machine.request, error, NOW)
    assert isinstance(trouble, Trouble)
    assert trouble.error is error
    assert isinstance(after_the_wait(machine), List)


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_a_watch_that_is_refused_for_now_leads_to_a_watch(error: Exception) -> None:
    """After a wait: the version is still good."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    listed(machine)
    assert machine.failed(machine.request, error, NOW) == [Trouble(error, 0.4)]
    assert isinstance(after_the_wait(machine), Watch)


@pytest.mark.parametrize("code", [0, 400, 401, 408, 410])
def test_an_error_event_leads_to_a_list(code: int) -> None:
    """After a wait, and the stream is given up."""
    machine, error = opened(), ApiError(code, "no")
    request = machine.request
    effects = machine.event(request, ErrorEvent(error), NOW)
    assert effects == [Abandon(request), Trouble(error, 0.4)]
    assert isinstance(after_the_wait(machine), List)


@pytest.mark.parametrize("code", [429, 500, 503, 504])
def test_an_error_event_of_an_overloaded_server_leads_to_a_watch(code: int) -> None:
    """After a wait: the version is still good."""
    machine = opened()
    machine.event(machine.request, ErrorEvent(ApiError(code, "no")), NOW)
    assert isinstance(after_the_wait(machine), Watch)


def test_a_410_leads_to_a_list_at_once() -> None:
    """It is no failure: the server has compacted, or is an Emitter that was restarted."""
    machine = opened()
    request = machine.request
    effects = machine.event(request, ErrorEvent(expired_watch(9, 20)), NOW + 10)
    assert effects == [Abandon(request), List(request + 1, "", PAGE_LIMIT)]


def test_a_410_to_the_watch_after_failures_leads_to_a_list_at_once() -> None:
    """The Emitter refused connections while it was restarted: the wait is over."""
    machine = opened()
    machine.failed(machine.request, OSError("reset"), NOW + 60)
    for _ in range(4):
        machine.failed(machine.request, OSError("refused"), machine.deadline)
    assert isinstance(after_the_wait(machine), Watch)
    (effect,) = machine.failed(machine.request, expired_watch(9, 20), NOW + 90)
    assert isinstance(effect, List)


def test_a_410_soon_after_a_list_leads_to_a_wait() -> None:
    """Else a server that compacts all the time would be asked without end."""
    machine = opened()
    error = expired_watch(20, 21)
    effects = machine.event(machine.request, ErrorEvent(error), NOW + 9)
    assert effects[-1] == Trouble(error, 0.4)
    assert isinstance(after_the_wait(machine), List)


def after_many_failures(first: float) -> ListWatch:
    """Its last watch has yet to be opened.

    :param first: when the first watch failed.
    """
    machine = opened()
    for _ in range(6):
        machine.failed(machine.request, OSError("refused"), NOW + first)
        assert isinstance(after_the_wait(machine), Watch)
    return machine


def test_a_410_after_many_failures_waits_no_longer_than_to_be_none() -> None:
    """The Emitter was restarted twice; the watch before had worked."""
    machine = after_many_failures(1)
    error = expired_watch(20, 21)
    assert machine.failed(machine.request, error, NOW + 7) == [Trouble(error, 3.0)]
    assert isinstance(after_the_wait(machine), List)


def test_a_410_where_no_watch_has_worked_waits_as_other_failures_do() -> None:
    """Else a server that says nothing else would be listed every few seconds."""
    machine = after_many_failures(0.9)
    error = expired_watch(20, 21)
    assert machine.failed(machine.request, error, NOW + 7) == [Trouble(error, 15.0)]


def test_too_large_for_the_third_time_leads_to_a_list() -> None:
    """Another replica might have answered the first two."""
    machine = opened()
    followed = []
    for _ in range(3):
        machine.failed(machine.request, version_too_large(9, 2), NOW)
        followed.append(type(after_the_wait(machine)))
        machine.opened(machine.request, NOW)
    assert followed == [Watch, Watch, List]


@pytest.mark.parametrize(("version", "then"), [(7, Watch), (8, Watch), (6, List), (0, List)])
def test_a_server_that_is_behind_is_listed(version: int, then: type[Effect]) -> None:
    """A watch from its future would say nothing of what happens until it gets there."""
    machine = opened()
    effect = looked(machine, machine.ended(machine.request, NOW + 1), version)
    assert isinstance(effect, then)


def older(machine: ListWatch, version: int, now: float, *there: Record) -> list[Effect]:
    return machine.page(machine.request, ListPage(there, version), now)


def listing_after(version: int) -> ListWatch:
    """A machine that lists, and that has seen an object of this version."""
    machine = opened()
    machine.event(machine.request, event(version), NOW)
    machine.event(machine.request, ErrorEvent(expired_watch(7, 8)), NOW + 10)
    assert machine.state is State.LISTING
    return machine


def test_an_older_list_is_not_taken_over() -> None:
    """It is asked for again; one as new as what was seen ends it."""
    machine = listing_after(20)
    (trouble,) = older(machine, 19, NOW)
    assert isinstance(trouble, Trouble)
    assert isinstance(trouble.error, OlderList)
    assert str(trouble.error) == "the list is older than what was seen: version 19 after 20"
    assert isinstance(after_the_wait(machine), List)
    assert older(machine, 20, NOW)[0] == Replace((), 20)


def test_an_older_list_is_believed_after_half_a_minute() -> None:
    """The server's data are out of a backup: from now on its versions count."""
    machine = listing_after(20)
    there = small_record("a/x", 12, {})
    older(machine, 19, NOW)
    machine.deadline_passed(machine.deadline)
    (trouble,) = older(machine, 19, NOW + 29.9)
    assert isinstance(trouble, Trouble)
    assert machine.deadline <= NOW + 30, "it is asked for again in time"
    machine.deadline_passed(NOW + 30)
    replaced, watch = older(machine, 15, NOW + 30, there)
    assert replaced == Replace((there,), 15, newest=20)
    assert watch == Watch(machine.request, 15, 450)
    assert machine.newest == 12


def test_the_half_minute_begins_anew_with_each_backup() -> None:
    """A list that was taken over ends it."""
    machine = listing_after(20)
    older(machine, 19, NOW)
    machine.deadline_passed(machine.deadline)
    older(machine, 20, NOW + 1)
    machine.failed(machine.request, expired_watch(20, 21), NOW + 60)
    (trouble,) = older(machine, 19, NOW + 60)
    assert isinstance(trouble, Trouble)


def test_a_bookmark_makes_no_list_an_older_one() -> None:
    """A replica that has had none yet holds the same objects."""
    machine = listing_after(20)
    older(machine, 20, NOW)
    machine.opened(machine.request, NOW)
    machine.event(machine.request, Bookmark(30), NOW)
    looked(machine, machine.ended(machine.request, NOW + 60), 25)
    assert older(machine, 25, NOW + 60)[0] == Replace((), 25)


def test_an_object_cannot_be_newer_than_its_list() -> None:
    """Else no list of a server that says so would ever be taken over."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    older(machine, 7, NOW, small_record("a/x", 1 << 60, {}))
    assert machine.newest == 7


def test_a_list_without_end_is_given_up() -> None:
    """And the next is asked for in one piece."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    for page in range(MOST_PAGES - 1):
        machine.page(machine.request, ListPage((), 7, f"t{page}"), NOW)
        assert machine.state is State.LISTING
    (trouble,) = machine.page(machine.request, ListPage((), 7, "t"), NOW)
    assert isinstance(trouble, Trouble)
    assert isinstance(trouble.error, EndlessList)
    assert after_the_wait(machine) == List(machine.request, "", 0)


@pytest.mark.parametrize("seconds", [0.0, 0.99])
@pytest.mark.parametrize("brought", [[], [event(9)], [Bookmark(9)]])
def test_a_very_short_watch_is_a_failure(brought: list[Any], seconds: float) -> None:
    """To watch again at once would spin, whatever it brought; to list would be worse."""
    machine = opened()
    for seen in brought:
        machine.event(machine.request, seen, NOW)
    (trouble,) = machine.ended(machine.request, NOW + seconds)
    assert isinstance(trouble, Trouble)
    assert isinstance(trouble.error, VeryShortWatch)
    assert isinstance(after_the_wait(machine), Watch)


def test_a_quiet_watch_that_lasted_a_second_is_none() -> None:
    """Nothing may have happened."""
    machine = opened()
    assert isinstance(looked(machine, machine.ended(2, NOW + 1)), Watch)


def test_an_expired_continue_token_leads_to_a_list_in_one_piece() -> None:
    """Else a large list would never come to its end; the list after that is in pages again."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    machine.page(1, ListPage((), 7, "t", ("none was of use",)), NOW)
    machine.failed(machine.request, ApiError(410, "expired"), NOW)
    whole = after_the_wait(machine)
    assert isinstance(whole, List)
    assert (whole.continue_token, whole.limit) == ("", 0)
    listed(machine)
    machine.failed(machine.request, ApiError(410, "expired"), NOW)
    again = after_the_wait(machine)
    assert isinstance(again, List)
    assert again.limit == PAGE_LIMIT


def test_a_list_that_fails_begins_anew() -> None:
    """With nothing of the pages that came before."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    machine.page(1, ListPage((small_record("a/x", 1, {}),), 7, "t"), NOW)
    machine.failed(machine.request, OSError("lost"), NOW)
    assert after_the_wait(machine) == List(machine.request, "", PAGE_LIMIT)
    assert listed(machine)[0] == Replace((), 7)


@pytest.mark.parametrize("state", [State.LISTING, State.OPENING])
def test_no_answer_for_ninety_seconds_is_a_failure(state: State) -> None:
    """Of a list and of a watch."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    if state is not State.LISTING:
        listed(machine)
    assert machine.deadline_passed(NOW + 89) == []
    request = machine.request
    abandon, trouble = machine.deadline_passed(NOW + 90)
    assert abandon == Abandon(request)
    assert isinstance(trouble, Trouble)
    assert isinstance(trouble.error, Idle)


def test_a_stream_that_is_silent_for_ninety_seconds_is_watched_anew() -> None:
    """At once: it may be dead, and as well nothing may have happened."""
    machine = opened()
    request = machine.request
    abandon, look = machine.deadline_passed(NOW + 90)
    assert abandon == Abandon(request)
    assert isinstance(looked(machine, [look]), Watch)


@pytest.mark.parametrize("state", [State.OPENING, State.STREAMING])
def test_who_knows_better_has_the_store_listed_anew(state: State) -> None:
    """In the place of the watch."""
    machine = opened()
    if state is State.OPENING:
        machine.ended(machine.request, NOW + 1)
    before = machine.request
    assert machine.relist(NOW + 1) == [Abandon(before), List(before + 1, "", PAGE_LIMIT)]
    assert machine.event(before, event(9), NOW + 1) == []


def test_a_wait_ends_with_the_list_that_was_asked_for_meanwhile() -> None:
    """And not before: a server that fails is not to be asked more often."""
    machine = opened()
    machine.failed(machine.request, OSError("reset"), NOW)
    deadline = machine.deadline
    assert machine.relist(NOW) == []
    assert machine.deadline == deadline
    assert isinstance(after_the_wait(machine), List)


def test_a_list_that_is_under_way_is_not_begun_anew() -> None:
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    assert machine.relist(NOW) == []
    assert machine.page(1, ListPage((), 7), NOW)[0] == Replace((), 7)


def test_any_byte_moves_the_deadline() -> None:
    """Even if it is no whole event."""
    machine = opened()
    machine.data(machine.request, NOW + 60)
    assert machine.deadline == NOW + 150


def test_delays_double_up_to_half_a_minute() -> None:
    """The jitter draws below the ceiling."""
    machine = ListWatch(lambda: 0.5)
    machine.start(NOW)
    delays = []
    for _ in range(8):
        (trouble,) = machine.failed(machine.request, OSError("no"), NOW)
        assert isinstance(trouble, Trouble)
        delays.append(trouble.delay * 2)
        machine.deadline_passed(machine.deadline)
    assert delays == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_delays_begin_anew_after_two_healthy_minutes() -> None:
    """And not a second sooner."""
    for healthy, delay in ((119.0, 0.8), (120.0, 0.4)):
        machine = opened()
        machine.failed(machine.request, OSError("no"), NOW)
        machine.deadline_passed(NOW + 1)
        (trouble,) = machine.failed(machine.request, OSError("no"), NOW + healthy)
        assert isinstance(trouble, Trouble)
        assert trouble.delay == delay


@pytest.mark.parametrize(("lasted", "delay"), [(9.0, 0.8), (10.0, 0.4)])
def test_a_stream_that_lasted_makes_the_next_failure_the_first(lasted: float, delay: float) -> None:
    """What failed before was overcome: the wait for it must not be added up."""
    machine = opened()
    machine.failed(machine.request, OSError("no"), NOW)
    watch = after_the_wait(machine)
    assert isinstance(watch, Watch)
    now = NOW + 5
    machine.opened(machine.request, now)
    (trouble,) = machine.failed(machine.request, OSError("no"), now + lasted)
    assert isinstance(trouble, Trouble)
    assert trouble.delay == delay


def test_retry_after_is_the_least_delay() -> None:
    """The jitter may wait longer, never shorter."""
    machine = opened(random=0.0)
    error = ApiError(429, "later", retry_after=7)
    assert machine.failed(machine.request, error, NOW) == [Trouble(error, 7)]
