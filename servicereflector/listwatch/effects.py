"""What the list-watch machine wants done, and what it has to tell that failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kube.objects import Record
from ..kube.watchevents import Bookmark, ObjectEvent
from ..reasons import Code


@dataclass(frozen=True, slots=True)
class List:
    """Ask for a page of the list; ``limit`` 0 asks for all of it."""

    request: int
    continue_token: str
    limit: int


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for a list of one object, for its version."""

    request: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch from ``version``, for ``timeout_seconds`` at most."""

    request: int
    version: int
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Replace:
    """The store becomes this.

    :ivar newest: where this goes back in time: the newest version that was seen before; else 0.
    """

    records: tuple[Record, ...] = field(repr=False)
    version: int
    newest: int = 0


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


Effect = List | Look | Watch | Replace | Apply | Abandon | Trouble


class Idle(Exception):
    """No answer came for too long."""

    told_as = Code.TIMED_OUT


class VeryShortWatch(Exception):
    """A watch ended at once: to watch again at once would spin."""

    told_as = Code.WATCH_CUT


class OlderList(Exception):
    """A list came from before what was seen: of a replica that is behind, or from a backup."""

    told_as = Code.OLDER_LIST


class EndlessList(Exception):
    """A list came in more pages than any list has, or in more bytes."""

    told_as = Code.ANSWER_TOO_LARGE
