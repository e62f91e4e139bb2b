"""The two roles over their clients: which store feeds what.

Everything here is handed in, sockets and files included in neither direction; so the command, the
demo and the tests put the same program together, over TCP or in memory, in real or in made time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .emitter.api import ReadApi
from .emitter.collection import Served
from .kube.objects import Record
from .kube.resources import ENDPOINTS, ENDPOINTSLICES, EVENTS, NAMESPACES, SERVICES
from .kube.selectors import LabelSelector
from .kube.slices import MANAGED_BY, MANAGER
from .listwatch.informer import Api, Informer
from .listwatch.machine import Timing
from .listwatch.version import VersionApi, VersionPoller
from .mirror.ownership import is_exported
from .mirror.policy import Policy
from .reflector.abilities import Abilities
from .reflector.controller import Controller
from .reflector.events import conflict_event
from .reflector.following import SliceFollower
from .reflector.host import Host, Writer
from .reflector.slices import Slices
from .reflector.sources import Source
from .store.versioned import MAX_CHANGES, Predicate, Store

#: The name that the host has beside the sources in logs and metrics.
HOST = "host"

#: Seconds for which stopping waits for connections to close.
CLOSE_TIMEOUT = 1.0


class Client(Api, VersionApi, Writer, Protocol):
    """What the program needs of a cluster's client: KubeClient is one."""

    def close(self) -> Deferred[None]: ...


@dataclass(frozen=True, slots=True)
class SourceClient:
    """A source, by the name that its mirrors carry."""

    name: str
    client: Client


