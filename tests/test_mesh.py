"""The program in meshes of in-memory clusters: what holds once everything is quiet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from servicereflector.kube.annotations import REFLECTED, SOURCE
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, EVENTS, NAMESPACES, SERVICES
from servicereflector.kube.subsets import flatten
from servicereflector.mirror.states import State
from servicereflector.testing.clusters import Mesh, Node, endpoints, service

KEY = "shop/cart"


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def pair(mesh: Mesh) -> tuple[Node, Node]:
    """east, and west that mirrors it; past the Emitter's first moments."""
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    mesh.advance(2)
    return east, west


def export(node: Node, key: str = KEY, *ips: str) -> None:
    node.cluster.put(SERVICES, service(key))
    node.cluster.put(ENDPOINTS, endpoints(key, ips or ("10.9.0.1",)))


def mirror(node: Node, key: str = KEY) -> Json:
    found = node.cluster.get(SERVICES, key)
    assert found is not None, f"{key} is not in {node.cluster.name}"
    return found


def state(node: Node, source: str, key: str = KEY) -> State | None:
    assert node.program is not None
    assert node.program.controller is not None
    status = node.program.controller.statuses.get(key, {}).get(source)
    return None if status is None else status.state


def ips(node: Node, key: str = KEY) -> set[str]:
    found = node.cluster.get(ENDPOINTS, key)
    assert found is not None, f"no Endpoints {key} in {node.cluster.name}"
    return {address.ip for address, _ in flatten(found.get("subsets"))}


def test_a_service_waits_for_its_endpoints(mesh: Mesh) -> None:
    """A Service without Endpoints would be a name that leads nowhere."""
    east, west = pair(mesh)
    east.cluster.put(SERVICES, service(KEY))
    mesh.settle()
    assert west.cluster.get(SERVICES, KEY) is None
    assert state(west, "east") is State.PENDING
    east.cluster.put(ENDPOINTS, endpoints(KEY, []))
    mesh.settle()
    assert ips(west) == set()
    assert state(west, "east") is State.MIRRORED


def test_a_mirror_keeps_its_cluster_ip_when_the_sources_endpoints_go(mesh: Mesh) -> None:
    east, west = pair(mesh)
    export(east)
    mesh.settle()
    before = mirror(west)["spec"]["clusterIP"]
    east.cluster.delete(ENDPOINTS, KEY)
    mesh.settle()
    assert ips(west) == set()
    assert mirror(west)["spec"]["clusterIP"] == before


def test_a_deleted_service_leaves_a_full_mesh(mesh: Mesh) -> None:
    """Three clusters that all mirror each other must not keep it alive for one another."""
    names = ["a", "b", "c"]
    for name in names:
        mesh.join(name, [other for other in names if other != name])
    mesh.advance(2)
    export(mesh["a"])
    mesh.advance(5)
    assert [mirror(mesh[name])["metadata"]["annotations"][SOURCE] for name in "bc"] == ["a", "a"]
    mesh["a"].cluster.delete(SERVICES, KEY)
    mesh.advance(5)
    assert [mesh[name].cluster.get(SERVICES, KEY) for name in names] == [None] * 3


def test_the_first_configured_source_wins_and_the_next_takes_over_in_place(mesh: Mesh) -> None:
    one, two = mesh.join("one"), mesh.join("two")
    export(one, KEY, "10.9.1.1")
    export(two, KEY, "10.9.2.1")
    mesh.advance(2)
    west = mesh.join("west", ["one", "two"])
    mesh.advance(2)
    assert ips(west) == {"10.9.1.1"}
    assert (state(west, "one"), state(west, "two")) == (State.MIRRORED, State.STANDBY)
    before = mirror(west)["metadata"]["uid"]
    one.cluster.delete(SERVICES, KEY)
    mesh.settle()
    assert ips(west) == {"10.9.2.1"}
    assert mirror(west)["metadata"]["uid"] == before
    # It does not flap back.
    export(one, KEY, "10.9.1.1")
    mesh.settle()
    assert ips(west) == {"10.9.2.1"}
    assert state(west, "one") is State.STANDBY


