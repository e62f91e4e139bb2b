"""The list-watch machine: what to ask next so that a store stays equal to an API.

Rules first. Everything that decides lives here; the Service that drives it only carries its
effects out and its inputs in.

- A *list* comes in pages and replaces the store when its last page is in; then a *watch* follows
  from the list's version. A list without a version cannot be watched: it is repeated.
- A watch that ends, cleanly or not, is followed by a watch from the last version seen.
- Only the server's word that the version is unusable leads to a list: 410, "too large", any other
  4xx but 401, 408 and 429, and any ERROR event that is no 429 or 5xx.
- A continue token that expired: the list begins again in one piece, or it might never end.
- Who finds that the store does not hold what the API has may ask for a list, too; a wait goes on.
- A failure is followed by a wait with backoff, and so is a watch that ended within a second,
  whatever it brought: a server could have us spin. The first 410 after a stream that lasted longer
  is no failure.
- A request that is not answered within ``idle`` seconds has failed. A stream that brings nothing
  for as long is watched anew, on another connection: it may be dead, or the server quiet, since
  kube-apiserver sends no bookmark where nothing has changed.

    state      page       opened     event/data  ended      failed     deadline
    LISTING    PAGE       -          -           -          WAITING    WAITING
    OPENING    -          STREAMING  -           -          WAITING*   WAITING
    STREAMING  -          -          STREAMING   OPENING*   WAITING*   OPENING
    WAITING    -          -          -           -          -          LISTING or OPENING

PAGE is LISTING while pages follow, else OPENING, or WAITING without a version. A star marks the
exceptions named above. Each request has a number; what belongs to an older one is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from ..kube.lists import ListPage
from ..kube.objects import Record
from ..kube.status import ApiError
from ..kube.watchevents import Bookmark, ErrorEvent, ObjectEvent, WatchEvent
from .backoff import Backoff


@dataclass(frozen=True, slots=True)
class List:
    """Ask for a page of the list; ``limit`` 0 asks for all of it."""

    request: int
    continue_token: str
    limit: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch from ``version``, for ``timeout_seconds`` at most."""

    request: int
    version: int
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Replace:
    """The store becomes this."""

    records: tuple[Record, ...] = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class Apply:
    """The store takes this event over."""

    event: ObjectEvent | Bookmark


