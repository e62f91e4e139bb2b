"""The two roles over their clients: which store feeds what.

Everything here is handed in, sockets and files included in neither direction; so the command, the
demo and the tests put the same program together, over TCP or in memory, in real or in made time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .election.fence import Fence
from .election.service import Candidacy, LeaderElection, LeaseApi
from .emitter.api import ReadApi
from .emitter.bounds import UNLIMITED, ReadLimits
from .emitter.collection import Served
from .kube.objects import Record, split_key
from .kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES
from .kube.selectors import LabelSelector
from .kube.slices import MANAGED_BY, MANAGER
from .listwatch.api import Api
from .listwatch.informer import Informer
from .listwatch.limits import Limits
from .listwatch.machine import Timing
from .listwatch.quota import Room
from .listwatch.version import VersionApi, VersionPoller
from .mirror.features import Features
from .mirror.networks import Network
from .mirror.policy import Policy
from .mirror.states import is_exported
from .outages import Outage
from .reflector.abilities import Abilities
from .reflector.comparison import Comparison
from .reflector.controller import Controller
from .reflector.correlation import Involved, Occurrence
from .reflector.follower import SourceFollower, SourceSettings
from .reflector.host import Host, Writer
from .reflector.namespaces import NamespaceCleaner
from .reflector.ranges import RangesApi, ServiceRanges
from .reflector.recorder import Recorder
from .reflector.reserved import HostAddresses
from .reflector.statuses import Notice
from .store.versioned import MAX_CHANGES, Predicate, Store

#: The name that the host has beside the sources in logs and metrics.
HOST = "host"

#: Seconds for which stopping waits for connections to close.
CLOSE_TIMEOUT = 1.0


class Client(Api, VersionApi, Writer, LeaseApi, RangesApi, Protocol):
    """What the program needs of a cluster's client: KubeClient is one."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = ...,
        body: bytes | None = ...,
        accept: str = ...,
    ) -> Coroutine[Any, Any, bytes]: ...

    def close(self) -> Deferred[None]: ...


@dataclass(frozen=True, slots=True, eq=False)
class SourceClient:
    """A source, and how to reach it. One that changes in any way is another."""

    settings: SourceSettings
    client: Client


