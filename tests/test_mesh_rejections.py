"""A source with bad objects, or too many of them, in meshes in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES
from servicereflector.listwatch.informer import ROOM_WAIT
from servicereflector.listwatch.quota import Quotas
from servicereflector.reflector.follower import SourceSettings
from servicereflector.reflector.report import report_sources
from servicereflector.testing.clusters import Mesh, Node, endpoints, service


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def export(node: Node, key: str, **spec: Any) -> None:
    node.cluster.put(SERVICES, service(key, **spec))
    node.cluster.put(ENDPOINTS, endpoints(key, ["10.9.0.1"]))


def told(node: Node) -> Json:
    assert node.program is not None
    assert node.program.controller is not None
    now = node.cluster.network.clock.seconds()
    (source,) = report_sources(node.program.controller, node.program.followers, now)
    return source


def mirrored(node: Node) -> set[str]:
    return {r.name for r in node.cluster.model.stores[SERVICES] if r.namespace == "shop"}


def ports(node: Node, key: str) -> list[int]:
    found = node.cluster.get(SERVICES, key)
    assert found is not None
    return [port["port"] for port in found["spec"]["ports"]]


@pytest.mark.parametrize("restart", [False, True])
def test_a_bad_version_changes_nothing_and_a_good_one_heals_it(mesh: Mesh, restart: bool) -> None:
    """Neither does a list, nor a program that has never seen the good one."""
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east, "shop/cart")
    export(east, "shop/other")
    mesh.advance(2)
    export(east, "shop/cart", externalName="\x1b[2J")
    export(east, "shop/third")
    mesh.advance(2)
    if restart:
        west.restart()
        mesh.advance(30)
    assert mirrored(west) == {"cart", "other", "third"}
    assert west.cluster.get(ENDPOINTS, "shop/cart")["subsets"]  # type: ignore[index]
    assert told(west)["rejected"] == 1
    assert "services: shop/cart: spec.externalName is no printable text" in told(west)["reason"]
    export(east, "shop/cart", ports=[81])
    mesh.advance(2)
    assert ports(west, "shop/cart") == [81]
    assert (told(west)["rejected"], told(west)["reason"]) == (0, "")


@pytest.mark.parametrize("restart", [False, True])
def test_the_deletion_of_a_rejected_object_counts(mesh: Mesh, restart: bool) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east, "shop/cart")
    mesh.advance(2)
    export(east, "shop/cart", externalName="\x1b[2J")
    mesh.advance(2)
    if restart:
        west.restart()
        mesh.advance(30)
    assert mirrored(west) == {"cart"}
    east.cluster.delete(SERVICES, "shop/cart")
    mesh.advance(2)
    assert mirrored(west) == set()
    assert told(west)["rejected"] == 0


def test_bad_endpoints_leave_a_mirror_its_addresses_over_a_restart(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east, "shop/cart")
    mesh.advance(2)
    before = west.cluster.get(ENDPOINTS, "shop/cart")
    bad = endpoints("shop/cart", ["10.9.0.1", "10.9.0.2"])
    bad["subsets"][0]["addresses"][0]["nodeName"] = "a\n"
    east.cluster.put(ENDPOINTS, bad)
    mesh.advance(2)
    west.restart()
    mesh.advance(30)
    assert west.cluster.get(ENDPOINTS, "shop/cart") == before
    assert told(west)["rejected"] >= 1


def test_what_is_beyond_a_quota_waits_for_room(mesh: Mesh) -> None:
    """It is said once; and what there was before the program stays."""
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    for name in ("a", "b", "c", "d"):
        export(east, f"shop/{name}")
    mesh.advance(2)
    settings = SourceSettings("east", quotas=Quotas(services=2))
    west.use_sources(("east", settings))
    mesh.advance(30)
    assert mirrored(west) == {"a", "b", "c", "d"}
    assert told(west)["rejected"] == 2
    assert "the source has more than 2 services" in told(west)["reason"]
    export(east, "shop/e")
    mesh.advance(2)
    assert mirrored(west) == {"a", "b", "c", "d"}
    for name in ("a", "b", "c", "d"):
        east.cluster.delete(SERVICES, f"shop/{name}")
    mesh.advance(ROOM_WAIT + 5)
    assert mirrored(west) == {"e"}
    assert told(west)["rejected"] == 0


def test_a_quota_on_slices_leaves_services(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", [("east", SourceSettings("east", quotas=Quotas(slices=1)))])
    for name in ("a", "b"):
        export(east, f"shop/{name}")
        east.cluster.put(
            ENDPOINTSLICES,
            {
                "metadata": {
                    "namespace": "shop",
                    "name": f"{name}-1",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.9.0.1"]}],
                "ports": [{"name": "p80", "port": 80, "protocol": "TCP"}],
            },
        )
    mesh.advance(10)
    assert mirrored(west) == {"a", "b"}
    assert told(west)["rejected"] == 1
    assert "endpointslices: shop/b-1: the source has more than 1" in told(west)["reason"]