@dataclass(frozen=True, slots=True)
class Roles:
    """
    :ivar namespace: the one namespace that both roles are limited to, ``""`` for all.
    :ivar emitted: what the Emitter shows, None for no Emitter.
    :ivar reflected: what is asked of the sources, None for no Reflector.
    :ivar policy: how the Reflector mirrors.
    """

    namespace: str = ""
    emitted: LabelSelector | None = None
    reflected: LabelSelector | None = None
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program takes from the world.

    :ivar random: a draw from [0, 1).
    :ivar epoch: the time in seconds since 1970.
    """

    reactor: IReactorTime
    random: Callable[[], float]
    epoch: Callable[[], float]
    timing: Timing | None = None


def rfc3339(seconds: float) -> str:
    """A time as Kubernetes writes it."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Program(MultiService):
    """One cluster's Emitter and Reflector.

    :ivar read_api: the Emitter's Klein resource, None without that role.
    :ivar controller: None without the role of the Reflector.
    """

    log = Logger()

    def __init__(
        self,
        world: Surroundings,
        host: Client,
        sources: Sequence[SourceClient],
        roles: Roles,
    ) -> None:
        super().__init__()
        self.informers: list[Informer] = []
        self.read_api: ReadApi | None = None
        self.controller: Controller | None = None
        self._world = world
        self._host = host
        self._clients: list[Client] = [host, *(source.client for source in sources)]
        self._events_sent = 0
        self._emitted: Predicate | None = None
        self._mirrors: Host | None = None
        self._namespace = roles.namespace
        self._telling: set[Deferred[Any]] = set()
        self.version = VersionPoller(
            world.reactor,
            host,
            random=world.random,
            known=self._host_known,
            tables=(SERVICES, ENDPOINTS, ENDPOINTSLICES) if roles.emitted is not None else (),
            namespace=roles.namespace,
        )
        self.version.setServiceParent(self)
        # Only an Emitter's clients read the history.
        self._kept = MAX_CHANGES if roles.emitted is not None else 0
        self._services, self._endpoints = (
            self._follow(HOST, host, Store(resource, max_changes=self._kept), roles.namespace).store
            for resource in (SERVICES, ENDPOINTS)
        )
        self._abilities = Abilities(lambda: self.version.current, self._services)
        if roles.emitted is not None:
            self.read_api = self._make_emitter(roles.emitted)
        if roles.reflected is not None:
            self.controller = self._make_reflector(sources, roles, str(roles.reflected))

    @inlineCallbacks
    def stopService(self) -> Any:
        """Streams end first, so that clients go elsewhere; then the work, then the connections."""
        if self.read_api is not None:
            self.read_api.stop()
        for telling in tuple(self._telling):
            telling.cancel()
        yield MultiService.stopService(self)
        closed = DeferredList([client.close() for client in self._clients], consumeErrors=True)
        # A server that no longer answers does not say goodbye either.
        yield closed.addTimeout(CLOSE_TIMEOUT, self._world.reactor, lambda *_: None)

    def problem(self) -> str:
        """Why the program cannot do its work yet, ``""`` if it can."""
        waiting = [
            informer.store.resource.plural
            for informer in self.informers
            if informer.source == HOST
            and not informer.store.synced
            # An older role does not let us read these: their lists answer 429 then.
            and not (informer.store is self._abilities.slices and self._abilities.forbidden)
        ]
        if waiting:
            return f"the host's first lists are not in: {', '.join(waiting)}"
        return "" if self.version.current is not None else "the host's version is not known"

    def _follow(
        self,
        source: str,
        api: Api,
        store: Store,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        troubled: Callable[[Exception], None] = lambda _error: None,
    ) -> Informer:
        informer = Informer(
            self._world.reactor,
            api,
            store,
            random=self._world.random,
            source=source,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            timing=self._world.timing,
            troubled=troubled,
        )
        informer.setServiceParent(self)
        self.informers.append(informer)
        return informer

    def _unfollow(self, informer: Informer) -> None:
        self.informers.remove(informer)
        informer.disownServiceParent()

    def _make_emitter(self, selector: LabelSelector) -> ReadApi:
        def emitted(record: Record) -> bool:
            return is_exported(record) and selector.matches(record.labels)

        self._emitted = emitted
        return ReadApi(
            self._world.reactor,
            [Served(self._services, emitted), Served(self._endpoints, emitted)],
            server=lambda: self.version.current,
            now=self._world.epoch,
        )

    def _make_reflector(
        self, sources: Sequence[SourceClient], roles: Roles, selector: str
    ) -> Controller:
        # One namespace can be watched with the right to just that one.
        only = f"metadata.name={roles.namespace}" if roles.namespace else ""
        namespaces = self._follow(
            HOST, self._host, Store(NAMESPACES, max_changes=0), "", field_selector=only
        ).store
        self._mirrors = Host(self._host, namespaces, self._services, self._endpoints)
        controller = Controller(
            self._world.reactor,
            self._mirrors,
            [self._make_source(source, roles.namespace, selector) for source in sources],
            features=self._abilities.features,
            policy=roles.policy,
            in_conflict=self._tell_of_conflict,
        )
        controller.setServiceParent(self)
        return controller

    def _make_source(self, source: SourceClient, namespace: str, selector: str) -> Source:
        def follow(
            store: Store, troubled: Callable[[Exception], None] = lambda _e: None
        ) -> Informer:
            return self._follow(
                source.name,
                source.client,
                store,
                namespace,
                label_selector=selector,
                troubled=troubled,
            )

        services, endpoints = (
            follow(Store(resource, max_changes=0)).store for resource in (SERVICES, ENDPOINTS)
        )
        slices = Slices()
        SliceFollower(
            self._world.reactor,
            source.client,
            slices,
            follow=follow,
            unfollow=self._unfollow,
            random=self._world.random,
            source=source.name,
            namespace=namespace,
        ).setServiceParent(self)
        return Source(source.name, services, endpoints, slices)

    def _host_known(self) -> None:
        """The host has told its version, or has got another."""
        server = self.version.current
        assert server is not None
        served = server.entry(ENDPOINTSLICES) is not None
        slices = self._abilities.slices
        if served and slices is None:
            slices = self._follow_host_slices()
        self._abilities.host_changed()
        if self._mirrors is not None and self.controller is not None:
            if served and slices is not None:
                self._mirrors.slices.follow(slices)
            else:
                self._mirrors.slices.forget()
            self.controller.host_changed()

    def _follow_host_slices(self) -> Store:
        store = self._abilities.slices = Store(ENDPOINTSLICES, max_changes=self._kept)
        ours = f"{MANAGED_BY}={MANAGER}" if self._emitted is None else ""
        self._follow(
            HOST,
            self._host,
            store,
            self._namespace,
            label_selector=ours,
            troubled=self._abilities.troubled,
        )
        if self.read_api is not None and self._emitted is not None:
            self.read_api.serve(Served(store, self._emitted))
        return store

    def _tell_of_conflict(self, key: str, source: str, reason: str) -> None:
        store = self._services if self._services.get(key) else self._endpoints
        involved = store.get(key)
        if involved is None:
            return
        self._events_sent += 1
        unique = f"{int(self._world.random() * 2**48):012x}{self._events_sent:04x}"
        event = conflict_event(
            store.resource, involved, source, reason, rfc3339(self._world.epoch()), unique
        )
        sent = Deferred.fromCoroutine(self._host.create(EVENTS, event))
        self._telling.add(sent)
        sent.addErrback(
            lambda failure: self.log.warn(
                "the Event of {key} was not taken: {error}", key=key, error=str(failure.value)
            )
        )
        sent.addBoth(lambda _: self._telling.discard(sent))