@dataclass(frozen=True, slots=True)
class Abandon:
    """Drop the request under way."""

    request: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something failed; tell people. ``delay`` is the wait that follows, in seconds."""

    error: Exception
    delay: float


Effect = List | Watch | Replace | Apply | Abandon | Trouble


class State(Enum):
    IDLE = auto()
    LISTING = auto()
    OPENING = auto()
    STREAMING = auto()
    WAITING = auto()


class Idle(Exception):
    """No answer came for too long."""


class VeryShortWatch(Exception):
    """A watch ended at once: to watch again at once would spin."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    :ivar idle: how long a request may be without an answer, and a stream silent.
    :ivar relist: how often a source without versions is listed.
    :ivar shortest_watch: what ends sooner is a failure.
    :ivar watch: the bounds between which a watch's timeoutSeconds is drawn.
    """

    idle: float = 90.0
    relist: float = 30.0
    shortest_watch: float = 1.0
    watch: tuple[int, int] = (300, 600)


PAGE_LIMIT = 500


class ListWatch:
    """
    Give it inputs with the time, carry out the effects in order, and call :meth:`deadline_passed`
    at :attr:`deadline`, which every input may move.

    :ivar request: the number of the request under way.
    :param random: a draw from [0, 1).
    """

    def __init__(self, random: Callable[[], float], timing: Timing | None = None) -> None:
        self.state = State.IDLE
        self.deadline = float("inf")
        self._random = random
        self._timing = timing or Timing()
        self._backoff = Backoff(random)
        self.request = 0
        self._version = 0  # to watch from; 0 asks for a list
        self._limit = PAGE_LIMIT
        self._records: list[Record] = []
        self._continued = False  # whether the page asked for is not the first
        self._opened_at = 0.0
        self._healthy = False  # whether a stream lasted since the last 410

    def start(self, now: float) -> list[Effect]:
        return self._list(now)

    def page(self, request: int, page: ListPage, now: float) -> list[Effect]:
        if request != self.request or self.state is not State.LISTING:
            return []
        self._records += page.records
        if page.continue_token:
            return [self._ask_page(page.continue_token, now)]
        records, self._records = tuple(self._records), []
        self._version = page.version
        self._limit = PAGE_LIMIT
        replaced: list[Effect] = [Replace(records, page.version)]
        if not page.version:
            self._wait(now + self._timing.relist)
            return replaced
        return replaced + self._watch(now)

    def opened(self, request: int, now: float) -> list[Effect]:
        """The server accepted the watch."""
        if request == self.request and self.state is State.OPENING:
            self.state = State.STREAMING
            self._opened_at = now
            self.deadline = now + self._timing.idle
        return []

    def data(self, request: int, now: float) -> list[Effect]:
        """Bytes arrived, whatever they are."""
        if request == self.request and self.state is State.STREAMING:
            self.deadline = now + self._timing.idle
        return []

    def event(self, request: int, event: WatchEvent, now: float) -> list[Effect]:
        if request != self.request or self.state is not State.STREAMING:
            return []
        if isinstance(event, ErrorEvent):
            if event.error.code != 429 and event.error.code < 500:
                self._version = 0
            return [Abandon(request), *self._failed(event.error, now)]
        version = event.version if isinstance(event, Bookmark) else event.record.version
        self._version = max(self._version, version)
        return [Apply(event)]

    def ended(self, request: int, now: float) -> list[Effect]:
        """The stream ended as HTTP says it should."""
        if request != self.request or self.state is not State.STREAMING:
            return []
        self._note_health(now)
        if not self._healthy:
            return self._failed(VeryShortWatch("the watch ended at once"), now)
        return self._watch(now)

    def failed(self, request: int, error: Exception, now: float) -> list[Effect]:
        """The request failed, or its stream broke."""
        if request != self.request or self.state in (State.WAITING, State.IDLE):
            return []
        return self._failed(error, now)

    def deadline_passed(self, now: float) -> list[Effect]:
        if now < self.deadline or self.state is State.IDLE:
            return []
        if self.state is State.WAITING:
            return self._watch(now) if self._version else self._list(now)
        abandon = Abandon(self.request)
        if self.state is State.STREAMING:
            self._note_health(now)
            return [abandon, *self._watch(now)]
        return [abandon, *self._failed(Idle(f"no answer for {self._timing.idle:g} s"), now)]

    def relist(self, now: float) -> list[Effect]:
        """What was taken over is not what the API has: list anew, unless that is under way."""
        if self.state in (State.OPENING, State.STREAMING):
            return [Abandon(self.request), *self._list(now)]
        if self.state is State.WAITING:
            self._version = 0
        return []

    def _list(self, now: float) -> list[Effect]:
        self._records = []
        self._version = 0
        return [self._ask_page("", now)]

    def _ask_page(self, continue_token: str, now: float) -> List:
        self._begin(State.LISTING, now)
        self._continued = bool(continue_token)
        return List(self.request, continue_token, self._limit)

    def _watch(self, now: float) -> list[Effect]:
        self._begin(State.OPENING, now)
        shortest, longest = self._timing.watch
        seconds = shortest + int((longest - shortest) * self._random())
        return [Watch(self.request, self._version, seconds)]

    def _note_health(self, now: float) -> None:
        """A stream has ended."""
        self._healthy = now - self._opened_at >= self._timing.shortest_watch

    def _begin(self, state: State, now: float) -> None:
        self.state = state
        self.request += 1
        self.deadline = now + self._timing.idle

    def _wait(self, until: float) -> None:
        self.state = State.WAITING
        self.request += 1
        self.deadline = until

    def _failed(self, error: Exception, now: float) -> list[Effect]:
        expired = isinstance(error, ApiError) and error.code == 410
        if self.state is State.STREAMING:
            self._note_health(now)
        if self.state is State.LISTING:
            self._limit = 0 if expired and self._continued else PAGE_LIMIT
        elif self._unusable(error):
            self._version = 0
            if expired and self._healthy:
                self._healthy = False
                return self._list(now)
        retry_after = error.retry_after if isinstance(error, ApiError) else None
        delay = self._backoff.delay(now, retry_after)
        self._records = []
        self._wait(now + delay)
        return [Trouble(error, delay)]

    @staticmethod
    def _unusable(error: Exception) -> bool:
        """Whether the server said that it can't watch from this version."""
        if not isinstance(error, ApiError):
            return False
        if "ResourceVersionTooLarge" in error.causes:
            return True
        return 400 <= error.code < 500 and error.code not in (401, 408, 429)
