"""The Service that knows how long a source has been silent, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..mirror.freshness import Freshness, Patience, silence


class SilenceWatch(Service):
    """Tells when a source falls silent, and at once when it is heard again.

    :ivar freshness: as it was told last.
    :param heard: when each of the source's watches last brought anything, None for never.
    :param changed: called with what it has become.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        patience: Patience,
        heard: Callable[[], Iterable[float | None]],
        changed: Callable[[Freshness], None],
    ) -> None:
        self.freshness = Freshness.FRESH
        self._reactor = reactor
        self._patience = patience
        self._heard = heard
        self._changed = changed
        self._since = 0.0
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        Service.startService(self)
        self._since = self._reactor.seconds()
        self._look()

    def stopService(self) -> None:
        Service.stopService(self)
        self._cancel()

    def start_over(self) -> None:
        """Silence counts from now on."""
        self._since = self._reactor.seconds()
        self.freshness = Freshness.FRESH
        if self.running:
            self._look()

    def note_heard(self) -> None:
        """One of the watches brought something."""
        if self.freshness is not Freshness.FRESH and self.running:
            self._look()

    def silent(self) -> float:
        """For how many seconds its quietest watch has brought nothing."""
        return silence(self._heard(), self._since, self._reactor.seconds())

    def _look(self) -> None:
        self._cancel()
        silent = self.silent()
        before, self.freshness = self.freshness, self._patience.freshness(silent)
        delay = self._patience.next_change(silent)
        if delay is not None:
            # Not sooner than floats can tell apart: in no time at all nothing would have changed.
            self._timer = self._reactor.callLater(max(delay, 0.001), self._time_passed)
        if self.freshness is not before:
            self._changed(self.freshness)

    def _time_passed(self) -> None:
        self._timer = None
        self._look()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
