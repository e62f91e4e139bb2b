"""Views of a store: what one filter shows of its changes, shared by all who ask in the same words.

A view decides once for each change whether and as what it is seen. A reader is nothing but a
position in the log, so a slow one costs nothing, and a thousand at the same place read the same
bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ..kube.fields import FieldSelector
from ..kube.objects import Record
from ..kube.resources import Resource
from ..kube.selectors import LabelSelector
from ..kube.status import ApiError, expired_watch
from ..kube.watchevents import EventType, encode_event
from .history import Change
from .scope import EVERYTHING, Scope
from .versioned import Predicate, Store

#: Bytes that one read returns at most, unless a single event is larger.
MAX_READ = 64 * 1024

_JOINED_KEPT = 8

EVERY_LABEL = LabelSelector()
EVERY_FIELD = FieldSelector()


@dataclass(frozen=True, slots=True)
class Filter:
    """What a request asks for.

    :ivar namespace: ``""`` for all of them.
    :ivar scope: what exists for the reader.
    """

    namespace: str = ""
    labels: LabelSelector = EVERY_LABEL
    fields: FieldSelector = EVERY_FIELD
    scope: Scope = EVERYTHING

    def matches(self, record: Record) -> bool:
        return (
            (not self.namespace or record.namespace == self.namespace)
            and self.labels.matches(record.labels)
            and self.fields.matches(record)
            and (self.scope is EVERYTHING or self.scope.shows(record))
        )


@dataclass(slots=True)
class Cursor:
    """A reader's place: what lies before it has been read.

    :ivar after: a version that the store has yet to reach: no change up to it is shown.
    """

    epoch: int
    position: int
    after: int = 0


class Frames(Protocol):
    """How changes and objects look to the readers of a view."""

    def of_change(self, change: Change, event_type: EventType) -> bytes: ...

    def of_record(self, record: Record) -> bytes:
        """The object as an ADDED event."""
        ...


class PlainFrames:
    """Events as JSON, encoded once for all views."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def of_change(self, change: Change, event_type: EventType) -> bytes:
        return change.encoded(self._resource, event_type)

    def of_record(self, record: Record) -> bytes:
        return encode_event(self._resource, EventType.ADDED, record)


class View:
    """One filter over one store, in one form."""

    def __init__(self, store: Store, predicate: Predicate, frames: Frames | None = None) -> None:
        self._store = store
        self._predicate = predicate
        self._encode_as = frames or PlainFrames(store.resource)
        self._frames: dict[int, bytes] = {}
        self._joined: OrderedDict[tuple[int, int], tuple[bytes, int]] = OrderedDict()

    def cursor(self, version: int | None = None) -> Cursor:
        """A place behind everything up to ``version``, by default behind everything.

        :raises ApiError: 410, where the history no longer reaches back to it.
        """
        store = self._store
        if version is None:
            return Cursor(store.epoch, store.history.end)
        return Cursor(store.epoch, store.position_after(version), version)

    def initial(self) -> Iterator[bytes]:
        """The current state as ADDED events, in pieces that are encoded when they are asked for."""
        selection = self._store.select(self._predicate)
        return self._encode(selection.records)

    def _encode(self, records: tuple[Record, ...]) -> Iterator[bytes]:
        pieces, size = [], 0
        for record in records:
            frame = self._encode_as.of_record(record)
            pieces.append(frame)
            size += len(frame)
            if size >= MAX_READ:
                yield b"".join(pieces)
                pieces, size = [], 0
        if pieces:
            yield b"".join(pieces)

    def read(self, cursor: Cursor) -> bytes:
        """The next events, and move the cursor behind them; ``b""`` if there are none yet.

        :raises ApiError: 410, if the cursor's place is no longer in the history.
        """
        end = self._store.history.end
        # What was joined up to this end begins inside of the window, which moves only with its end.
        known = None if cursor.after else self._joined.get((cursor.position, end))
        if known is None:
            if gone := self.lost(cursor):
                raise gone
            if cursor.after:
                if self._store.version <= cursor.after:
                    cursor.position = end
                    return b""
                cursor.position = max(cursor.position, self._store.position_after(cursor.after))
                cursor.after = 0
            if cursor.position == end:
                return b""
            known = self._join(cursor.position, end)
            self._joined[cursor.position, end] = known
            if len(self._joined) > _JOINED_KEPT:
                self._joined.popitem(last=False)
        data, cursor.position = known
        return data

    def lost(self, cursor: Cursor) -> ApiError | None:
        """The 410 to answer, if the cursor's place is no longer in the history."""
        store = self._store
        if cursor.epoch == store.epoch and cursor.position >= store.history.start:
            return None
        return expired_watch(store.version, store.floor)

    def at_end(self, cursor: Cursor) -> bool:
        return not cursor.after and cursor.position == self._store.history.end

    def _join(self, position: int, end: int) -> tuple[bytes, int]:
        pieces, size = [], 0
        while position < end and size < MAX_READ:
            frame = self._frame(position)
            pieces.append(frame)
            size += len(frame)
            position += 1
        return b"".join(pieces), position

    def _frame(self, position: int) -> bytes:
        frame = self._frames.get(position)
        if frame is None:
            change = self._store.history.at(position)
            seen = self.seen_as(change)
            frame = b"" if seen is None else self._encode_as.of_change(change, seen)
            self._frames[position] = frame
            self._forget()
        return frame

    def _forget(self) -> None:
        """Drop the frames that left the window, when they are as many as those inside."""
        history = self._store.history
        if len(self._frames) > 2 * (history.end - history.start) + 64:
            start = history.start
            self._frames = {p: frame for p, frame in self._frames.items() if p >= start}

    def seen_as(self, change: Change) -> EventType | None:
        """As what the change is seen from here: a change of labels can move an object in or out."""
        before = change.old is not None and self._predicate(change.old)
        after = change.new is not None and self._predicate(change.new)
        if after:
            return EventType.MODIFIED if before else EventType.ADDED
        return EventType.DELETED if before else None
