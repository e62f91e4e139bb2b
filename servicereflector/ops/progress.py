"""How far a long first sync is, told from time to time: the lists first, then the mirrors. In a
terminal bars.py draws it instead.

:class:`Progress` is given counts and the time, and knows nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..program import Program
from ..reasons import Code

#: Seconds that a sync may take before anything is told of it.
PATIENCE = 2.0

#: Seconds between two times that something is told.
PERIOD = 5.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How far it is now.

    :ivar listing: of each first list under way whose it is, of what, and the objects so far.
    :ivar synced: how many first lists are complete.
    :ivar mirrored: names of which it is known what becomes of them.
    :ivar waiting: names of which it is not.
    """

    listing: tuple[tuple[str, str, int], ...] = ()
    synced: int = 0
    mirrored: int = 0
    waiting: int = 0


class Progress:
    """What there is to tell; nothing of what is over within :data:`PATIENCE`."""

    def __init__(self) -> None:
        self._synced = 0
        self._mirroring = False  # what new lists have brought
        self._began: float | None = None  # while there is a sync
        self._next = float("-inf")
        self._told: frozenset[str] = frozenset()

    def look(self, counts: Counts, now: float) -> Counts | None:
        """What of the counts is of a sync that takes long; None where there is none."""
        if counts.synced > self._synced:
            self._mirroring = True
        elif not counts.waiting:
            self._mirroring = False
        self._synced = counts.synced
        if not self._mirroring:
            counts = replace(counts, waiting=0)
        if not counts.listing and not counts.waiting:
            self._began = None
            return None
        if self._began is None:
            self._began = now
        return counts if now >= self._began + PATIENCE else None

    def tell(self, counts: Counts, now: float) -> list[str]:
        """The lines for people; none twice."""
        seen = self.look(counts, now)
        if seen is None or now < self._next:
            return []
        self._next = now + PERIOD
        lines = [
            f"{source}: {what}: {count:,} objects listed so far"
            for source, what, count in seen.listing
        ]
        if seen.waiting:
            lines.append(f"mirrored {seen.mirrored:,} of {seen.mirrored + seen.waiting:,}")
        told, self._told = self._told, frozenset(lines)
        return [line for line in lines if line not in told]


def counts_of(program: Program) -> Counts:
    """How far the program is."""
    stores = [(informer, informer.store) for informer in program.informers]
    listing = tuple(
        (informer.source, store.resource.plural, informer.stats.listed)
        for informer, store in stores
        if not store.synced and informer.stats.listed
    )
    synced = sum(store.synced for _informer, store in stores)
    controller = program.controller
    if controller is None:
        return Counts(listing, synced)
    mirrored = sum(controller.statuses.states.values())
    # Not all that a source lists is exported; once no key has to take its turn, none waits.
    exported = sum(len(source.services) for source in controller.fleet.sources)
    waiting = max(0, exported - mirrored) if controller.queue.ready else 0
    return Counts(listing, synced, mirrored, waiting)


class ProgressLog(Service):
    """Logs how far the program is."""

    log = Logger()

    def __init__(self, reactor: IReactorTime, program: Program) -> None:
        self._reactor = reactor
        self._program = program
        self._progress = Progress()
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def startService(self) -> None:
        super().startService()
        self._looking.start(1.0, now=False)

    def stopService(self) -> None:
        super().stopService()
        self._looking.stop()

    def _look(self) -> None:
        for line in self._progress.tell(counts_of(self._program), self._reactor.seconds()):
            self.log.info("{line}", reason=Code.SYNCING, line=line)
