"""What a source with much to tell costs the others, in meshes in memory: counted in writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from servicereflector.kube.subsets import flatten
from servicereflector.reflector.controller import WORKERS
from servicereflector.testing.clusters import Mesh, Node, endpoints, service

MANY = 90
MINE = "shop/mine"

#: Of the keys in flight and the few that come first, each at most three writes.
MOST = (WORKERS + 3) * 3


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def export(node: Node, key: str, ip: str) -> None:
    if node.cluster.get(SERVICES, key) is None:
        node.cluster.put(SERVICES, service(key))
    node.cluster.put(ENDPOINTS, endpoints(key, [ip]))


def export_many(node: Node, ip: str) -> None:
    for number in range(MANY):
        export(node, f"many/service-{number}", ip)


def ips(node: Node, key: str) -> set[str]:
    found = node.cluster.get(ENDPOINTS, key)
    return set() if found is None else {address.ip for address, _ in flatten(found.get("subsets"))}


def record_writes(node: Node) -> list[str]:
    """The names of what is written to the cluster from now on, in order."""
    written: list[str] = []
    for resource in (SERVICES, ENDPOINTS, ENDPOINTSLICES):
        node.cluster.model.stores[resource].subscribe(written.extend)
    return written


def writes_before_mine(west: Node, mesh: Mesh) -> int:
    """The host answers again: how many writes it takes before the one that was waited for."""
    written = record_writes(west)
    west.cluster.server.silence(False)
    mesh.settle()
    assert len(written) > MOST + MANY, "there was no crowd"
    return next(n for n, key in enumerate(written) if key.startswith(MINE))


@pytest.mark.parametrize("relisted", [False, True], ids=["watched", "relisted"])
def test_a_source_that_flaps_does_not_delay_anothers_change(mesh: Mesh, relisted: bool) -> None:
    """Each second its connections break and all of its objects have changed. The other's change is
    the last to come, and behind what is in flight by then only a few keys come before it."""
    flapping, calm = mesh.join("flapping"), mesh.join("calm")
    export_many(flapping, "10.9.0.1")
    export(calm, MINE, "10.8.0.1")
    mesh.advance(2)
    west = mesh.join("west", ["flapping", "calm"])
    mesh.advance(12)
    for number in range(2, 4):
        west.cluster.server.silence()
        export_many(flapping, f"10.9.0.{number}")
        assert flapping.emitter is not None
        if relisted:
            flapping.restart()
        else:
            flapping.emitter.cut()
        mesh.advance(20 if relisted else 3)
        export(calm, MINE, f"10.8.0.{number}")
        mesh.settle()
        assert writes_before_mine(west, mesh) <= MOST
        assert ips(west, MINE) == {f"10.8.0.{number}"}
        mesh.advance(1)
        assert ips(west, "many/service-7") == {f"10.9.0.{number}"}


def test_a_new_source_with_many_services_does_not_delay_anothers_change(mesh: Mesh) -> None:
    new, calm = mesh.join("new"), mesh.join("calm")
    export_many(new, "10.9.0.1")
    export(calm, MINE, "10.8.0.1")
    mesh.advance(2)
    west = mesh.join("west", ["calm"])
    mesh.advance(12)
    west.cluster.server.silence()
    west.use_sources("calm", "new")
    mesh.advance(2)
    export(calm, MINE, "10.8.0.2")
    mesh.settle()
    assert writes_before_mine(west, mesh) <= MOST
    mesh.advance(1)
    assert ips(west, MINE) == {"10.8.0.2"}
    assert ips(west, "many/service-7") == {"10.9.0.1"}


class NeverAnswers:
    """A writer to which nothing in one namespace is ever answered."""

    def __init__(self, writer: Any, namespace: str) -> None:
        self._writer = writer
        self._namespace = namespace
        self.waiting = 0

    async def create(self, resource: Resource, document: Json) -> Json:
        await self._write(document)
        answer: Json = await self._writer.create(resource, document)
        return answer

    async def update(self, resource: Resource, document: Json) -> Json:
        await self._write(document)
        answer: Json = await self._writer.update(resource, document)
        return answer

    async def _write(self, document: Json) -> None:
        if document["metadata"].get("namespace") == self._namespace:
            self.waiting += 1
            await Deferred()


def test_slow_writes_of_one_source_leave_workers_for_the_others(mesh: Mesh) -> None:
    slow, calm = mesh.join("slow"), mesh.join("calm")
    export_many(slow, "10.9.0.1")
    export(calm, MINE, "10.8.0.1")
    mesh.advance(2)
    west = mesh.join("west")
    assert west.program is not None
    assert west.program.controller is not None
    host = west.program.controller.host
    writer = host._writer = NeverAnswers(host._writer, "many")  # type: ignore[assignment]
    west.use_sources("slow", "calm")
    mesh.advance(12)
    for number in range(1, 4):
        export(calm, MINE, f"10.8.0.{number}")
        mesh.advance(1)
        assert ips(west, MINE) == {f"10.8.0.{number}"}
    assert 0 < writer.waiting < WORKERS
