"""``service-reflector plan``: it tells what would be done, and does none of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.policy import Policy
from servicereflector.planning import CHANGES, FAILED, UNCHANGED, Planner
from servicereflector.program import Program, Roles, SourceClient, Surroundings
from servicereflector.reflector.controller import STARTING
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import MemoryCluster, Mesh, Node, endpoints, service

KEY = "shop/cart"
LIMITS = Limits(least=2)


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


@pytest.fixture
def east(mesh: Mesh) -> Node:
    east = mesh.join("east")
    export(east)
    mesh.advance(2)
    return east


@pytest.fixture
def west(mesh: Mesh) -> MemoryCluster:
    """A cluster without a program."""
    return MemoryCluster("west", mesh.network)


def export(node: Node, key: str = KEY, **rest: Any) -> None:
    node.cluster.put(SERVICES, service(key, **rest))
    node.cluster.put(ENDPOINTS, endpoints(key, ["10.9.0.1"]))


def plan(
    mesh: Mesh, west: MemoryCluster, *sources: str, output: str = "text", **policy: Any
) -> tuple[list[int], str, str]:
    """What the process ends with, and what it prints to both streams."""
    world = Surroundings(mesh.network.clock, mesh.random, west.epoch)
    clients = [
        SourceClient(SourceSettings(name), mesh.network.client(f"{name}.emitter"))
        for name in sources
    ]
    roles = Roles(reflected=LabelSelector(), policy=Policy(limits=LIMITS, **policy))
    program = Program(world, west.client(), clients, roles)
    ended: list[int] = []
    out, err = io.StringIO(), io.StringIO()
    planner = Planner(
        mesh.network.clock,
        program,
        complete=lambda: True,
        timeout=30,
        as_json=output == "json",
        out=out,
        err=err,
        ended=ended.append,
    )
    before = west.model.version
    program.startService()
    planner.startService()
    mesh.advance(31)
    planner.stopService()
    mesh.network.wait(program.stopService(), seconds=30)
    assert west.model.version == before, "something was written"
    return ended, out.getvalue(), err.getvalue()


def mirrored(mesh: Mesh, west: MemoryCluster) -> None:
    """West with its mirrors of east, and no program any more."""
    node = mesh.join("west", ["east"], cluster=west)
    mesh.advance(STARTING + 2)
    node.stop()
    del mesh.nodes["west"]


def test_what_would_be_created(mesh: Mesh, east: Node, west: MemoryCluster) -> None:
    status, out, err = plan(mesh, west, east.cluster.name)
    assert (status, err) == ([CHANGES], "")
    assert [line.split("  (")[0] for line in out.splitlines()] == [
        "+ create Namespace shop",
        "+ create Service shop/cart",
        "+ create EndpointSlice shop/" + name(east, "EndpointSlice", out),
        "+ create Endpoints shop/cart",
        "4 to create, 0 to update, 0 to delete. Nothing was written.",
    ]


def name(_node: Node, kind: str, out: str) -> str:
    (line,) = (line for line in out.splitlines() if f"create {kind} " in line)
    return line.split("/")[1]


def test_nothing_to_do(mesh: Mesh, east: Node, west: MemoryCluster) -> None:
    mirrored(mesh, west)
    status, out, err = plan(mesh, west, east.cluster.name)
    assert (status, err) == ([UNCHANGED], "")
    assert out == "Nothing to do: the host is as it should be.\n"


def test_the_difference_of_an_update(mesh: Mesh, east: Node, west: MemoryCluster) -> None:
    mirrored(mesh, west)
    export(east, labels={"tier": "front"})
    mesh.advance(1)
    status, out, _ = plan(mesh, west, east.cluster.name)
    assert status == [CHANGES]
    assert "~ update Service shop/cart  (it is the mirror of 'east')" in out
    assert "    +    tier: front" in out
    assert "resourceVersion" not in out
    assert out.endswith("0 to create, 1 to update, 0 to delete. Nothing was written.\n")


def test_what_would_be_deleted_and_what_is_in_the_way(
    mesh: Mesh, east: Node, west: MemoryCluster
) -> None:
    for key in ("shop/a", "shop/b", "shop/c"):
        export(east, key)
    mirrored(mesh, west)
    east.cluster.delete(SERVICES, KEY)
    export(east, "shop/taken")
    west.put(SERVICES, service("shop/taken"))
    mesh.advance(1)
    status, out, _ = plan(mesh, west, east.cluster.name)
    assert status == [CHANGES]
    assert "- delete Service shop/cart  ('east', whose mirror it was, no longer exports it)" in out
    assert "! Conflict of east: Service shop/taken exists" in out


def test_what_would_be_held(mesh: Mesh, east: Node, west: MemoryCluster) -> None:
    export(east, "shop/other")
    mirrored(mesh, west)
    for key in (KEY, "shop/other"):
        east.cluster.delete(SERVICES, key)
    mesh.advance(1)
    status, out, _ = plan(mesh, west, east.cluster.name)
    assert status == [UNCHANGED]
    assert out.count("! Held of east: ") == 2


def test_json(mesh: Mesh, east: Node, west: MemoryCluster) -> None:
    mirrored(mesh, west)
    export(east, labels={"tier": "front"})
    export(east, "shop/new")
    mesh.advance(1)
    status, out, _ = plan(mesh, west, east.cluster.name, output="json")
    assert status == [CHANGES]
    changed, new = orjson.loads(out)["plans"]
    assert (changed["key"], changed["owner"]) == (KEY, "east")
    assert [action["action"] for action in changed["actions"]] == ["update Service shop/cart"]
    assert "+    tier: front" in changed["actions"][0]["diff"]
    assert new["actions"][0]["document"]["metadata"]["name"] == "new"
    assert new["statuses"] == {"east": {"state": "Mirrored", "reason": ""}}


def test_a_dead_source_is_told_and_the_others_are_planned(
    mesh: Mesh, east: Node, west: MemoryCluster
) -> None:
    status, out, err = plan(mesh, west, "nobody", east.cluster.name)
    assert status == [CHANGES]
    assert "+ create Service shop/cart" in out
    assert err == ("service-reflector: source 'nobody' was not listed within 30 s: nothing of it\n")


def test_a_host_that_cannot_be_listed(mesh: Mesh, east: Node, west: MemoryCluster) -> None:
    west.server.refuse()
    status, out, err = plan(mesh, west, east.cluster.name)
    assert (status, out) == ([FAILED], "")
    assert err.startswith("service-reflector: within 30 s: the host's first lists are not in")
