"""What takes part: clusters that know who writes, and processes that may end or sleep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from ownership_model import is_ours, texts
from twisted.internet.defer import Deferred, succeed

from servicereflector.embedded.api import EmbeddedApi
from servicereflector.embedded.cluster import Cluster, Preconditions
from servicereflector.kube.annotations import SOURCE
from servicereflector.kube.objects import Json, Record, key_of
from servicereflector.kube.resources import EVENTS, SERVICES, Resource
from servicereflector.listwatch.machine import Timing
from servicereflector.program import Program, Roles, SourceClient, Surroundings
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import MemoryCluster

from .clocks import ProcessClock
from .network import SimNetwork


class Broken(AssertionError):
    """A promise is broken: what, where and when."""


class Guard:
    """A cluster as a program's requests reach it: each write is judged before it is done.

    :ivar writes: how many changed something.
    :ivar deleted: called with the key of a mirror's Service and its source's name before it goes.
    """

    def __init__(self, name: str, model: Cluster) -> None:
        self.name = name
        self.model = model
        self.stores = model.stores
        self.writes = 0
        self.log: list[str] = []
        self.before: Callable[[str, Resource, str], None] = lambda _verb, _resource, _key: None
        self.deleted: Callable[[str, str], None] = lambda _key, _source: None
        self.tell: Callable[[str], None] = lambda _what: None

    def create(
        self, resource: Resource, namespace: str, document: Json, *, dry_run: bool = False
    ) -> Record:
        if dry_run:
            return self.model.create(resource, namespace, document, dry_run=True)
        name = (document.get("metadata") or {}).get("name", "")
        self.before("create", resource, key_of(namespace, name))
        return self._counted("create", resource, self.model.create, resource, namespace, document)

    def update(self, resource: Resource, namespace: str, name: str, document: Json) -> Record:
        self.before("update", resource, key_of(namespace, name))
        self._judge("updates", resource, key_of(namespace, name), document)
        done = self.model.update
        return self._counted("update", resource, done, resource, namespace, name, document)

    def delete(
        self, resource: Resource, namespace: str, name: str, wanted: Preconditions | None = None
    ) -> Record:
        self.before("delete", resource, key_of(namespace, name))
        current = self.stores[resource].get(key_of(namespace, name))
        met = current is not None and (
            wanted is None
            or (
                wanted.uid in ("", current.uid)
                and wanted.resource_version in ("", str(current.version))
            )
        )
        if met:
            self._judge("deletes", resource, key_of(namespace, name), None)
            assert current is not None
            if resource is SERVICES:
                told = texts(current.document(), "annotations")
                self.deleted(current.key, told.get(SOURCE, ""))
        return self._counted(
            "delete", resource, self.model.delete, resource, namespace, name, wanted
        )

    def _judge(self, verb: str, resource: Resource, key: str, document: Json | None) -> None:
        if resource is EVENTS:
            return
        current = self.stores[resource].get(key)
        if current is None or is_ours(current.document()):
            return
        if document is not None:
            told = document.get("metadata", {})
            if told.get("resourceVersion") not in (None, "", str(current.version)):
                return  # it will be refused
            if told.get("uid") not in (None, "", current.uid):
                return
        self.tell(f"the program {verb} the foreign {resource.kind} {key}")

    def _counted(self, verb: str, resource: Resource, do: Any, *args: Any) -> Record:
        before = self.model.version
        record: Record = do(*args)
        if self.model.version != before and resource is not EVENTS:
            self.writes += 1
            self.log.append(f"{verb} {resource.plural} {record.key}")
        return record


class SimCluster(MemoryCluster):
    """
    :ivar guard: what programs reach.
    """

    def __init__(self, name: str, network: SimNetwork) -> None:
        self.name = name
        self.network = network
        numbers = count(1)
        self.model = Cluster(
            now=self.now, uid=lambda: str(uuid5(NAMESPACE_DNS, f"{next(numbers)}.{name}"))
        )
        self.api = EmbeddedApi(network.clock, self.model)
        self.guard = self.api.cluster = Guard(name, self.model)  # type: ignore[assignment]
        self.server = network.serve(name, self.api.app.resource())  # type: ignore[assignment]

    def backup(self) -> object:
        model = self.model
        return (
            {resource: tuple(store) for resource, store in model.stores.items()},
            [set(pool.used) for pool in model._services._pools.values()],
            model.version,
        )

    def restore(self, backup: Any, ahead: int) -> None:
        """
        :param ahead: by how much newer than all that was the versions are, all older ones being
            unknown; 0: the versions go back too.
        """
        stores, used, version = backup
        model = self.model
        if ahead:
            version = model.version + ahead
        for pool, addresses in zip(model._services._pools.values(), used, strict=True):
            pool.used = set(addresses)
        model._version = version
        for resource, records in stores.items():
            model.stores[resource].replace(records, version)

    def expire(self, writes: int = 1) -> None:
        """As if compacted after so many writes elsewhere: nobody can go on from what was seen."""
        self.model._version += writes
        for store in self.model.stores.values():
            store.replace(tuple(store), self.model._version)

    def put_all(self, *documents: tuple[Resource, Json]) -> None:
        for resource, document in documents:
            self.put(resource, document)

    def foreign(self, resource: Resource, key: str) -> bool:
        there = self.get(resource, key)
        return there is not None and not is_ours(there)


class Process:
    """A cluster's program, from its start to its end."""

    def __init__(
        self,
        cluster: SimCluster,
        sources: Sequence[SourceSettings],
        roles: Roles,
        timing: Timing,
        random: Callable[[], float],
        epoch_offset: float = 0.0,
    ) -> None:
        network: SimNetwork = cluster.network  # type: ignore[assignment]
        self.cluster = cluster
        self.network = network
        self.epoch_offset = epoch_offset
        self.clock = ProcessClock(network.clock)
        self.stopping: Deferred[None] | None = None
        self.stopped_at: float | None = None
        world = Surroundings(
            self.clock, random, lambda: cluster.epoch() + self.epoch_offset, timing
        )
        clients = [
            SourceClient(s, network.client(f"{s.name}.emitter", self.clock)) for s in sources
        ]
        self.program = Program(world, network.client(cluster.name, self.clock), clients, roles)
        if self.program.read_api is not None:
            resource = self.program.read_api.app.resource()
            self.emitter = network.serve(f"{cluster.name}.emitter", resource, self.clock)
            self.emitter.refusing = False
        else:
            self.emitter = None
        self.program.startService()

    @property
    def alive(self) -> bool:
        return not self.clock.dead and self.stopping is None

    def stop(self) -> None:
        """As SIGTERM does; a machine that does not end in time is killed."""
        if not self.alive or self.clock.asleep:
            return
        if self.emitter is not None:
            self.emitter.refusing = True
        done = self.program.stopService()
        self.stopping = done if isinstance(done, Deferred) else succeed(None)
        self.stopping.addCallback(self._stopped)

    def _stopped(self, _result: object) -> None:
        self.stopped_at = self.network.clock.seconds()
        if self.emitter is not None:
            self.emitter.cut()

    def kill(self, *, vanish: bool = False) -> None:
        """
        :param vanish: whether its kernel is gone too, so that nobody hears of it.
        """
        if self.clock.dead:
            return
        self.clock.dead = True
        if self.emitter is not None:
            self.emitter.refusing = True
        self.network.close_of(self.clock, vanish=vanish)

    def sleep(self) -> None:
        self.clock.sleep()

    def wake(self) -> None:
        self.clock.wake()
        self.network.touch_all()
