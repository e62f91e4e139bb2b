"""Who makes a request, as far as what is served depends on that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from twisted.web.server import Request
from zope.interface import Interface

from ..store.scope import Scope

#: How many readers are remembered. One that was forgotten lists anew.
REMEMBERED = 10_000


class IEmitterConsumer(Interface):
    """A :class:`Consumer`, as the component of a request."""


class Consumer:
    """
    :ivar name: by which its requests belong together.
    :ivar scope: what exists for it; None where everything does, and always did.
    """

    def __init__(self, name: str, scope: Scope | None) -> None:
        self.name = name
        self.scope = scope
        self._revoked = False
        self._ends: list[Callable[[], None]] = []

    def when_revoked(self, end: Callable[[], None]) -> None:
        """Call this once the request may not go on; now, if that is so already."""
        if self._revoked:
            end()
        self._ends.append(end)

    def revoke(self) -> None:
        """What was allowed no longer is, or shows something else."""
        self._revoked = True
        for end in self._ends:
            end()


#: Of a request that nobody asked about.
ANYBODY = Consumer("", None)


def consumer_of(request: Request) -> Consumer:
    consumer: Consumer = request.getComponent(IEmitterConsumer, ANYBODY)
    return consumer


def set_consumer(request: Request, consumer: Consumer) -> None:
    request.setComponent(IEmitterConsumer, consumer)


@dataclass(slots=True)
class _Reader:
    """
    :ivar since: the version at which its scope was first seen.
    :ivar knows: whether it was told the objects of that scope, or to ask for them.
    """

    scope: Scope
    since: int
    knows: bool = False


class Readers:
    """Which readers of one store may resume a watch.

    When a reader's scope changes, objects appear and vanish for it that have not changed: no
    history tells of that. So a watch is not resumed from before, and the reader lists anew; also
    when a process has just started, because what the scope was before is not known to it.
    """

    def __init__(self) -> None:
        self._readers: OrderedDict[str, _Reader] = OrderedDict()

    def listed(self, consumer: Consumer, version: int) -> None:
        """The reader is given all objects of its scope.

        :param version: of the store, now.
        """
        if consumer.scope is not None:
            self._reader(consumer.name, consumer.scope, version).knows = True

    def may_resume(self, consumer: Consumer, asked: int, version: int) -> bool:
        """
        :param asked: the version after which the watch is to go on.
        :param version: of the store, now.
        """
        if consumer.scope is None:
            return True
        reader = self._reader(consumer.name, consumer.scope, version)
        knew, reader.knows = reader.knows, True  # it may list at another replica
        return asked > reader.since or (asked == reader.since and knew)

    def _reader(self, name: str, scope: Scope, version: int) -> _Reader:
        reader = self._readers.get(name)
        if reader is None or reader.scope != scope:
            reader = self._readers[name] = _Reader(scope, version)
        self._readers.move_to_end(name)
        if len(self._readers) > REMEMBERED:
            self._readers.popitem(last=False)
        return reader
