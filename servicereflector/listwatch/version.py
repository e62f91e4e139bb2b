"""The Service that knows an API's ``/version``: clients and plans choose their features by it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.resources import ENDPOINTSLICES
from ..kube.status import ApiError
from .backoff import Backoff

#: Seconds between two looks: a cluster is upgraded while we run.
REFRESH = 600.0


class VersionApi(Protocol):
    def version(self) -> Coroutine[Any, Any, dict[str, Any]]: ...

    def request(self, method: str, path: str) -> Coroutine[Any, Any, bytes]: ...


class VersionPoller(Service):
    """
    :ivar current: the document, None until it is known.
    :ivar serves_slices: whether the API serves discovery.k8s.io/v1 (from Kubernetes 1.21).
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        api: VersionApi,
        *,
        random: Callable[[], float],
        known: Callable[[], None] = lambda: None,
    ) -> None:
        self.current: dict[str, Any] | None = None
        self.serves_slices = False
        self._reactor = reactor
        self._api = api
        self._backoff = Backoff(random)
        self._known = known
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

    def _ask(self) -> None:
        self._timer = None
        self._asking = Deferred.fromCoroutine(self._look())
        self._asking.addErrback(self._failed)

    async def _look(self) -> None:
        version = await self._api.version()
        if version != self.current:
            self.serves_slices = await self._serves(ENDPOINTSLICES.root)
            self.log.info("the host is {version}", version=version.get("gitVersion", "unknown"))
            self.current = version
            self._known()
        self._again(REFRESH)

    async def _serves(self, root: str) -> bool:
        try:
            await self._api.request("GET", root)
        except ApiError as error:
            if error.code in (403, 404):
                return False
            raise
        return True

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self.log.debug("/version: {error}", error=str(failure.value))
        self._again(self._backoff.delay(self._reactor.seconds()))

    def _again(self, delay: float) -> None:
        if self.running:
            self._timer = self._reactor.callLater(delay, self._ask)
