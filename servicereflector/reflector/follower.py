"""The Service that follows one source: what it has, and whether it is heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from ..kube.resources import ENDPOINTS, SERVICES
from ..listwatch.api import Api
from ..listwatch.informer import Informer
from ..listwatch.machine import Timing
from ..listwatch.quota import Quotas, Room
from ..mirror.admission import EVERYTHING, Admission
from ..mirror.freshness import Freshness, Patience
from ..mirror.policy import Policy
from ..outages import Outage
from ..reasons import Code
from ..store.versioned import Store
from .following import SliceFollower
from .silence import SilenceWatch
from .slices import Slices
from .sources import Source


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What is to be known of a source beside how to reach it.

    :ivar name: that its mirrors carry.
    :ivar url: of its API, ``""`` where it is not known.
    :ivar selector: the label selector that it is asked with; None for the one of all sources.
    :ivar patience: what follows from its silence.
    :ivar admission: what it may have mirrored.
    :ivar quotas: how much of it is taken in.
    """

    name: str
    url: str = ""
    selector: str | None = None
    patience: Patience = field(default_factory=Patience)
    admission: Admission = EVERYTHING
    quotas: Quotas = field(default_factory=Quotas)


_TOLD = {
    Freshness.FRESH: (LogLevel.info, Code.RECOVERED, "is heard again"),
    Freshness.STALE: (LogLevel.warn, Code.STALE, "endpoints of its mirrors count as not ready"),
    Freshness.REMOVED: (LogLevel.warn, Code.WITHDRAWN, "endpoints of its mirrors are withdrawn"),
}


class Follow(Protocol):
    """Makes an Informer that belongs to a parent; see :class:`Informer`."""

    def __call__(
        self,
        parent: MultiService,
        source: str,
        api: Api,
        store: Store,
        namespace: str,
        *,
        label_selector: str,
        troubled: Callable[[Exception], None],
        heard: Callable[[], None],
        timing: Timing,
        room: Room,
        outage: Outage,
    ) -> Informer: ...


class SourceFollower(MultiService):
    """
    :ivar silence: whether it is heard.
    :ivar source: its stores, for the controller.
    :ivar settings: as they were given.
    :param follow: makes an Informer.
    :param unfollow: ends one.
    :param silent: called when the source has fallen silent, or is heard again.
    :param selector: what all sources are asked with.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        api: Api,
        settings: SourceSettings,
        policy: Policy,
        *,
        follow: Follow,
        unfollow: Callable[[Informer], None],
        silent: Callable[[Source], None],
        random: Callable[[], float],
        namespace: str,
        selector: str,
        timing: Timing | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._api = api
        self._make_informer = follow
        self._end_informer = unfollow
        self._silent = silent
        self._namespace = namespace
        self._selector = selector if settings.selector is None else settings.selector
        self._reactor = reactor
        self._informers: dict[Informer, float] = {}
        self._leads_since = 0.0
        self._outage = Outage()
        self._room = Room(settings.quotas)
        timing, patience = timing or Timing(), settings.patience
        self._timing = replace(
            timing, idle=patience.idle(timing.idle), relist=patience.idle(timing.relist)
        )
        self.silence = SilenceWatch(
            reactor,
            settings.patience,
            self._heard,
            self._freshness_changed,
        )
        services, endpoints = (
            self._follow(Store(resource, max_changes=0), lambda _error: None).store
            for resource in (SERVICES, ENDPOINTS)
        )
        slices = Slices()
        SliceFollower(
            reactor,
            api,
            slices,
            follow=self._follow,
            unfollow=self._unfollow,
            random=random,
            source=settings.name,
            namespace=namespace,
            outage=self._outage,
        ).setServiceParent(self)
        self.silence.setServiceParent(self)
        self.source = Source(
            settings.name,
            services,
            endpoints,
            slices,
            policy=policy,
            aliases=[settings.url] if settings.url else [],
            admission=settings.admission,
            rejects=self._rejects,
        )

    @property
    def informers(self) -> tuple[Informer, ...]:
        """One for each resource that is followed."""
        return tuple(self._informers)

    def quotas_used(self) -> dict[str, float]:
        """Which part of each quota there is, without those that are no limit."""
        quotas = self._room.quotas
        used = {"bytes": (self._room.used, quotas.size)}
        for informer in self._informers:
            resource = informer.store.resource
            used[resource.plural] = (len(informer.store), quotas.most(resource))
        return {name: count / most for name, (count, most) in used.items() if most}

    def _follow(self, store: Store, troubled: Callable[[Exception], None]) -> Informer:
        informer = self._make_informer(
            self,
            self.settings.name,
            self._api,
            store,
            self._namespace,
            label_selector=self._selector,
            troubled=troubled,
            heard=self._note_heard,
            timing=self._timing,
            room=self._room,
            outage=self._outage,
        )
        self._informers[informer] = self._reactor.seconds()
        return informer

    def _unfollow(self, informer: Informer) -> None:
        del self._informers[informer]
        self._end_informer(informer)
        self._room.forget(informer.store.resource)

    def _rejects(self, service: str) -> bool:
        return any(informer.rejections.covers(service) for informer in self._informers)

    def take_over(self) -> None:
        """The process begins to lead. For how long it has heard nothing while another led is no
        reason to mark anything, nor what it heard before that to restore it."""
        self.source.unheard |= self.silence.freshness is not Freshness.FRESH
        self.source.freshness = Freshness.FRESH
        self._leads_since = self._reactor.seconds()
        self.silence.start_over()

    def _note_heard(self) -> None:
        self.silence.note_heard()
        if self.source.unheard and min(self._heard()) >= self._leads_since:
            self.source.unheard = False
            self._silent(self.source)

    def _heard(self) -> list[float]:
        """When each watch was last heard; one that never was counts from its beginning."""
        return [
            began if (heard_at := informer.stats.heard_at) is None else heard_at
            for informer, began in self._informers.items()
        ]

    def _freshness_changed(self, freshness: Freshness) -> None:
        level, code, what = _TOLD[freshness]
        silent = self.silence.silent()
        if freshness is not Freshness.FRESH:
            what = f"has been silent for {silent:.0f} s: {what}"
        self.log.emit(
            level,
            "source {source} {what}",
            reason=code,
            source=self.settings.name,
            what=what,
            state=freshness.value,
            silent_seconds=round(silent, 1),
        )
        self.source.freshness = freshness
        self._silent(self.source)
