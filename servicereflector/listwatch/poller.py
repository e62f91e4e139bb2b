"""A Service that asks an API something, again and again."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from ..kube.status import ApiError
from .backoff import Backoff


class Poller(Service):
    """
    A subclass asks in :meth:`_look`, which says by :meth:`_ask_in` when to ask again. What it
    raises goes to :meth:`_trouble`, and is followed by a later try.

    :param random: a draw from [0, 1).
    """

    def __init__(self, reactor: IReactorTime, random: Callable[[], float]) -> None:
        self._reactor = reactor
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

    async def _look(self) -> None:
        raise NotImplementedError

    def _trouble(self, error: BaseException) -> None:
        """Tell of a failure."""
        raise NotImplementedError

    def _ask_in(self, delay: float) -> None:
        if self.running:
            self._timer = self._reactor.callLater(delay, self._ask)

    def _ask(self) -> None:
        self._timer = None
        self._asking = Deferred.fromCoroutine(self._look())
        self._asking.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError, GeneratorExit):
            return
        error = failure.value
        assert error is not None
        self._trouble(error)
        retry_after = error.retry_after if isinstance(error, ApiError) else None
        self._ask_in(self._backoff.delay(self._reactor.seconds(), retry_after))