def test_a_service_that_moved_while_the_reflector_was_away_keeps_its_cluster_ip(
    mesh: Mesh,
) -> None:
    """Though its old source is the first to be listed, and no longer has it."""
    one, two = mesh.join("one"), mesh.join("two")
    export(one, KEY, "10.9.1.1")
    mesh.advance(2)
    west = mesh.join("west", ["one", "two"])
    mesh.advance(2)
    before = mirror(west)
    west.stop()
    one.cluster.delete(SERVICES, KEY)
    export(two, KEY, "10.9.2.1")
    assert two.emitter is not None
    two.emitter.silence()
    west.start()
    mesh.advance(2)
    assert mirror(west) == before
    two.emitter.silence(False)
    mesh.advance(2)
    assert ips(west) == {"10.9.2.1"}
    assert mirror(west)["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_source_that_stays_silent_does_not_keep_anothers_mirrors_alive(mesh: Mesh) -> None:
    """It is waited for, but not for ever."""
    one, two = mesh.join("one"), mesh.join("two")
    export(one)
    mesh.advance(2)
    west = mesh.join("west", ["one", "two"])
    mesh.advance(2)
    west.stop()
    one.cluster.delete(SERVICES, KEY)
    assert two.emitter is not None
    two.emitter.silence()
    west.start()
    mesh.advance(5)
    assert state(west, "one") is State.MIRRORED
    mesh.advance(10)
    assert west.cluster.get(SERVICES, KEY) is None


def test_a_source_that_never_answers_delays_nobody(mesh: Mesh) -> None:
    silent, alive = mesh.join("silent"), mesh.join("alive")
    assert silent.emitter is not None
    silent.emitter.silence()
    export(silent, "shop/silent")
    export(alive, "shop/alive")
    mesh.advance(2)
    west = mesh.join("west", ["silent", "alive"])
    mesh.advance(1)
    assert ips(west, "shop/alive") == {"10.9.0.1"}
    silent.emitter.silence(False)
    mesh.advance(100)
    assert ips(west, "shop/silent") == {"10.9.0.1"}


def test_a_half_open_connection_is_noticed(mesh: Mesh) -> None:
    """Bytes vanish and no FIN comes: after the idle deadline the watch is resumed elsewhere."""
    east, west = pair(mesh)
    export(east)
    mesh.settle()
    assert east.emitter is not None
    east.emitter.silence()
    export(east, KEY, "10.9.0.2")
    mesh.advance(60)
    assert ips(west) == {"10.9.0.1"}
    lost = east.emitter
    east.emitter = mesh.network.serve(lost.name, east.program.read_api.app.resource())  # type: ignore[union-attr]
    mesh.advance(60)
    assert ips(west) == {"10.9.0.2"}


def test_mirrors_outlive_the_emitter_and_both_programs(mesh: Mesh) -> None:
    """Crash only: nothing but the clusters remembers anything, and that is enough."""
    east, west = pair(mesh)
    export(east)
    export(east, "shop/gone")
    mesh.settle()
    uid = mirror(west)["metadata"]["uid"]
    east.stop()
    west.stop()
    east.cluster.delete(SERVICES, "shop/gone")
    export(east, KEY, "10.9.0.2")
    west.start()
    mesh.advance(60)
    assert ips(west) == {"10.9.0.1"}
    assert west.cluster.get(SERVICES, "shop/gone") is not None
    east.start()
    mesh.advance(60)
    assert ips(west) == {"10.9.0.2"}
    assert west.cluster.get(SERVICES, "shop/gone") is None
    assert mirror(west)["metadata"]["uid"] == uid


def test_a_conflict_is_told_once_beside_the_object_in_the_way(mesh: Mesh) -> None:
    east, west = pair(mesh)
    mine = west.cluster.put(SERVICES, service(KEY, ports=[1]))
    export(east)
    mesh.advance(30)
    assert mirror(west) == mine
    assert state(west, "east") is State.CONFLICT
    events = [west.cluster.get(EVENTS, key) for key in west.cluster.keys(EVENTS)]
    assert [e["involvedObject"]["uid"] for e in events if e] == [mine["metadata"]["uid"]]
    west.cluster.delete(SERVICES, KEY)
    mesh.settle()
    assert state(west, "east") is State.MIRRORED


def test_a_conflict_ends_with_the_export_that_a_new_list_lacks(mesh: Mesh) -> None:
    """There is no mirror by which the name would be looked at."""
    east, west = pair(mesh)
    west.cluster.put(SERVICES, service(KEY))
    export(east)
    mesh.advance(20)
    assert state(west, "east") is State.CONFLICT
    east.stop()
    east.cluster.delete(SERVICES, KEY)
    east.start()
    mesh.advance(60)
    assert state(west, "east") is None


def test_strange_endpoints_keep_their_service_from_being_deleted(mesh: Mesh) -> None:
    """The API server would delete them with it."""
    east, west = pair(mesh)
    export(east)
    mesh.settle()
    west.cluster.delete(ENDPOINTS, KEY)
    west.cluster.put(ENDPOINTS, endpoints(KEY, ["10.5.5.5"]))
    mesh.settle()
    east.cluster.delete(SERVICES, KEY)
    mesh.advance(10)
    assert ips(west) == {"10.5.5.5"}
    west.cluster.delete(ENDPOINTS, KEY)
    mesh.settle()
    assert west.cluster.get(SERVICES, KEY) is None


def test_a_deleted_namespace_is_made_again(mesh: Mesh) -> None:
    east, west = pair(mesh)
    export(east)
    mesh.settle()
    west.cluster.delete(NAMESPACES, "shop")
    mesh.advance(1)
    assert ips(west) == {"10.9.0.1"}
    made = west.cluster.get(NAMESPACES, "shop")
    assert made is not None
    assert made["metadata"]["annotations"] == {REFLECTED: "true"}


def test_a_host_that_refuses_writes_is_tried_again(mesh: Mesh) -> None:
    """With a growing delay, counted as errors, until it works."""
    east, west = pair(mesh)
    assert west.program is not None
    controller = west.program.controller
    assert controller is not None
    west.cluster.server.refuse()
    west.cluster.server.cut()
    export(east)
    mesh.advance(20)
    assert controller.stats.errors > 1
    assert state(west, "east") is State.FAILED
    west.cluster.server.refuse(False)
    mesh.advance(60)
    assert ips(west) == {"10.9.0.1"}
    assert state(west, "east") is State.MIRRORED


def test_what_failed_does_not_wait_any_longer_once_the_host_is_back(mesh: Mesh) -> None:
    """After a long time without it, the next try would be up to a minute away."""
    east, west = pair(mesh)
    assert west.program is not None
    controller = west.program.controller
    assert controller is not None
    west.cluster.server.refuse()
    west.cluster.server.cut()
    export(east)
    mesh.advance(307)
    west.cluster.server.refuse(False)
    next_try = controller.queue.next_due()
    hosts = [informer for informer in west.program.informers if informer.source == "host"]
    while not any(informer.stats.connected for informer in hosts):
        mesh.advance(0.1)
    assert next_try is not None
    assert mesh.network.clock.seconds() < next_try
    assert ips(west) == {"10.9.0.1"}


def test_failures_of_a_mirror_are_logged_once_for_each_reason(mesh: Mesh) -> None:
    """The retries are for who asks for them; that it goes on is told after 1 and 5 minutes."""
    east, west = pair(mesh)
    seen: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn and KEY in (text := formatEvent(event)):
            seen.append(text)

    west.cluster.server.refuse()
    west.cluster.server.cut()
    globalLogPublisher.addObserver(observe)
    try:
        export(east)
        mesh.advance(299)
        assert [text.partition(" ")[0] for text in seen] == ["shop/cart:", "still"]
        mesh.advance(60)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert len(seen) == 3
    assert all("west refuses" in text for text in seen)


def test_a_service_that_the_host_refuses_harms_no_other(mesh: Mesh) -> None:
    """It fails alone, is told of, and is not tried without end."""
    east, west = pair(mesh)
    east.cluster.put(SERVICES, service("shop/strange"))
    east.cluster.put(ENDPOINTS, endpoints("shop/strange", ["10.9.0.1"]))
    mesh.settle()
    west.cluster.delete(SERVICES, "shop/strange")
    mesh.settle()
    export(east)
    mesh.advance(10)
    assert ips(west) == {"10.9.0.1"}
    assert west.program is not None
    assert west.program.controller is not None
    assert west.program.controller.stats.attempts < 50


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "delete", "restart", "cut", "wait"]),
            st.sampled_from(["one", "two"]),
            st.sampled_from(["shop/a", "shop/b", "mall/a"]),
            st.integers(1, 250),
        ),
        max_size=25,
    )
)
def test_whatever_happens_in_the_end_the_mirrors_are_right(
    steps: list[tuple[str, str, str, int]],
) -> None:
    """Two sources, one host: changes, restarts and cut connections in any order. Afterwards each
    name that a source exports is mirrored from one that exports it, and no other is."""
    mesh = Mesh()
    one, two = mesh.join("one"), mesh.join("two")
    west = mesh.join("west", ["one", "two"])
    for step, name, key, number in steps:
        node = mesh[name]
        if step == "put":
            export(node, key, f"10.9.0.{number}")
        elif step == "delete" and node.cluster.get(SERVICES, key) is not None:
            node.cluster.delete(SERVICES, key)
        elif step == "restart":
            (node if number % 2 else west).restart()
        elif step == "cut":
            assert node.emitter is not None
            (node.emitter if number % 2 else west.cluster.server).cut()
        else:
            mesh.advance(number / 100)
    mesh.advance(200)
    exported = {
        key: [n for n in (one, two) if n.cluster.get(SERVICES, key) is not None]
        for key in ("shop/a", "shop/b", "mall/a")
    }
    for key, nodes in exported.items():
        if not nodes:
            assert west.cluster.get(SERVICES, key) is None
            assert west.cluster.get(ENDPOINTS, key) is None
            continue
        owner = mirror(west, key)["metadata"]["annotations"][SOURCE]
        assert owner in [node.cluster.name for node in nodes]
        assert ips(west, key) == ips(mesh[owner], key)
    mesh.stop()
