"""The list-watch machine: what to ask next so that a store stays equal to an API.

Rules first. Everything that decides lives here; the Service that drives it only carries its
effects out and its inputs in.

- A *list* comes in pages and replaces the store when its last page is in; then a *watch* follows
  from the list's version. A list without a version cannot be watched: it is repeated.
- A watch that ends, cleanly or not, is followed by a *look*, a list of one object that tells which
  version the server is at, and then by a watch from the last version seen; or by a list, where the
  server is behind that version. It is another replica then, or its data are a backup's, and a watch
  from its future would say nothing of what happens until it gets there.
- A list that is older than an object seen is not taken over: the store never goes back in time. It
  is asked for again, of another replica if there is one, for ``patience`` seconds. If no other list
  came, the server's data were restored from a backup, and it is believed.
- Only the server's word that the version is unusable leads to a list: 410, any other 4xx but 401,
  408 and 429, and any ERROR event that is no 429 or 5xx; "too large" only at the third time in a
  row, since another replica may be further on.
- A continue token that expired: the list begins again in one piece, or it might never end. So does
  a list of more than ``MOST_PAGES`` pages.
- Who finds that the store does not hold what the API has may ask for a list, too; a wait goes on.
- A failure is followed by a wait with backoff, and so is a watch that ended within a second,
  whatever it brought: a server could have us spin. A 410 is no failure if the last list was begun
  ``relist_after`` seconds ago or earlier. It waits until then at the most where a watch has
  followed that list: an Emitter that is restarted twice is listed within seconds, a server that
  says nothing else is not.
- A request that is not answered within ``idle`` seconds has failed. A stream that brings nothing
  for as long is watched anew, on another connection: it may be dead, or the server quiet, since
  kube-apiserver sends no bookmark where nothing has changed.

An API server that is restored from a backup breaks its streams. Its client is back within 30 s of
backoff, looks, lists, and believes the list within ``patience`` seconds; if the streams stayed
open, they are given up after ``idle`` seconds. What an Emitter believes ends its own streams at
once, and its clients need another ``patience``: 90 + 30 + 30 + 30 seconds at the most, beside the
time that the answers take.

    state      page       looked     opened     event/data  ended      failed     deadline
    LISTING    PAGE       -          -          -           -          WAITING    WAITING
    LOOKING    -          LOOK       -          -           -          WAITING    WAITING
    OPENING    -          -          STREAMING  -           -          WAITING*   WAITING
    STREAMING  -          -          -          STREAMING   LOOKING*   WAITING*   LOOKING
    WAITING    -          -          -          -           -          -          LISTING or LOOKING

PAGE is LISTING while pages follow, else OPENING, or WAITING without a version or with an old one.
LOOK is OPENING, or LISTING where the server is behind. A star marks the exceptions named above.
Each request has a number; what belongs to an older one is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from ..kube.lists import ListPage
from ..kube.objects import Record
from ..kube.status import TOO_LARGE, ApiError
from ..kube.watchevents import Bookmark, ErrorEvent, WatchEvent
from .backoff import Backoff
from .effects import (
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


class State(Enum):
    IDLE = auto()
    LISTING = auto()
    LOOKING = auto()
    OPENING = auto()
    STREAMING = auto()
    WAITING = auto()


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    :ivar idle: how long a request may be without an answer, and a stream silent.
    :ivar relist: how often a source without versions is listed.
    :ivar shortest_watch: what ends sooner is a failure.
    :ivar relist_after: how old the last list has to be for a 410 to be no failure.
    :ivar healthy: how long a stream has to last for the next failure to be the first.
    :ivar patience: how long lists may be older than what was seen before they are believed.
    :ivar watch: the bounds between which a watch's timeoutSeconds is drawn.
    """

    idle: float = 90.0
    relist: float = 30.0
    shortest_watch: float = 1.0
    relist_after: float = 10.0
    healthy: float = 10.0
    patience: float = 30.0
    watch: tuple[int, int] = (300, 600)


PAGE_LIMIT = 500

#: A million objects: more than any cluster has, and an end to a server that always has more.
MOST_PAGES = 2000

#: After so many in a row the word "too large" is taken for the last.
_MOST_TOO_LARGE = 3


