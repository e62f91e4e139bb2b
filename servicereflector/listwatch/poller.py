"""A Service that asks an API something, again and again."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.status import ApiError
from ..kube.text import shown
from ..outages import Outage
from ..reasons import code_of
from ..telling import tell_failure, tell_recovery
from .backoff import Backoff


class Poller(Service):
    """
    A subclass asks in :meth:`_look`, which says by :meth:`_ask_in` when to ask again. What it
    raises goes to :meth:`_troubled`, is told, and is followed by a later try.

    :cvar what: what is asked for, in words for the log.
    :param random: a draw from [0, 1).
    :param source: the name that log lines give the API.
    :param outage: of the API, to which others may belong that ask it.
    """

    log = Logger()
    what = ""

    def __init__(
        self,
        reactor: IReactorTime,
        random: Callable[[], float],
        *,
        source: str = "host",
        outage: Outage | None = None,
    ) -> None:
        self._reactor = reactor
        self._source = source
        self._outage = outage or Outage()
        self._backoff = Backoff(random)
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None

    def startService(self) -> None:
        Service.startService(self)
        self._ask()

    def stopService(self) -> None:
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:
            self._asking.cancel()
        self._outage.recovered(self._reactor.seconds(), self.what)

    async def _look(self) -> None:
        raise NotImplementedError

    def _troubled(self, error: BaseException) -> None:
        """Called with each failure."""

    def _ask_in(self, delay: float) -> None:
        if self.running:
            self._timer = self._reactor.callLater(delay, self._ask)

    def _ask(self) -> None:
        self._timer = None
        self._asking = Deferred.fromCoroutine(self._look())
        self._asking.addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, _result: None) -> None:
        tally = self._outage.recovered(self._reactor.seconds(), self.what)
        tell_recovery(self.log, tally, "{source}: answers again, {after}", source=self._source)

    def _failed(self, failure: Failure) -> None:
        # A connection that is cancelled early says that no name was found.
        if not self.running or failure.check(CancelledError, GeneratorExit):
            return
        error = failure.value
        assert error is not None
        retry_after = error.retry_after if isinstance(error, ApiError) else None
        delay = self._backoff.delay(self._reactor.seconds(), retry_after)
        code = code_of(error)
        tell_failure(
            self.log,
            self._outage.failed(code, self._reactor.seconds(), self.what),
            "{source}: {still}{what}: {error}; again in {delay_seconds:.1f} s",
            reason=code,
            source=self._source,
            what=self.what,
            error=shown(str(error)) or type(error).__name__,
            delay_seconds=round(delay, 1),
        )
        self._troubled(error)
        self._ask_in(delay)
