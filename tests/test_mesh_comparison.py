"""The comparison of everything: it finds nothing, but what was broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from servicereflector.kube.annotations import REFLECTED
from servicereflector.kube.objects import record_of
from servicereflector.kube.resources import ENDPOINTS, NAMESPACES, SERVICES, Resource
from servicereflector.kube.subsets import flatten
from servicereflector.listwatch.informer import Informer
from servicereflector.mirror.features import Features
from servicereflector.mirror.plan import Plan
from servicereflector.reflector.comparison import (
    BUDGET,
    LAG,
    LONG_PAUSE,
    PAUSE,
    Comparison,
    ComparisonStats,
)
from servicereflector.reflector.controller import Controller
from servicereflector.reflector.host import Host
from servicereflector.reflector.slices import Slices
from servicereflector.reflector.sources import Source
from servicereflector.store.versioned import Store
from servicereflector.testing.clusters import EVERYTHING, Mesh, Node, endpoints, service

KEY = "shop/cart"
PERIOD = 600.0

#: Within which a round begins and ends, whatever it finds.
ROUND = 1.1 * PERIOD + LAG + 20

COMPARING = replace(EVERYTHING, compare_period=PERIOD)


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def pair(mesh: Mesh, *keys: str) -> tuple[Node, Node]:
    """east, and west that mirrors it; settled, with a round of each resource behind it."""
    east = mesh.join("east")
    for key in keys or (KEY,):
        export(east, key)
    west = mesh.join("west", ["east"], roles=COMPARING)
    mesh.advance(20)
    assert ips(west) == {"10.9.0.1"}
    return east, west


def export(node: Node, key: str = KEY, ip: str = "10.9.0.1") -> None:
    node.cluster.put(SERVICES, service(key))
    node.cluster.put(ENDPOINTS, endpoints(key, [ip]))


def ips(node: Node, key: str = KEY) -> set[str]:
    found = node.cluster.get(ENDPOINTS, key)
    return set() if found is None else {address.ip for address, _ in flatten(found.get("subsets"))}


def tamper(node: Node, ip: str) -> None:
    """Somebody changes a mirror's addresses."""
    mirror = node.cluster.get(ENDPOINTS, KEY)
    assert mirror is not None
    node.cluster.put(ENDPOINTS, {**mirror, "subsets": endpoints(KEY, [ip])["subsets"]})


def controller(node: Node) -> Controller:
    assert node.program is not None
    assert node.program.controller is not None
    return node.program.controller


def stats(node: Node) -> ComparisonStats:
    assert node.program is not None
    assert node.program.comparison is not None
    return node.program.comparison.stats


def informer(node: Node, resource: Resource) -> Informer:
    assert node.program is not None
    return next(
        i for i in node.program.informers if (i.source, i.store.resource) == ("host", resource)
    )


def is_right(node: Node, resource: Resource) -> bool:
    """Whether the store holds what the cluster has."""
    here, there = informer(node, resource).store, node.cluster.model.stores[resource]
    return {r.key: r.version for r in here} == {r.key: r.version for r in there}


def test_nothing_is_found_in_hours(mesh: Mesh) -> None:
    """Though all changes from time to time, and connections break."""
    east, west = pair(mesh, KEY, "shop/other")
    for number in range(2, 14):
        mesh.advance(PERIOD)
        export(east, KEY, f"10.9.0.{number}")
        (east.emitter or west.cluster.server).cut()
        if number % 3 == 0:
            west.cluster.server.cut()
        if number % 4 == 0:
            east.cluster.delete(SERVICES, "shop/other")
            mesh.advance(1)
            export(east, "shop/other")
    mesh.advance(PERIOD)
    found = stats(west)
    assert found.rounds >= 10
    assert found.differences == {"plan": 0, "store": 0}
    assert found.compared["plan"] == 2 * found.rounds
    assert found.compared["store"] >= 5 * found.rounds
    assert 1 <= found.duration < LAG + 20


def test_a_round_takes_a_tenth_more_or_less_than_its_period(mesh: Mesh) -> None:
    """As it is drawn, so that clusters do not go together."""
    _, west = pair(mesh)
    assert west.program is not None
    assert west.program.comparison is not None
    comparison = west.program.comparison
    due = []
    for drawn in (0.0, 0.5, 0.999):
        comparison.stopService()
        comparison._random = lambda drawn=drawn: drawn
        comparison.startService()
        assert comparison._timer is not None
        due.append(comparison._timer.getTime() - mesh.network.clock.seconds())
    assert due == pytest.approx([0.9 * PERIOD, PERIOD, 1.1 * PERIOD], rel=0.001)


