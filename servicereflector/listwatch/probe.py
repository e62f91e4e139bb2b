"""The Service that finds out whether an API serves a resource and lets us list it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.lists import decode_list
from ..kube.objects import BadObject
from ..kube.resources import Resource
from ..kube.status import ApiError
from .backoff import Backoff
from .informer import Api

#: Seconds between two questions to an API that does not serve the resource: it may be upgraded.
REFRESH = 60.0

#: What an API answers that does not serve a resource, or not to us.
ABSENT = (401, 403, 404, 405, 406)


class Probe(Service):
    """Asks until the answer is yes.

    :param source: the name that log lines give the API.
    :param found: called with the first yes; after it nothing is asked before :meth:`ask_later`.
    :param absent: called with each no.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        api: Api,
        resource: Resource,
        *,
        random: Callable[[], float],
        source: str,
        namespace: str = "",
        found: Callable[[], None],
        absent: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._api = api
        self._resource = resource
        self._backoff = Backoff(random)
        self._source = source
        self._namespace = namespace
        self._found = found
        self._absent = absent
        self._answered = False  # with yes
        self._told = False  # of a no
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None

    def startService(self) -> None:
        Service.startService(self)
        if not self._answered:
            self._ask()

    def stopService(self) -> None:
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:
            self._asking.cancel()

    def ask_later(self) -> None:
        """What was found is gone: ask again, as after a no."""
        self._answered = False
        self._again(REFRESH)

    def _ask(self) -> None:
        self._timer = None
        self._asking = Deferred.fromCoroutine(self._look())
        self._asking.addErrback(self._failed)

    async def _look(self) -> None:
        try:
            body = await self._api.list(
                self._resource,
                namespace=self._namespace,
                label_selector="",
                field_selector="",
                limit=1,
                continue_token="",
            )
            decode_list(self._resource, body)
        except (ApiError, BadObject) as error:
            if isinstance(error, ApiError) and error.code not in ABSENT:
                raise
            self._no(error)
        else:
            self._answered, self._told = True, False
            self._found()

    def _no(self, error: Exception) -> None:
        # The first no is news, its repetitions are not.
        level = self.log.debug if self._told else self.log.info
        self._told = True
        level(
            "{source}: no {resource}: {error}",
            source=self._source,
            resource=self._resource.plural,
            error=str(error),
        )
        self._absent()
        self._again(REFRESH)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        error = failure.value
        self.log.debug(
            "{source}: whether there are {resource} is not known: {error}",
            source=self._source,
            resource=self._resource.plural,
            error=str(error),
        )
        retry_after = error.retry_after if isinstance(error, ApiError) else None
        self._again(self._backoff.delay(self._reactor.seconds(), retry_after))

    def _again(self, delay: float) -> None:
        if self.running:
            self._timer = self._reactor.callLater(delay, self._ask)
