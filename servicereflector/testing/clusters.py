"""Clusters in memory, and the program between them: deterministic, without sockets or waiting.

::

    mesh = Mesh()
    east = mesh.join("east")
    west = mesh.join("west", sources=["east"])
    east.cluster.put(SERVICES, service("shop/cart"))
    east.cluster.put(ENDPOINTS, endpoints("shop/cart", ["10.1.0.7"]))
    mesh.network.settle()
    assert west.cluster.get(SERVICES, "shop/cart")["spec"]["clusterIP"]
    mesh.stop()

Everything speaks HTTP through the real client, parsers and resources. Time stands still but for
``mesh.network.advance(seconds)``; the same calls give the same run, uids and times included.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from itertools import count
from random import Random
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from twisted.internet.defer import Deferred, succeed

from ..client.http import KubeClient
from ..embedded.api import EmbeddedApi
from ..embedded.cluster import Cluster
from ..kube.objects import Json, key_of, split_key
from ..kube.resources import NAMESPACES, Resource
from ..kube.selectors import LabelSelector
from ..listwatch.machine import Timing
from ..program import Program, Roles, SourceClient, Surroundings
from ..reflector.follower import SourceSettings
from ..reflector.recorder import rfc3339
from .network import Network, Server

#: When a network's clock stands at 0.
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)

#: A source of a node: another node, by its name; and how it is reflected, where not as usual.
NodeSource = str | tuple[str, SourceSettings]

EVERYTHING = Roles(emitted=LabelSelector(), reflected=LabelSelector())


def service(
    key: str,
    *,
    ports: Iterable[int] = (80,),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Json:
    """A Service document.

    :param key: ``namespace/name``.
    :param spec: further members of the spec, such as ``type`` or ``clusterIP``.
    """
    named = [{"name": f"p{port}", "port": port, "protocol": "TCP"} for port in ports]
    return _document(
        key, labels, annotations, apiVersion="v1", kind="Service", spec={"ports": named, **spec}
    )


def endpoints(
    key: str,
    addresses: Iterable[str],
    *,
    ports: Iterable[int] = (80,),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """An Endpoints document; without addresses, one without subsets."""
    subset = {
        "addresses": [{"ip": address} for address in addresses],
        "ports": [{"name": f"p{port}", "port": port, "protocol": "TCP"} for port in ports],
    }
    subsets = [subset] if subset["addresses"] else []
    return _document(key, labels, annotations, apiVersion="v1", kind="Endpoints", subsets=subsets)


def _document(
    key: str,
    labels: Mapping[str, str] | None,
    annotations: Mapping[str, str] | None,
    **rest: Any,
) -> Json:
    namespace, name = split_key(key)
    metadata: Json = {"namespace": namespace, "name": name}
    if labels:
        metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, **rest}


class MemoryCluster:
    """An embedded cluster whose API is served on a network in memory.

    :ivar model: the cluster itself, beneath the API.
    :ivar server: its API; its faults are there.
    """

    def __init__(
        self, name: str = "cluster", network: Network | None = None, **options: Any
    ) -> None:
        """
        :param name: also makes the uids, so they differ between clusters.
        :param network: a new one by default.
        :param options: as :class:`Cluster` takes them, such as ``service_range``.
        """
        self.name = name
        self.network = network or Network()
        numbers = count(1)
        self.model = Cluster(
            now=self.now,
            uid=lambda: str(uuid5(NAMESPACE_DNS, f"{next(numbers)}.{name}")),
            **options,
        )
        self.api = EmbeddedApi(self.network.clock, self.model)
        self.server: Server = self.network.serve(name, self.api.app.resource())

    def epoch(self) -> float:
        """The network's time, in seconds since 1970."""
        return EPOCH.timestamp() + self.network.clock.seconds()

    def now(self) -> str:
        """The network's time, as Kubernetes writes it."""
        return rfc3339(self.epoch())

    def client(self) -> KubeClient:
        """A client of the API; the caller closes it."""
        return self.server.client()

    def get(self, resource: Resource, key: str) -> Json | None:
        """The object as it is now, None where there is none."""
        record = self.model.stores[resource].get(key)
        return None if record is None else record.document()

    def keys(self, resource: Resource) -> list[str]:
        """The keys of all objects, in the order of a list."""
        return sorted(record.key for record in self.model.stores[resource])

    def put(self, resource: Resource, document: Json) -> Json:
        """Create the object, or replace the one of its name; its namespace is made if need be.

        :raises ApiError: as the API does.
        """
        document = copy.deepcopy(document)
        metadata = document["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if namespace and self.get(NAMESPACES, namespace) is None:
            self.model.create(NAMESPACES, "", {"metadata": {"name": namespace}})
        if self.get(resource, key_of(namespace, name)) is None:
            return self.model.create(resource, namespace, document).document()
        return self.model.update(resource, namespace, name, document).document()

    def delete(self, resource: Resource, key: str) -> None:
        """
        :raises ApiError: 404, where there is none.
        """
        self.model.delete(resource, *split_key(key))


class Node:
    """One cluster of a mesh, with the program that runs for it, or one of its replicas.

    :ivar name: that of its Emitter, and of its identity where it stands for election.
    :ivar cluster: the host.
    :ivar api: the way to the host: the cluster's own server, or that of a further replica, which
        has its own faults.
    :ivar emitter: the Emitter's server; its faults are there.
    :ivar program: the one that runs now, None between :meth:`stop` and :meth:`start`.
    """

    def __init__(
        self,
        mesh: Mesh,
        name: str,
        cluster: MemoryCluster,
        api: Server,
        sources: Sequence[NodeSource],
        roles: Roles,
        timing: Timing | None,
    ) -> None:
        self.name = name
        self.cluster = cluster
        self.api = api
        self.emitter: Server | None = None
        self.program: Program | None = None
        self._mesh = mesh
        self._sources = tuple(sources)
        self._clients: dict[NodeSource, SourceClient] = {}
        self._roles = roles
        self._timing = timing
        self._starts = 0
        self._killed = False

    def start(self) -> None:
        """Start a program that knows nothing of an earlier one."""
        network = self.cluster.network
        world = Surroundings(network.clock, self._mesh.random, self.cluster.epoch, self._timing)
        self._clients = {source: self._client(source) for source in self._sources}
        sources = list(self._clients.values())
        if self._killed:
            self.api.refuse(False)
        self._killed = False
        self._starts += 1
        self.program = Program(world, self.api.client(), sources, self._own_roles())
        if self.program.read_api is not None:
            resource = self.program.read_api.app.resource()
            self.emitter = network.serve(_emitter_name(self.name), resource)
        self.program.startService()
        network.settle()

    def _own_roles(self) -> Roles:
        """Each process stands for election under a name of its own."""
        candidacy = self._roles.candidacy
        if candidacy is None:
            return self._roles
        identity = f"{self.name}_{self._starts}"
        return replace(self._roles, candidacy=replace(candidacy, identity=identity))

    def use_sources(self, *sources: NodeSource) -> None:
        """Have it reflect these from now on, without a restart; equal ones stay as they are."""
        self._sources = sources
        self._clients = {s: self._clients.get(s) or self._client(s) for s in sources}
        if self.program is not None:
            self.program.use_sources(list(self._clients.values()))

    def _client(self, source: NodeSource) -> SourceClient:
        name, settings = source if isinstance(source, tuple) else (source, SourceSettings(source))
        return SourceClient(settings, self.cluster.network.client(_emitter_name(name)))

    def stop(self) -> None:
        """Stop the program as SIGTERM does; its Emitter refuses connections from now on."""
        program, self.program = self.program, None
        if program is None:
            return
        if self.emitter is not None:
            self.emitter.refuse()
        self.cluster.network.wait(_whenever(program.stopService()), seconds=30)
        if self.emitter is not None:
            self.emitter.cut()

    def kill(self) -> None:
        """End the program as SIGKILL does: nothing that it would still say is heard by anybody.
        Its way to the host refuses connections until it is started again."""
        self._killed = True
        self.api.refuse()
        self.api.cut()
        self.stop()

    def restart(self) -> None:
        self.stop()
        self.start()


class Mesh:
    """Clusters and their programs on one network.

    :ivar nodes: by name, in the order in which they joined.
    :ivar random: what the programs draw from, seeded.
    """

    def __init__(self, seed: int = 0) -> None:
        self.network = Network()
        self.nodes: dict[str, Node] = {}
        self.random = Random(seed).random

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def join(
        self,
        name: str,
        sources: Sequence[NodeSource] = (),
        *,
        roles: Roles = EVERYTHING,
        timing: Timing | None = None,
        cluster: MemoryCluster | None = None,
    ) -> Node:
        """Add a cluster and start its program.

        :param sources: the names of the nodes whose Emitters it reflects; they may join later.
        :param cluster: one that exists, of this network, in the place of a new one: that of another
            node for a further replica, with a name of its own.
        """
        cluster = cluster or MemoryCluster(name, self.network)
        api = cluster.server
        if any(node.cluster is cluster for node in self.nodes.values()):
            api = self.network.serve(f"{name}.api", cluster.api.app.resource())
        node = self.nodes[name] = Node(self, name, cluster, api, sources, roles, timing)
        node.start()
        return node

    def settle(self) -> None:
        """See :meth:`Network.settle`."""
        self.network.settle()

    def advance(self, seconds: float) -> None:
        """See :meth:`Network.advance`."""
        self.network.advance(seconds)

    def stop(self) -> None:
        """Stop all programs."""
        for node in self.nodes.values():
            node.stop()


def _emitter_name(name: str) -> str:
    return f"{name}.emitter"


def _whenever(result: object) -> Deferred[Any]:
    return result if isinstance(result, Deferred) else succeed(result)
