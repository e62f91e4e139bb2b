"""The recent changes of a store: a window over an endless log.

A *position* counts all changes that the log ever saw, so it stays true while the window's start
moves on; a reader needs nothing but its position. What has left the window cannot be read again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from ..kube.objects import Record
from ..kube.resources import Resource
from ..kube.watchevents import EventType, encode_event


class Change:
    """One change of one object.

    :ivar version: the resourceVersion that the change made.
    :ivar old: the object before, None if it was not there.
    :ivar new: the object after, None if it is gone.
    :ivar last: the object as a deletion's event carries it: its last state under ``version``.
    """

    __slots__ = ("_encoded", "last", "new", "old", "version")

    def __init__(self, version: int, old: Record | None, new: Record | None, last: Record) -> None:
        self.version = version
        self.old = old
        self.new = new
        self.last = last
        self._encoded: dict[EventType, bytes] = {}

    @property
    def key(self) -> str:
        return self.last.key

    @property
    def size(self) -> int:
        """Bytes that the change keeps alive beyond the current state, roughly."""
        return len(self.last.body)

    def encoded(self, resource: Resource, event_type: EventType) -> bytes:
        """The change as an event of this type: encoded once for all views."""
        line = self._encoded.get(event_type)
        if line is None:
            line = encode_event(resource, event_type, self.carried(event_type))
            self._encoded[event_type] = line
        return line

    def carried(self, event_type: EventType) -> Record:
        """The object as an event of this type shows it."""
        if event_type is not EventType.DELETED or self.new is None:
            return self.last
        # The object left the view but still exists: the API sends its state before the change
        # under the change's version (k8s.io/apiserver storage/cacher, convertToWatchEvent).
        assert self.old is not None
        return self.old.at_version(self.version)


class History:
    """The window.

    :ivar end: the position that the next change will have.
    :param max_changes: how many changes are kept at most.
    :param max_bytes: how many bytes of bodies they keep alive at most.
    """

    def __init__(self, max_changes: int, max_bytes: int) -> None:
        self._max_changes = max_changes
        self._max_bytes = max_bytes
        self._changes: list[Change] = []
        self._bytes = 0
        self._head = 0  # index in _changes of the oldest one that still counts
        self._offset = 0  # position of _changes[0]
        self.end = 0

    @property
    def start(self) -> int:
        """The position of the oldest change in the window."""
        return self._offset + self._head

    def append(self, change: Change) -> int | None:
        """Add a change; the version of the newest change that fell out, None if none did."""
        self._changes.append(change)
        self.end += 1
        self._bytes += change.size
        dropped = None
        while self.end - self.start > self._max_changes or (
            self._bytes > self._max_bytes and self.end - self.start > 1
        ):
            oldest = self._changes[self._head]
            self._bytes -= oldest.size
            dropped = oldest.version
            self._head += 1
        # Deleting from the front of a list moves all of it: do so a quarter at a time.
        if self._head > 64 and self._head * 4 > len(self._changes):
            del self._changes[: self._head]
            self._offset += self._head
            self._head = 0
        return dropped

    def clear(self) -> None:
        """Forget everything; positions handed out before are outside the window from now on."""
        self._offset = self.end = self.end + 1
        self._changes, self._bytes, self._head = [], 0, 0

    def at(self, position: int) -> Change:
        return self._changes[position - self._offset]

    def since(self, position: int) -> Iterator[Change]:
        for index in range(position - self._offset, len(self._changes)):
            yield self._changes[index]

    def position_after(self, version: int) -> int:
        """The position of the first change in the window that is newer than ``version``."""
        index = bisect_right(self._changes, version, lo=self._head, key=lambda c: c.version)
        return self._offset + index