@pytest.mark.parametrize("resource", [SERVICES, ENDPOINTS], ids=lambda r: r.plural)
def test_a_record_that_a_store_lost_is_found_again(mesh: Mesh, resource: Resource) -> None:
    """Before a plan is made of its absence."""
    _, west = pair(mesh, KEY, "shop/other")
    store = informer(west, resource).store
    del store._records["shop/other"]
    writes = dict(controller(west).stats.writes)
    mesh.advance(ROUND)
    assert stats(west).differences == {"plan": 0, "store": 1}
    assert is_right(west, resource)
    assert controller(west).stats.writes == writes


def test_a_record_that_no_mirror_is_behind_goes(mesh: Mesh) -> None:
    """The list lacks it, and nothing told the store of it."""
    _, west = pair(mesh)
    store = informer(west, SERVICES).store
    document = {**service("shop/ghost", labels={REFLECTED: "true"})}
    document["metadata"]["resourceVersion"] = "3"
    store._records["shop/ghost"] = record_of(SERVICES, document)
    mesh.advance(ROUND)
    assert stats(west).differences == {"plan": 0, "store": 1}
    assert is_right(west, SERVICES)


def make_deaf(mesh: Mesh, informer: Informer) -> None:
    """Its stream stays open and brings bytes, so the machine does not notice."""

    def received(request: int, _splitter: object, _data: bytes) -> None:
        informer._machine.data(request, mesh.network.clock.seconds())

    informer._received = received  # type: ignore[method-assign]


def test_a_mirror_that_changed_while_the_watch_was_deaf_is_put_right(mesh: Mesh) -> None:
    """Once the watch had more time than it may lag."""
    _, west = pair(mesh)
    make_deaf(mesh, informer(west, ENDPOINTS))
    tamper(west, "10.66.0.1")
    mesh.advance(0.4 * PERIOD)
    assert ips(west) == {"10.66.0.1"}
    mesh.advance(ROUND)
    assert stats(west).differences == {"plan": 0, "store": 1}
    assert ips(west) == {"10.9.0.1"}


def test_a_watch_that_is_known_to_be_lost_is_no_difference(mesh: Mesh) -> None:
    """It is being opened anew, and will bring what is missing."""
    _, west = pair(mesh)
    lost = informer(west, ENDPOINTS)
    make_deaf(mesh, lost)
    lost.stats.connected = False
    lost._recovered = lambda _what: None  # type: ignore[method-assign]
    tamper(west, "10.66.0.1")
    mesh.advance(ROUND)
    assert stats(west).differences == {"plan": 0, "store": 0}
    assert ips(west) == {"10.66.0.1"}


def test_what_changes_during_a_round_is_no_difference(mesh: Mesh) -> None:
    """The list is older than the store then."""
    _, west = pair(mesh)
    assert west.program is not None
    comparison = west.program.comparison
    assert comparison is not None
    while comparison._round is None:
        mesh.advance(0.25)
    for number in range(40):
        tamper(west, f"10.66.0.{number}")
        mesh.advance(0.25)
    assert stats(west).rounds == 1
    assert stats(west).differences == {"plan": 0, "store": 0}


def test_a_key_that_nothing_told_of_is_queued(mesh: Mesh) -> None:
    """The stores are right, but the controller did not hear of the change."""
    _, west = pair(mesh, KEY, "shop/other")
    controller(west)._feed.stop()
    tamper(west, "10.66.0.1")
    mesh.advance(0.4 * PERIOD)
    assert ips(west) == {"10.66.0.1"}
    mesh.advance(ROUND)
    assert stats(west).differences == {"plan": 1, "store": 0}
    assert ips(west) == {"10.9.0.1"}


def test_without_writing_only_stores_are_compared(mesh: Mesh) -> None:
    """What others have not written yet is no difference; a store that is wrong is."""
    east, west = pair(mesh, KEY, "shop/other")
    controller(west).may_write = lambda: False
    controller(west)._feed.stop()
    export(east, KEY, "10.9.0.2")
    del informer(west, SERVICES).store._records["shop/other"]
    mesh.advance(ROUND)
    assert stats(west).differences == {"plan": 0, "store": 1}
    assert stats(west).compared["plan"] == 0
    assert ips(west) == {"10.9.0.1"}


