"""Replicas of one Reflector in a mesh in memory, and who writes into their cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from servicereflector.election.service import Candidacy
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, LEASES, SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.mirror.policy import Policy
from servicereflector.program import Roles
from servicereflector.reflector.controller import Controller
from servicereflector.testing.clusters import Mesh, NodeSource, endpoints, service

LEASE = "default/service-reflector"
KEY = "shop/cart"


@dataclass(frozen=True, slots=True)
class Write:
    """
    :ivar holder: of the Lease when it arrived, by the name of the replica; ``""`` for nobody.
    """

    time: float
    replica: str
    holder: str
    what: str


class _Recorded(Resource):
    isLeaf = True

    def __init__(self, world: World, replica: str, inner: IResource) -> None:
        super().__init__()
        self._world, self._replica, self._inner = world, replica, inner

    def render(self, request: Request) -> Any:
        # A dry run writes nothing, whoever asks for it.
        quiet = b"/leases" in request.uri or b"dryRun=All" in request.uri
        if request.method != b"GET" and not quiet:
            what = f"{request.method.decode()} {request.path.decode()}"
            now, holder = self._world.now, self._world.holder
            self._world.writes.append(Write(now, self._replica, holder, what))
        return self._inner.render(request)


class World:
    """East, whose Services two replicas mirror into west.

    :ivar writes: all that arrived at west's API, Leases apart.
    """

    def __init__(
        self,
        *sources: NodeSource,
        policy: Policy | None = None,
        replicas: int = 2,
        **roles: Any,
    ) -> None:
        self.writes: list[Write] = []
        self.mesh = Mesh()
        self.east = self.mesh.join("east")
        everything = LabelSelector()
        stood = Roles(
            reflected=everything, policy=policy or Policy(), candidacy=Candidacy(""), **roles
        )
        self.replicas = []
        for number in range(replicas):
            alone = replace(stood, reflected=None)  # until its writes are recorded
            cluster = self.replicas[0].cluster if self.replicas else None
            name = f"west-{number}" if number else "west"
            node = self.mesh.join(name, sources or ["east"], roles=alone, cluster=cluster)
            site = node.api._site
            site.resource = _Recorded(self, name, site.resource)
            node.stop()
            node._roles = stood
            node.start()
            self.replicas.append(node)
        self.cluster = self.replicas[0].cluster

    @property
    def now(self) -> float:
        return self.mesh.network.clock.seconds()

    @property
    def holder(self) -> str:
        lease = self.cluster.get(LEASES, LEASE)
        told = lease["spec"]["holderIdentity"] if lease else ""
        return str(told).rpartition("_")[0]

    def leaders(self) -> list[str]:
        """The names of the replicas that believe that they lead."""
        programs = [(n.name, n.program.election) for n in self.replicas if n.program is not None]
        return [name for name, election in programs if election is not None and election.leads]

    def controller(self, number: int) -> Controller:
        program = self.replicas[number].program
        assert program is not None
        assert program.controller is not None
        return program.controller

    def until_led(self, seconds: float = 60.0) -> float:
        """How long it takes until some replica leads, to a tenth of a second."""
        began = self.now
        while not self.leaders():
            assert self.now - began < seconds, "nobody leads"
            self.mesh.advance(0.1)
        return self.now - began

    def export(self, key: str = KEY, ips: Sequence[str] = ("10.9.0.1",)) -> None:
        self.east.cluster.put(SERVICES, service(key))
        self.east.cluster.put(ENDPOINTS, endpoints(key, ips))

    def withdraw(self, key: str = KEY) -> None:
        self.east.cluster.delete(SERVICES, key)
        if self.east.cluster.get(ENDPOINTS, key) is not None:
            self.east.cluster.delete(ENDPOINTS, key)

    def mirror(self, key: str = KEY) -> Json | None:
        return self.cluster.get(SERVICES, key)

    def ips(self, key: str = KEY) -> tuple[list[str], list[str]]:
        """By its Endpoints, the ready ones and the others; [] where there are none."""
        found = self.cluster.get(ENDPOINTS, key) or {}
        told: tuple[list[str], list[str]] = ([], [])
        for subset in found.get("subsets") or ():
            for index, member in enumerate(("addresses", "notReadyAddresses")):
                told[index].extend(address["ip"] for address in subset.get(member) or ())
        return sorted(told[0]), sorted(told[1])

    def slices(self) -> list[str]:
        """The keys of the mirrors' slices."""
        return [key for key in self.cluster.keys(ENDPOINTSLICES) if key != "default/kubernetes"]
