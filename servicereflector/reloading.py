"""Values made of files, made anew when the files change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from .outages import Outage
from .reasons import Code
from .telling import tell_failure, tell_recovery

T = TypeVar("T")


class Reloaded(Service, Generic[T]):
    """Looks at the files from time to time, in a thread, because a file system may not answer.

    Files that cannot be used leave the value as it was.

    :ivar value: of the files as they were when they could last be used.
    :ivar problem: why the files as they are now cannot be used, ``""`` where they can.
    :cvar what: the value, in words, for the log.
    :cvar period: seconds between two looks.
    :cvar patience: seconds for which files may be unusable before that is told: they may be about
        to be complete.
    :cvar settles: whether a change counts only once two looks have seen the same: who writes a file
        in place has it incomplete for a moment.
    """

    log = Logger()
    what = "it"
    period = 1.0
    patience = 10.0
    settles = False

    def __init__(
        self,
        reactor: IReactorTime,
        files: Sequence[Path],
        load: Callable[[], T],
        *,
        defer_to_thread: Callable[..., Deferred[None]] = deferToThread,
    ) -> None:
        """Loads at once, and blocks for it.

        :param files: what ``load`` reads.
        :param load: raises a ValueError of one line.
        """
        self.problem = ""
        self._reactor = reactor
        self._files = files
        self._load = load
        self._defer_to_thread = defer_to_thread
        self._digests = self._seen = _digests(files)
        self.value = load()
        self._bad_since: float | None = None
        self._outage = Outage()
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()
        self._look_later()

    def stopService(self) -> None:
        """A look that is under way is not waited for."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def renewed(self) -> None:
        """Called when there is another value."""

    def _look_later(self) -> None:
        self._timer = self._reactor.callLater(self.period, self._look)

    def _look(self) -> None:
        self._timer = None
        self._defer_to_thread(self._read).addCallbacks(self._looked, self._failed)

    def _read(self) -> tuple[list[str], list[T], str]:
        """What the files are now; the value where it is another; why there is none. Blocks."""
        digests = _digests(self._files)
        if digests == self._digests or (self.settles and digests != self._seen):
            return digests, [], ""
        try:
            return digests, [self._load()], ""
        except ValueError as error:
            return digests, [], str(error)

    def _looked(self, found: tuple[list[str], list[T], str]) -> None:
        if not self.running:
            return
        self._seen, values, problem = found
        if problem:
            self._bad(problem)
        elif values or self._seen == self._digests:
            self._digests = self._seen
            self._bad_since, self.problem = None, ""
            tally = self._outage.recovered(self._reactor.seconds())
            text = "{what}: its files can be used again, {after}"
            tell_recovery(self.log, tally, text, what=self.what)
        for value in values:
            self.value = value
            self.renewed()
        self._look_later()

    def _failed(self, failure: Failure) -> None:
        if self.running:
            self._bad(type(failure.value).__name__)
            self._look_later()

    def _bad(self, why: str) -> None:
        now = self._reactor.seconds()
        if self._bad_since is None:
            self._bad_since = now
        if now < self._bad_since + self.patience:
            return
        if why != self.problem:
            self.problem, self._outage = why, Outage()
        tally = self._outage.failed(Code.FILE_UNUSABLE, now)
        if tally is None:
            return  # to look is no attempt that anybody would want to follow
        tell_failure(
            self.log,
            tally,
            "{still}{what} stays as it was: {why}",
            reason=Code.FILE_UNUSABLE,
            what=self.what,
            why=why,
        )


def _digests(files: Sequence[Path]) -> list[str]:
    """Of each file's content, or why it cannot be read."""
    found = []
    for file in files:
        try:
            found.append(sha256(file.read_bytes()).hexdigest())
        except OSError as error:
            found.append(str(error.strerror))
    return found