def test_a_host_that_cannot_be_asked_ends_the_round(mesh: Mesh) -> None:
    """Quietly, until the next one."""
    _, west = pair(mesh)
    assert west.program is not None
    before = stats(west).rounds

    async def page(_labels: str, _token: str) -> None:
        raise OSError("no route to host")

    asked = informer(west, ENDPOINTS)
    asked.page = page  # type: ignore[method-assign, assignment]
    mesh.advance(3 * PERIOD)
    assert stats(west).rounds == before
    assert stats(west).differences == {"plan": 0, "store": 0}
    del asked.page
    mesh.advance(ROUND)
    assert stats(west).rounds == before + 1


def test_mirrors_are_listed_page_by_page(mesh: Mesh) -> None:
    """All of them, and nothing but them."""
    west = mesh.join("west", roles=COMPARING)
    for number in range(501):
        west.cluster.put(SERVICES, service(f"shop/s{number}", labels={REFLECTED: "true"}))
    west.cluster.put(SERVICES, service("shop/somebodys"))
    mesh.advance(ROUND)
    assert stats(west).compared["store"] == 501 * stats(west).rounds > 0
    assert stats(west).differences == {"plan": 0, "store": 0}


# Slices


#: What a plan takes, in seconds; a slice has time for three.
SLOW = 1 / 128


class SlowController(Controller):
    """Each plan takes its time."""

    planned: list[float]

    def plan(self, key: str, features: Features) -> Plan:
        assert isinstance(self._reactor, Clock)
        self._reactor.rightNow += SLOW
        self.planned.append(self._reactor.rightNow)
        return super().plan(key, features)


@pytest.fixture
def slow() -> SlowController:
    """With 20 keys that want nothing."""
    clock = Clock()
    stores = [Store(resource) for resource in (NAMESPACES, SERVICES, ENDPOINTS)]
    records = [record_of(SERVICES, service(f"shop/s{n}", type="x")) for n in range(20)]
    east = Source("east", Store(SERVICES), Store(ENDPOINTS), Slices())
    east.services.replace(records, 1)
    east.endpoints.replace((), 1)
    east.slices.forget()
    for store in stores:
        store.replace((), 1)
    nobody = None
    controller = SlowController(
        clock,
        Host(nobody, nobody, *stores),  # type: ignore[arg-type]
        [east],
        features=lambda: Features(endpoint_slices=False),
    )
    controller.planned = []
    return controller


def compare(slow: SlowController) -> tuple[Comparison, Clock]:
    clock = slow._reactor
    assert isinstance(clock, Clock)
    comparison = Comparison(
        clock, slow, lambda: (), writes=lambda: True, period=100, random=lambda: 0.5
    )
    comparison.startService()
    return comparison, clock


def test_a_slice_ends_when_its_time_is_over(slow: SlowController) -> None:
    """Once three keys took longer, it is others' turn."""
    comparison, clock = compare(slow)
    clock.advance(100)
    assert 2 * SLOW < BUDGET < 3 * SLOW
    assert len(slow.planned) == 3
    clock.advance(PAUSE - 0.001)
    assert len(slow.planned) == 3
    clock.advance(0.001)
    assert len(slow.planned) == 6
    clock.pump([PAUSE] * 5)
    assert comparison.stats.rounds == 1
    assert len(slow.planned) == comparison.stats.compared["plan"] == 20
    assert comparison.stats.longest_slice == pytest.approx(3 * SLOW)
    comparison.stopService()
    assert clock.getDelayedCalls() == []


def test_while_keys_wait_the_pauses_are_long(slow: SlowController) -> None:
    """But they end, or a round never would."""
    comparison, clock = compare(slow)
    slow.queue.add(["shop/waiting"])
    clock.advance(100)
    clock.advance(LONG_PAUSE - 0.001)
    assert len(slow.planned) == 3
    clock.advance(0.001)
    assert len(slow.planned) == 6
    comparison.stopService()
    assert clock.getDelayedCalls() == []


def test_a_key_that_is_about_to_be_looked_at_is_not_compared(slow: SlowController) -> None:
    """Whether it waits, is worked on, or is held back."""
    comparison, clock = compare(slow)
    slow.queue.add(["shop/s0", "shop/s1"])
    slow.queue.take(0)
    slow.queue.add_later("shop/s2", 1e6)
    clock.advance(100)
    clock.pump([LONG_PAUSE] * 6)
    assert comparison.stats.compared["plan"] == 20
    assert len(slow.planned) == 17
    comparison.stopService()