@dataclass(frozen=True, slots=True)
class Roles:
    """
    :ivar namespace: the one namespace that both roles are limited to, ``""`` for all.
    :ivar emitted: what the Emitter shows, None for no Emitter.
    :ivar reflected: what is asked of the sources, None for no Reflector.
    :ivar policy: how the Reflector mirrors.
    :ivar delete_namespaces: whether namespaces that it created are deleted when they are empty.
    :ivar compare_period: seconds between comparisons of all that there is, 0 for none.
    :ivar read_limits: what the Emitter's clients may have at a time.
    :ivar service_ranges: what the host takes ClusterIPs from; none where it is to be asked.
    :ivar host_url: of its API server, ``""`` where that is not known.
    :ivar candidacy: of a Reflector that writes only while it leads others, None for one alone.
    """

    namespace: str = ""
    emitted: LabelSelector | None = None
    reflected: LabelSelector | None = None
    policy: Policy = field(default_factory=Policy)
    delete_namespaces: bool = False
    compare_period: float = 0.0
    service_ranges: tuple[Network, ...] = ()
    host_url: str = ""
    candidacy: Candidacy | None = None
    read_limits: ReadLimits = UNLIMITED


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program takes from the world.

    :ivar reactor: what leading goes by, too: its seconds are of a clock that nobody sets.
    :ivar random: a draw from [0, 1).
    :ivar epoch: the time in seconds since 1970.
    """

    reactor: IReactorTime
    random: Callable[[], float]
    epoch: Callable[[], float]
    timing: Timing | None = None
    limits: Limits | None = None


class Program(MultiService):
    """One cluster's Emitter and Reflector.

    :ivar informers: of the host and of all sources.
    :ivar read_api: the Emitter's Klein resource, None without that role.
    :ivar controller: None without the role of the Reflector.
    :ivar comparison: None where nothing is compared.
    :ivar election: None where the Reflector is alone.
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
        self.comparison: Comparison | None = None
        self.election: LeaderElection | None = None
        self._world = world
        self._host = host
        self._outage = Outage()  # of the host
        self._followers: dict[SourceClient, SourceFollower] = {}
        self._closing: set[Deferred[None]] = set()
        self._emitted: Predicate | None = None
        self._mirrors: Host | None = None
        self._ranges: ServiceRanges | None = None  # while the host is asked for them
        self._recorder: Recorder | None = None
        self._leading = MultiService()  # what runs only while this process may write
        self._namespace = roles.namespace
        self._roles = roles
        self.version = VersionPoller(
            world.reactor,
            host,
            random=world.random,
            known=self._host_known,
            tables=(SERVICES, ENDPOINTS, ENDPOINTSLICES) if roles.emitted is not None else (),
            namespace=roles.namespace,
            outage=self._outage,
        )
        self.version.setServiceParent(self)
        # Only an Emitter's clients read the history.
        self._kept = MAX_CHANGES if roles.emitted is not None else 0
        self._services, self._endpoints = (
            self._follow_host(Store(resource, max_changes=self._kept), roles.namespace).store
            for resource in (SERVICES, ENDPOINTS)
        )
        self._abilities = Abilities(lambda: self.version.current, self._services)
        if roles.emitted is not None:
            self.read_api = self._make_emitter(roles.emitted)
        if roles.reflected is not None:
            self.controller = self._make_reflector(roles.policy)
            if roles.compare_period:
                self.comparison = self._make_comparison(self.controller)
            self.use_sources(sources, roles.policy.spared)

    def startService(self) -> None:
        MultiService.startService(self)
        if self.election is not None:
            self.election.startService()

    @inlineCallbacks
    def stopService(self) -> Any:
        """Streams end first, so that clients go elsewhere; then the work, and when that has ended,
        the Lease is given away; then the connections."""
        if self.read_api is not None:
            self.read_api.stop()
        if self._recorder is not None:
            self._recorder.stop()
        yield MultiService.stopService(self)
        if self.election is not None:
            yield self.election.stopService()
        clients = [self._host, *(source.client for source in self._followers)]
        closed = DeferredList(
            [*(client.close() for client in clients), *self._closing], consumeErrors=True
        )
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

    @property
    def sources(self) -> tuple[SourceClient, ...]:
        """Those that are followed, in configured order."""
        return tuple(self._followers)

    @property
    def followers(self) -> dict[str, SourceFollower]:
        """Who follows each source, by its name, in configured order."""
        return {f.settings.name: f for f in self._followers.values()}

    def use_sources(
        self, sources: Sequence[SourceClient], spared: Iterable[str] | None = ()
    ) -> None:
        """These are the sources from now on, in this order; those that were there before stay as
        they are, and keep what they know.

        :param spared: the names of others, which cannot be followed now, but are not gone; None
            where those are not known yet.
        """
        controller = self.controller
        if controller is None:
            return
        gone = [source for source in self._followers if source not in sources]
        followers = {s: self._followers.get(s) or self._make_follower(s) for s in sources}
        before, self._followers = self._followers, followers
        controller.use([follower.source for follower in followers.values()], spared)
        for source in gone:
            for informer in before[source].informers:
                self.informers.remove(informer)
            before[source].disownServiceParent()
            self._close(source.client)

    def _close(self, client: Client) -> None:
        closing = client.close()
        self._closing.add(closing)
        closing.addBoth(lambda _: self._closing.discard(closing))

    def _follow(
        self,
        parent: MultiService,
        source: str,
        api: Api,
        store: Store,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        troubled: Callable[[Exception], None] = lambda _error: None,
        heard: Callable[[], None] = lambda: None,
        recovered: Callable[[], None] = lambda: None,
        timing: Timing | None = None,
        room: Room | None = None,
        outage: Outage | None = None,
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
            timing=timing or self._world.timing,
            limits=self._world.limits,
            room=room,
            outage=outage,
            troubled=troubled,
            heard=heard,
            recovered=recovered,
        )
        informer.setServiceParent(parent)
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
            limits=self._roles.read_limits,
        )

    def _follow_host(self, store: Store, namespace: str, **options: Any) -> Informer:
        return self._follow(
            self,
            HOST,
            self._host,
            store,
            namespace,
            recovered=self._host_recovered,
            outage=self._outage,
            **options,
        )

    def _host_recovered(self) -> None:
        if self.controller is not None:
            self.controller.host_recovered()

    def _make_reflector(self, policy: Policy) -> Controller:
        # One namespace can be watched with the right to just that one.
        only = f"metadata.name={self._namespace}" if self._namespace else ""
        namespaces = self._follow_host(
            Store(NAMESPACES, max_changes=0), "", field_selector=only
        ).store
        world = self._world
        writer: Writer = self._host
        if self._roles.candidacy is not None:
            self.election = self._make_election(self._roles.candidacy)
            writer = Fence(self._host, self._may_write)
        addresses = self._make_addresses()
        self._mirrors = Host(
            writer,
            self._host,
            namespaces,
            self._services,
            self._endpoints,
            reserved=addresses.reserved,
        )
        self._recorder = Recorder(world.reactor, writer, epoch=world.epoch, random=world.random)
        controller = Controller(
            world.reactor,
            self._mirrors,
            (),
            features=self._features,
            policy=policy,
            told=self._tell,
            epoch=world.epoch,
            may_write=self._may_write,
        )
        controller.setServiceParent(self)
        if self._roles.delete_namespaces:
            NamespaceCleaner(
                world.reactor,
                self._host,
                namespaces,
                random=world.random,
                wanted=lambda name: not self._may_write() or controller.fleet.wants_namespace(name),
                namespace=self._namespace,
                outage=self._outage,
            ).setServiceParent(self._leading)
        if self.election is None:
            self._leading.setServiceParent(self)
        return controller

    def _make_addresses(self) -> HostAddresses:
        world, ranges = self._world, self._roles.service_ranges
        addresses = HostAddresses(
            world.reactor,
            self._services,
            self._endpoints,
            self._roles.host_url,
            ranges,
            changed=self._addresses_changed,
        )
        addresses.setServiceParent(self)
        if not ranges:
            self._ranges = ServiceRanges(
                world.reactor,
                self._host,
                addresses.learn,
                random=world.random,
                namespace=self._namespace,
                outage=self._outage,
            )
            self._ranges.setServiceParent(self)
        return addresses

    def _addresses_changed(self) -> None:
        """What is mirrored may have to be refused, or the other way."""
        if self.controller is not None:
            self.controller.look_at_everything()

    def _features(self) -> Features | None:
        """Nothing is planned before it is known which addresses are the host's own."""
        if self._ranges is not None and not self._ranges.known:
            return None
        return self._abilities.features()

    def _make_comparison(self, controller: Controller) -> Comparison:
        def writes() -> bool:
            return controller.may_write()

        comparison = Comparison(
            self._world.reactor,
            controller,
            lambda: (
                i for i in self.informers if i.source == HOST and i.store.resource != NAMESPACES
            ),
            writes=writes,
            period=self._roles.compare_period,
            random=self._world.random,
        )
        comparison.setServiceParent(self)
        return comparison

    def _make_election(self, candidacy: Candidacy) -> LeaderElection:
        world = self._world
        return LeaderElection(
            world.reactor,
            self._host,
            candidacy,
            epoch=world.epoch,
            started=self._started_leading,
            stopped=self._stopped_leading,
        )

    def _may_write(self) -> bool:
        return self.election is None or self.election.leads

    def _started_leading(self) -> None:
        assert self.controller is not None
        assert self._recorder is not None
        self._recorder.start()
        for follower in self._followers.values():
            follower.take_over()
        self.controller.take_over()
        self._leading.setServiceParent(self)

    def _stopped_leading(self) -> None:
        assert self.controller is not None
        assert self._recorder is not None
        self._recorder.stop()
        self._leading.disownServiceParent()
        self.controller.stand_by()

    def _make_follower(self, source: SourceClient) -> SourceFollower:
        assert self.controller is not None
        limits = self._world.limits or Limits()
        follower = SourceFollower(
            self._world.reactor,
            source.client,
            source.settings,
            self._roles.policy,
            follow=self._follow,
            unfollow=self._unfollow,
            silent=self.controller.look_at,
            random=self._world.random,
            namespace=self._namespace,
            selector=str(self._roles.reflected),
            timing=self._world.timing or Timing(idle=limits.idle_timeout),
        )
        follower.setServiceParent(self)
        return follower

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
        self._follow_host(
            store, self._namespace, label_selector=ours, troubled=self._abilities.troubled
        )
        if self.read_api is not None and self._emitted is not None:
            self.read_api.serve(Served(store, self._emitted))
        return store

    def _tell(self, notice: Notice) -> None:
        """Beside the object that has the name; of one that is not there, in its place."""
        assert self._recorder is not None
        store = self._services if self._services.get(notice.key) else self._endpoints
        record = store.get(notice.key)
        namespace, name = split_key(notice.key)
        involved = Involved(
            store.resource if record is not None else SERVICES,
            namespace,
            name,
            record.uid if record is not None else "",
        )
        self._recorder.tell(
            Occurrence(involved, notice.reason.value, notice.message, notice.source)
        )