class ListWatch:
    """
    Give it inputs with the time, carry out the effects in order, and call :meth:`deadline_passed`
    at :attr:`deadline`, which every input may move.

    :ivar request: the number of the request under way.
    :ivar newest: the newest version of an object that was seen, deletions included.
    :param random: a draw from [0, 1).
    """

    def __init__(
        self, random: Callable[[], float], timing: Timing | None = None, newest: int = 0
    ) -> None:
        self.state = State.IDLE
        self.deadline = float("inf")
        self.request = 0
        self.newest = newest
        self._random = random
        self._timing = timing or Timing()
        self._backoff = Backoff(random)
        self._version = 0  # to watch from; 0 asks for a list
        self._limit = PAGE_LIMIT
        self._records: list[Record] = []
        self._pages = 0  # that have come of the list under way
        self._opened_at = 0.0
        self._listed_at = 0.0
        self._followed = False  # whether a watch from the last list was more than short
        self._older_since: float | None = None  # when the first of the older lists came
        self._too_large = 0  # how often in a row

    def start(self, now: float) -> list[Effect]:
        return self._list(now)

    def page(self, request: int, page: ListPage, now: float) -> list[Effect]:
        if request != self.request or self.state is not State.LISTING:
            return []
        self._records += page.records
        self._pages += 1
        if page.continue_token and self._pages < MOST_PAGES:
            return [self._ask_page(page.continue_token, now)]
        if page.continue_token:
            told = self._failed(EndlessList(f"the list has more than {MOST_PAGES} pages"), now)
            self._limit = 0
            return told
        records, self._records = tuple(self._records), []
        if 0 < page.version < self.newest:
            older_since = self._older_since = (
                now if self._older_since is None else self._older_since
            )
            left = older_since + self._timing.patience - now
            if left > 0:
                error = OlderList(
                    "the list is older than what was seen: "
                    f"version {page.version} after {self.newest}"
                )
                return self._failed(error, now, at_most=left)
        return self._take_over(records, page.version, now)

    def _take_over(self, records: tuple[Record, ...], version: int, now: float) -> list[Effect]:
        self._version = version
        self._limit = PAGE_LIMIT
        self._older_since = None
        newest = self.newest if 0 < version < self.newest else 0
        # No object is newer than its list, whatever a server says.
        listed = min(version, max((record.version for record in records), default=0))
        self.newest = listed if newest else max(self.newest, listed)
        replaced: list[Effect] = [Replace(records, version, newest)]
        if not version:
            self._wait(now + self._timing.relist)
            return replaced
        return replaced + self._watch(now)

    def looked(self, request: int, version: int, now: float) -> list[Effect]:
        """The server is at this version; 0 if it does not say."""
        if request != self.request or self.state is not State.LOOKING:
            return []
        return self._watch(now) if version >= self._version else self._list(now)

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
        self._too_large = 0
        if isinstance(event, Bookmark):
            self._version = max(self._version, event.version)
        else:
            self._version = max(self._version, event.record.version)
            self.newest = max(self.newest, event.record.version)
        return [Apply(event)]

    def ended(self, request: int, now: float) -> list[Effect]:
        """The stream ended as HTTP says it should."""
        if request != self.request or self.state is not State.STREAMING:
            return []
        if now - self._opened_at < self._timing.shortest_watch:
            return self._failed(VeryShortWatch("the watch ended at once"), now)
        self._followed = True
        return self._look(now)

    def failed(self, request: int, error: Exception, now: float) -> list[Effect]:
        """The request failed, or its stream broke."""
        if request != self.request or self.state in (State.WAITING, State.IDLE):
            return []
        return self._failed(error, now)

    def deadline_passed(self, now: float) -> list[Effect]:
        if now < self.deadline or self.state is State.IDLE:
            return []
        if self.state is State.WAITING:
            return self._look(now) if self._version else self._list(now)
        abandon = Abandon(self.request)
        if self.state is State.STREAMING:
            return [abandon, *self._look(now)]
        return [abandon, *self._failed(Idle(f"no answer for {self._timing.idle:g} s"), now)]

    def relist(self, now: float) -> list[Effect]:
        """What was taken over is not what the API has: list anew, unless that is under way."""
        if self.state in (State.LOOKING, State.OPENING, State.STREAMING):
            return [Abandon(self.request), *self._list(now)]
        if self.state is State.WAITING:
            self._version = 0
        return []

    def _list(self, now: float) -> list[Effect]:
        self._records = []
        self._pages = 0
        self._version = 0
        self._listed_at = now
        self._followed = False
        return [self._ask_page("", now)]

    def _ask_page(self, continue_token: str, now: float) -> List:
        self._begin(State.LISTING, now)
        return List(self.request, continue_token, self._limit)

    def _look(self, now: float) -> list[Effect]:
        self._begin(State.LOOKING, now)
        return [Look(self.request)]

    def _watch(self, now: float) -> list[Effect]:
        self._begin(State.OPENING, now)
        shortest, longest = self._timing.watch
        seconds = shortest + int((longest - shortest) * self._random())
        return [Watch(self.request, self._version, seconds)]

    def _begin(self, state: State, now: float) -> None:
        self.state = state
        self.request += 1
        self.deadline = now + self._timing.idle

    def _wait(self, until: float) -> None:
        self.state = State.WAITING
        self.request += 1
        self.deadline = until

    def _failed(self, error: Exception, now: float, at_most: float = float("inf")) -> list[Effect]:
        expired = isinstance(error, ApiError) and error.code == 410
        if self.state is State.STREAMING:
            lasted = now - self._opened_at
            self._followed = self._followed or lasted >= self._timing.shortest_watch
            if lasted >= self._timing.healthy:
                self._backoff.succeeded()
        if self.state is State.LISTING:
            self._limit = 0 if expired and self._pages else PAGE_LIMIT
        elif self.state is not State.LOOKING and self._unusable(error):
            self._version = 0
            if expired:
                left = self._listed_at + self._timing.relist_after - now
                if left <= 0:
                    return self._list(now)
                if self._followed:
                    at_most = left
        retry_after = error.retry_after if isinstance(error, ApiError) else None
        delay = min(at_most, self._backoff.delay(now, retry_after))
        self._records = []
        self._wait(now + delay)
        return [Trouble(error, delay)]

    def _unusable(self, error: Exception) -> bool:
        """Whether the server said that it can't watch from this version."""
        if not isinstance(error, ApiError):
            return False
        if TOO_LARGE in error.causes:
            self._too_large += 1
            return self._too_large % _MOST_TOO_LARGE == 0
        self._too_large = 0
        return 400 <= error.code < 500 and error.code not in (401, 408, 429)
