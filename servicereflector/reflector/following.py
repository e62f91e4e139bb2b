"""The Service that follows a source's EndpointSlices as long as the source serves them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..kube.resources import ENDPOINTSLICES
from ..kube.status import ApiError
from ..kube.text import shown
from ..listwatch.api import Api
from ..listwatch.informer import Informer
from ..listwatch.probe import ABSENT, Probe
from ..outages import Outage
from ..reasons import Code
from ..store.versioned import Store
from .slices import Slices

#: Seconds for which a source that served slices may refuse them before that is believed: an API
#: server that starts knows neither all its groups nor all its roles, and to fall back to Endpoints
#: rewrites every mirror.
PATIENCE = 10.0


class SliceFollower(MultiService):
    """
    :param slices: what is to know them; told that there are none where the source has none.
    :param follow: makes the informer of a store, and has it tell its failures.
    :param unfollow: ends what ``follow`` began.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        api: Api,
        slices: Slices,
        *,
        follow: Callable[[Store, Callable[[Exception], None]], Informer],
        unfollow: Callable[[Informer], None],
        random: Callable[[], float],
        source: str,
        namespace: str = "",
        outage: Outage | None = None,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._slices = slices
        self._source = source
        self._follow = follow
        self._unfollow = unfollow
        self._informer: Informer | None = None
        self._refused_since: float | None = None
        self._probe = Probe(
            reactor,
            api,
            ENDPOINTSLICES,
            random=random,
            source=source,
            namespace=namespace,
            found=self._found,
            absent=slices.forget,
            outage=outage,
        )
        self._probe.setServiceParent(self)

    def _found(self) -> None:
        store = Store(ENDPOINTSLICES, max_changes=0)
        self._refused_since = None
        self._slices.follow(store)
        self._informer = self._follow(store, self._troubled)

    def _troubled(self, error: Exception) -> None:
        informer = self._informer
        if informer is None:
            return
        if not isinstance(error, ApiError) or error.code not in ABSENT:
            self._refused_since = None
            return
        now = self._reactor.seconds()
        since, heard_at = self._refused_since, informer.stats.heard_at
        if since is None or (heard_at is not None and heard_at > since):
            since = self._refused_since = now
        if informer.store.synced and now - since < PATIENCE:
            return
        self.log.warn(
            "{source}: no endpointslices any more, its Endpoints are read instead: {error}",
            reason=Code.SLICES_NOT_SERVED,
            source=self._source,
            resource=ENDPOINTSLICES.plural,
            error=shown(str(error)),
        )
        self._informer = None
        self._unfollow(informer)
        self._slices.forget()
        self._probe.ask_later()
