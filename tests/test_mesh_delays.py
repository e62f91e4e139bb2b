"""How long changes take in a mesh of in-memory clusters, and what waits meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.listwatch.quota import Quotas
from servicereflector.reflector.controller import Controller
from servicereflector.reflector.follower import SourceSettings
from servicereflector.reflector.triggers import LAST_CHANGE
from servicereflector.testing.clusters import Mesh, Node, endpoints, service

KEY = "shop/cart"


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def pair(mesh: Mesh) -> tuple[Node, Node]:
    """east, which has a Service, and west, which mirrors it."""
    east = mesh.join("east")
    west = mesh.join("west", [("east", SourceSettings("east", quotas=Quotas(services=4, size=0)))])
    east.cluster.put(SERVICES, service(KEY))
    east.cluster.put(ENDPOINTS, endpoints(KEY, ["10.9.0.1"]))
    mesh.advance(2)
    return east, west


def controller(node: Node) -> Controller:
    assert node.program is not None
    assert node.program.controller is not None
    return node.program.controller


def change(east: Node, address: str, seconds_ago: float) -> None:
    """Pods changed then."""
    when = datetime.fromtimestamp(east.cluster.epoch() - seconds_ago, timezone.utc)
    document = endpoints(KEY, [address])
    told = f"{when:%Y-%m-%dT%H:%M:%S.%f}Z"
    document["metadata"]["annotations"] = {LAST_CHANGE: told}
    east.cluster.put(ENDPOINTS, document)


def test_a_change_counts_since_its_event_and_since_the_pods_changed(mesh: Mesh) -> None:
    """A change of the Service alone is none of Pods, whatever its Endpoints tell."""
    east, west = pair(mesh)
    delays = controller(west).delays
    before = delays.propagation["east"].count
    change(east, "10.9.0.2", 1.5)
    mesh.settle()
    assert delays.propagation["east"].count == before + 1
    assert delays.programming["east"].total == pytest.approx(1.5)
    east.cluster.put(SERVICES, service(KEY, ports=[81]))
    mesh.settle()
    assert delays.propagation["east"].count == before + 2
    assert delays.programming["east"].count == 1


def test_a_change_that_comes_while_its_name_is_written_counts_by_itself(mesh: Mesh) -> None:
    """From its own arrival; what is being written knows nothing of it."""
    east, west = pair(mesh)
    delays = controller(west).delays
    before = delays.propagation["east"]
    count, total = before.count, before.total
    west.cluster.server.silence()
    change(east, "10.9.0.2", 0)
    mesh.advance(3)
    change(east, "10.9.0.3", 0)
    mesh.advance(2)
    west.cluster.server.silence(False)
    mesh.settle()
    assert delays.propagation["east"].count == count + 2
    assert delays.propagation["east"].total - total == pytest.approx(5 + 2)
    assert delays.programming["east"].count == 2
    assert delays.programming["east"].total == pytest.approx(5 + 2)


def test_a_deletion_is_a_change_of_whose_mirror_it_was(mesh: Mesh) -> None:
    """It is written, too."""
    east, west = pair(mesh)
    delays = controller(west).delays
    before = delays.propagation["east"].count
    east.cluster.delete(SERVICES, KEY)
    mesh.settle()
    assert west.cluster.get(SERVICES, KEY) is None
    assert delays.propagation["east"].count == before + 1


def test_what_the_host_does_not_take_waits(mesh: Mesh) -> None:
    """For as long as it does, and nothing when it is done."""
    east, west = pair(mesh)
    west.cluster.server.refuse()
    west.cluster.server.cut()
    change(east, "10.9.0.3", 0)
    mesh.advance(20)
    count, age = controller(west).waiting("east")
    assert count == 1
    assert 19 <= age <= 20
    west.cluster.server.refuse(False)
    mesh.advance(60)
    assert controller(west).waiting("east") == (0, 0.0)


def test_quotas_are_told_as_far_as_there_are_any(mesh: Mesh) -> None:
    """One Service of four; any number of bytes."""
    _, west = pair(mesh)
    assert west.program is not None
    used = west.program.followers["east"].quotas_used()
    assert used["services"] == 0.25
    assert "bytes" not in used
    assert "endpoints" not in used
