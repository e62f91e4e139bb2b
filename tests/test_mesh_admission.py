"""What a source may have mirrored, in meshes in memory: the whole of it, and what is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest

from servicereflector.administration import Administration
from servicereflector.kube.objects import Json, Record
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS,
    SERVICES,
    Resource,
)
from servicereflector.kube.selectors import LabelSelector
from servicereflector.kube.status import ApiError
from servicereflector.mirror.addresses import AddressRules, ordered, read_rewrite
from servicereflector.mirror.admission import Admission
from servicereflector.mirror.networks import read_network
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.states import State
from servicereflector.ops.metrics import ProgramCollector, make_registry
from servicereflector.program import Program, Roles
from servicereflector.reflector.controller import Controller
from servicereflector.reflector.follower import SourceSettings
from servicereflector.reflector.ranges import IMPOSSIBLE, REFRESH
from servicereflector.reflector.reserved import DELAY
from servicereflector.testing.clusters import MemoryCluster, Mesh, Node, endpoints, service

KEY = "shop/cart"

#: Of an embedded cluster.
IN_RANGE = "10.96.7.7"


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def export(node: Node, *ips: str, key: str = KEY, **rest: Any) -> None:
    node.cluster.put(SERVICES, service(key, **rest))
    node.cluster.put(ENDPOINTS, endpoints(key, ips or ("10.9.0.1",)))


def join(mesh: Mesh, admission: Admission | None = None, **roles: Any) -> Node:
    """West, which reflects east."""
    told = Roles(emitted=LabelSelector(), reflected=LabelSelector(), **roles)
    settings = SourceSettings("east", admission=admission or Admission())
    return mesh.join("west", sources=[("east", settings)], roles=told)


def program(node: Node) -> Program:
    assert node.program is not None
    return node.program


def controller(node: Node) -> Controller:
    found = program(node).controller
    assert found is not None
    return found


def behind(node: Node, key: str = KEY) -> set[str]:
    """By the Endpoints; the slices must say the same."""
    found = node.cluster.get(ENDPOINTS, key) or {}
    told = {a["ip"] for s in found.get("subsets") or () for a in s.get("addresses") or ()}
    slices = set()
    for record in node.cluster.model.stores[ENDPOINTSLICES]:
        document = record.document()
        if document["metadata"]["labels"]["kubernetes.io/service-name"] == key.split("/")[1]:
            slices.update(a for e in document["endpoints"] or () for a in e["addresses"])
    assert slices == told
    return told


def events(node: Node) -> list[tuple[str, str]]:
    found = [record.document() for record in node.cluster.model.stores[EVENTS]]
    return [(event["reason"], event["message"]) for event in found]


def metric(node: Node, name: str) -> float | None:
    collector = ProgramCollector(
        node.cluster.network.clock, program(node).informers, None, controller(node)
    )
    lines = generate_latest(make_registry(collector)).decode().splitlines()
    found = [line for line in lines if line.startswith(f"service_reflector_{name} ")]
    return float(found[0].split()[-1]) if found else None


def mirrors(node: Node) -> list[Json]:
    told = Administration(program(node), node.cluster.network.clock.seconds).status()
    found: list[Json] = told["mirrors"]
    return found


def test_addresses_of_the_host_itself_are_left_out_and_told(mesh: Mesh) -> None:
    """In the status, in an Event beside the mirror, and in the metric."""
    east = mesh.join("east")
    west = join(mesh, host_url="https://172.16.0.1:6443")
    export(east, "10.9.0.1", IN_RANGE, "172.16.0.1")
    mesh.advance(2)
    assert behind(west) == {"10.9.0.1"}
    reason = (
        f"2 addresses are refused: '{IN_RANGE}' (a ClusterIP of the host), '172.16.0.1' (the host's"
        " API server)"
    )
    (told,) = mirrors(west)
    assert (told["state"], told["reason"], told["refused_addresses"]) == ("Mirrored", reason, 2)
    assert events(west) == [("AddressRefused", f"source 'east': {reason}")]
    assert metric(west, 'refused_addresses{source="east"}') == 2
    export(east, "10.9.0.2")
    mesh.advance(2)
    assert behind(west) == {"10.9.0.2"}
    assert mirrors(west)[0]["reason"] == ""
    assert metric(west, 'refused_addresses{source="east"}') == 0


def refusing_to_tell(cluster: MemoryCluster, errors: list[ApiError]) -> None:
    """Who asks for the range is answered with the first of these, as long as there is one."""
    create = cluster.model.create

    def refused(resource: Resource, namespace: str, document: Json, **options: Any) -> Record:
        if errors and document.get("spec", {}).get("clusterIP") in IMPOSSIBLE:
            raise errors[0]
        return create(resource, namespace, document, **options)

    cluster.model.create = refused  # type: ignore[method-assign]


def test_nothing_is_mirrored_before_the_hosts_range_is_known(mesh: Mesh) -> None:
    """Or an address of its would have to be taken away again."""
    east = mesh.join("east")
    export(east, "10.9.0.1", IN_RANGE)
    cluster = MemoryCluster("west", mesh.network)
    errors = [ApiError(500, "not now")]
    refusing_to_tell(cluster, errors)
    west = mesh.join("west", sources=["east"], cluster=cluster)
    mesh.advance(0.5)
    assert controller(west).fleet.sources[0].synced
    assert cluster.get(SERVICES, KEY) is None
    errors.clear()
    mesh.advance(5)
    assert behind(west) == {"10.9.0.1"}


def test_a_range_that_is_told_late_is_no_less_refused(mesh: Mesh) -> None:
    east = mesh.join("east")
    export(east, "10.9.0.1", IN_RANGE)
    cluster = MemoryCluster("west", mesh.network)
    errors = [ApiError(403, "not to you")]
    refusing_to_tell(cluster, errors)
    west = mesh.join("west", sources=["east"], cluster=cluster)
    mesh.advance(2)
    assert behind(west) == {"10.9.0.1", IN_RANGE}
    errors.clear()
    mesh.advance(REFRESH)
    assert behind(west) == {"10.9.0.1"}


def test_the_hosts_api_server_may_move(mesh: Mesh) -> None:
    """Where its Endpoints say that it is, nothing is mirrored to, from then on."""
    east = mesh.join("east")
    west = join(mesh)
    export(east, "10.9.0.1", "10.9.0.2")
    mesh.advance(2)
    assert behind(west) == {"10.9.0.1", "10.9.0.2"}
    address = west.cluster.get(SERVICES, KEY)
    west.cluster.put(ENDPOINTS, endpoints("default/kubernetes", ["10.9.0.2"], ports=[6443]))
    mesh.advance(2)
    assert behind(west) == {"10.9.0.1"}
    west.cluster.put(ENDPOINTS, endpoints("default/kubernetes", ["10.9.0.1"], ports=[6443]))
    mesh.advance(2)
    assert behind(west) == {"10.9.0.2"}
    assert west.cluster.get(SERVICES, KEY) == address


def test_cluster_ips_that_no_range_told_are_refused_when_they_are_seen(mesh: Mesh) -> None:
    """Here somebody was wrong about the range."""
    east = mesh.join("east")
    west = join(mesh, service_ranges=(read_network("172.31.0.0/16"),))
    export(east, "10.9.0.1", "10.96.200.1")
    mesh.advance(2)
    assert behind(west) == {"10.9.0.1", "10.96.200.1"}
    own = service("shop/own", clusterIP="10.96.200.1")
    west.cluster.put(SERVICES, own)
    mesh.advance(DELAY + 2)
    assert behind(west) == {"10.9.0.1"}
    west.cluster.delete(SERVICES, "shop/own")
    mesh.advance(DELAY + 2)
    assert behind(west) == {"10.9.0.1", "10.96.200.1"}


def test_networks_that_overlap_are_mapped_and_judged_under_the_new_name(mesh: Mesh) -> None:
    rules = AddressRules(
        (read_network("100.64.0.0/16"),), ordered([read_rewrite("10.9.0.0/16=100.64.0.0/16")])
    )
    east = mesh.join("east")
    west = join(mesh, Admission(rules))
    export(east, "10.9.0.1", "10.8.0.1")
    mesh.advance(2)
    assert behind(west) == {"100.64.0.1"}
    assert controller(west).statuses[KEY]["east"].refused == 1


def test_a_service_with_a_denied_port_is_refused_and_its_mirror_deleted(mesh: Mesh) -> None:
    """As when its source exports it no longer."""
    east = mesh.join("east")
    west = join(mesh, Admission(denied_ports=((22, 22),)))
    export(east)
    mesh.advance(2)
    assert behind(west) == {"10.9.0.1"}
    export(east, ports=[22])
    mesh.advance(2)
    assert west.cluster.get(SERVICES, KEY) is None
    status = controller(west).statuses[KEY]["east"]
    assert (status.state, status.reason) == (State.REFUSED, "its port 22 is denied")
    assert events(west) == [("PortRefused", "source 'east': its port 22 is denied")]


def test_a_policy_that_refuses_most_of_a_source_is_held(mesh: Mesh) -> None:
    """What refuses nearly all that was mirrored may be a mistake, as a list that lacks it is."""
    east = mesh.join("east")
    keys = [f"shop/s{number}" for number in range(12)]
    for key in keys:
        export(east, key=key)
    west = join(mesh)
    mesh.advance(2)
    west.use_sources(
        ("east", SourceSettings("east", admission=Admission(denied_ports=((80, 80),))))
    )
    mesh.advance(30)
    controller(west).look_at_everything()
    mesh.advance(200)
    assert {s["east"].state for k, s in controller(west).statuses.items()} == {State.HELD}
    assert set(keys) <= set(west.cluster.keys(SERVICES))
    mesh.advance(Policy().limits.hold)
    assert not set(keys) & set(west.cluster.keys(SERVICES))


def test_namespaces_are_an_ordinary_choice(mesh: Mesh) -> None:
    """Told by the status, but by no Event."""
    east = mesh.join("east")
    west = join(mesh, Admission(denied_namespaces=("shop",)))
    export(east)
    mesh.advance(2)
    assert controller(west).statuses[KEY]["east"].state is State.REFUSED
    assert events(west) == []


def test_a_dry_run_writes_nothing(mesh: Mesh) -> None:
    """And an embedded cluster names its range to who asks for an address out of it, even under a
    name that is taken."""
    cluster = MemoryCluster("west", mesh.network)
    before = cluster.keys(SERVICES)
    made = cluster.model.create(
        SERVICES, "default", {"metadata": {"name": "a"}, "spec": {}}, dry_run=True
    )
    assert (made.key, cluster.keys(SERVICES)) == ("default/a", before)
    document = {"metadata": {"name": "kubernetes"}, "spec": {"clusterIP": "0.0.0.1"}}
    with pytest.raises(ApiError, match=r"The range of valid IPs is 10\.96\.0\.0/16"):
        cluster.model.create(SERVICES, "default", document, dry_run=True)
