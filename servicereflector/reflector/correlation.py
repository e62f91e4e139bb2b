"""Which Event to send for what has happened, so that a lot of it costs the host little.

In spirit client-go's EventCorrelator (tools/record/events_cache.go): what is equal is one Event
with a count, and a token bucket lets the first of many through. What it holds back is told as a
number by the next Event of the same source and reason: in all, nothing goes uncounted.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..kube.resources import Resource

#: How many Events are remembered: client-go's figure.
MOST_REMEMBERED = 4096

#: Seconds between two writes of one Event: to raise its count costs etcd as much as a new one.
REPEAT_EVERY = 60.0

#: What a source may cause at once for one reason: client-go's figure.
BURST = 25

#: Seconds until it may cause one more. client-go's 300 are for one object, of which there are
#: thousands; these are for a whole cluster. As Events live for an hour, at most 745 are there.
REFILL_EVERY = 5.0

#: The API's limit for an Event's note, which is the message in its newer form
#: (pkg/apis/core/validation/events.go). It counts bytes.
MOST_BYTES = 1024

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Involved:
    """What an Event stands beside.

    :ivar namespace: ``""`` where it is cluster-scoped.
    :ivar uid: ``""`` where it does not exist.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str = ""


#: What makes two Events equal.
Key = tuple[Involved, str, str]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that has become of an object.

    :ivar reason: one word, as the Event has it.
    :ivar source: the name of the source that it is about.
    """

    involved: Involved
    reason: str
    message: str
    source: str

    @property
    def key(self) -> Key:
        return self.involved, self.reason, message_of(self.message)


@dataclass(frozen=True, slots=True)
class Told:
    """An Event to write.

    :ivar count: how often this has happened.
    :ivar first: when it happened first; in seconds, as :meth:`Correlator.tell` was given them.
    :ivar last: when it happened last.
    :ivar more: how many others of its source and reason went unsaid before it.
    """

    occurrence: Occurrence
    count: int
    first: float
    last: float
    more: int

    @property
    def message(self) -> str:
        return message_of(self.occurrence.message, self.more)


class Create(Told):
    """A new one."""

    __slots__ = ()


class Repeat(Told):
    """The one that was created for the same :attr:`Occurrence.key`, with a higher count."""

    __slots__ = ()


def message_of(message: str, more: int = 0) -> str:
    """The message, cut to what the API takes, and how many others it stands for."""
    suffix = f" (and {more:,} more)" if more else ""
    # A lone surrogate, which no API takes, becomes a question mark.
    body = message.encode(errors="replace")
    most = MOST_BYTES - len(suffix)
    if len(body) > most:
        body = body[: most - len("…".encode())]
        return body.decode(errors="ignore") + "…" + suffix
    return body.decode() + suffix


class Recent(Generic[_K, _V]):
    """A map that keeps the most recently used entries."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[_K, _V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: _K) -> _V | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: _K, value: _V) -> _V | None:
        """Keep it; what had to make room for it."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        return self._entries.popitem(last=False)[1] if len(self) > self._most else None

    def forget(self, key: _K) -> None:
        self._entries.pop(key, None)


@dataclass(slots=True)
class _Event:
    """:ivar told: what of the count was told, at the time ``told_at``."""

    occurrence: Occurrence
    first: float
    told_at: float
    count: int = 1
    told: int = 1


@dataclass(slots=True)
class _Bucket:
    """:ivar more: what was held back and is still to be told."""

    at: float
    tokens: float = BURST
    more: int = 0

    def take(self, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + max(0.0, now - self.at) / REFILL_EVERY)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Correlator:
    """
    :ivar repeats: whether Events may be written again. Where not, they are only counted.
    :param remembered: how many Events.
    """

    def __init__(self, remembered: int = MOST_REMEMBERED) -> None:
        self.repeats = True
        self._events: Recent[Key, _Event] = Recent(remembered)
        self._buckets: Recent[tuple[str, str], _Bucket] = Recent(MOST_REMEMBERED)

    def __len__(self) -> int:
        """How many Events are remembered."""
        return len(self._events)

    def tell(self, occurrence: Occurrence, now: float) -> Create | Repeat | None:
        """What to write now; None where it is only counted.

        :param now: in seconds. A clock that is set back does no harm.
        """
        key = occurrence.key
        event = self._events.get(key)
        bucket = self._bucket(occurrence, now)
        if event is None:
            if not bucket.take(now):
                bucket.more += 1
                return None
            gone = self._events.put(key, _Event(occurrence, first=now, told_at=now))
            if gone is not None:
                self._bucket(gone.occurrence, now).more += gone.count - gone.told
            return Create(occurrence, 1, now, now, _taken(bucket))
        event.count += 1
        too_soon = 0 <= now - event.told_at < REPEAT_EVERY
        if too_soon or not self.repeats or not bucket.take(now):
            return None
        event.told, event.told_at = event.count, now
        return Repeat(occurrence, event.count, event.first, now, _taken(bucket))

    def unsaid(self, told: Told) -> None:
        """It could not be written. Its count is told by its next Repeat, the others by whatever
        is written next."""
        self._bucket(told.occurrence, told.last).more += told.more

    def _bucket(self, occurrence: Occurrence, now: float) -> _Bucket:
        key = (occurrence.source, occurrence.reason)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = _Bucket(now)
            self._buckets.put(key, bucket)
        return bucket


def _taken(bucket: _Bucket) -> int:
    more, bucket.more = bucket.more, 0
    return more
