"""Replicas of an Emitter behind one name: who resumes at another one misses nothing."""

from __future__ import annotations

import math
from itertools import count
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from servicereflector.kube.resources import SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.listwatch.informer import Informer
from servicereflector.program import Program, Roles, Surroundings
from servicereflector.store.versioned import Store
from servicereflector.testing.clusters import MemoryCluster, service
from servicereflector.testing.network import Network, Server

#: Seconds that a replica lags at most: less than a client's patience.
LONGEST_LAG = 20.0


class World:
    """A cluster, two Emitters of it, and an Informer that is led to one or the other."""

    def __init__(self, choices: list[int]) -> None:
        self.network = Network()
        self.cluster = MemoryCluster("east", self.network)
        self.random = Random(0).random
        self.programs: list[Program] = []
        self.upstreams: list[Server] = []
        self.emitters: list[Server] = []
        for name in ("a", "b"):
            self.add_replica(name)
        self.network.settle()
        drawn = iter(choices)
        self.network.spread("emitters", self.emitters, lambda many: next(drawn, 0) % many)
        self.store = Store(SERVICES)
        self.client = self.network.client("emitters")
        self.informer = Informer(
            self.network.clock, self.client, self.store, random=self.random, source="east"
        )
        self.seen: dict[str, int] = {}
        self.gone: dict[str, int] = {}
        self.went_back: list[str] = []
        self.store.subscribe(self.changed)
        self.informer.startService()
        self.network.settle()

    def add_replica(self, name: str) -> None:
        upstream = self.network.serve(f"east-{name}", self.cluster.api.app.resource())
        clock, roles = self.network.clock, Roles(emitted=LabelSelector())
        world = Surroundings(clock, self.random, self.cluster.epoch)
        program = Program(world, upstream.client(), [], roles)
        assert program.read_api is not None
        self.upstreams.append(upstream)
        self.programs.append(program)
        self.emitters.append(self.network.serve(f"emitter-{name}", program.read_api.app.resource()))
        program.startService()

    def changed(self, keys: tuple[str, ...]) -> None:
        """No object becomes an older one, and none that was deleted is there again."""
        for key in keys:
            record = self.store.get(key)
            if record is None:
                self.gone[key] = self.seen[key]
                continue
            if record.version < self.seen.get(key, 0) or record.version <= self.gone.get(key, 0):
                self.went_back.append(key)
            self.seen[key] = record.version

    def state(self) -> dict[str, str]:
        return {r.key: r.document()["metadata"]["resourceVersion"] for r in self.store}

    def wanted(self) -> dict[str, str]:
        found = {}
        for key in self.cluster.keys(SERVICES):
            if key == "default/kubernetes":  # no cluster emits the way to its own API
                continue
            document = self.cluster.get(SERVICES, key)
            assert document is not None
            found[key] = document["metadata"]["resourceVersion"]
        return found

    def stop(self) -> None:
        for upstream in self.upstreams:
            upstream.silence(False)
        self.network.wait(self.informer.stopService() or self.client.close(), 30)
        for program in self.programs:
            self.network.wait(program.stopService(), 30)


replica = st.sampled_from((0, 1))
key = st.sampled_from(("shop/a", "shop/b", "web/c"))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), key),
        st.tuples(st.just("delete"), key),
        st.tuples(st.just("lag"), replica),
        st.tuples(st.just("cut"), replica),
        st.tuples(st.just("wait"), st.sampled_from((0.5, 2.0, 5.0, 30.0))),
    ),
    max_size=25,
)


@settings(max_examples=15)
@given(choices=st.lists(replica, max_size=20), steps=steps)
def test_a_client_of_several_replicas_follows_the_cluster(
    choices: list[int], steps: list[tuple[str, object]]
) -> None:
    """It never goes back in time, and in the end has what the cluster has."""
    world = World(choices)
    numbers = count()
    lagging: dict[int, float] = {}

    def catch_up(lag: float = 0.0) -> None:
        for number, since in tuple(lagging.items()):
            if world.network.clock.seconds() - since >= lag:
                world.upstreams[number].silence(False)
                del lagging[number]

    def wait(seconds: float) -> None:
        for _ in range(math.ceil(seconds / 5)):
            world.network.advance(min(seconds, 5))
            catch_up(LONGEST_LAG)

    for step, what in steps:
        if step == "put":
            assert isinstance(what, str)
            world.cluster.put(SERVICES, service(what, labels={"v": str(next(numbers))}))
        elif step == "delete" and what in world.cluster.keys(SERVICES):
            assert isinstance(what, str)
            world.cluster.delete(SERVICES, what)
        elif step == "lag":
            assert isinstance(what, int)
            world.upstreams[what].silence()
            lagging.setdefault(what, world.network.clock.seconds())
        elif step == "cut":
            assert isinstance(what, int)
            world.emitters[what].cut()
        elif step == "wait":
            assert isinstance(what, float)
            wait(what)
        world.network.settle()
        assert world.went_back == []
    catch_up()
    wait(100)
    assert world.went_back == []
    assert world.state() == world.wanted()
    assert world.informer.stats.restored == 0
    world.stop()


def test_a_client_that_is_led_to_a_replica_that_is_behind() -> None:
    """It misses nothing, and does not go back."""
    world = World([0, 1, 1, 1, 0])
    world.upstreams[1].silence()
    world.cluster.put(SERVICES, service("shop/a"))
    world.network.settle()
    assert world.state() == world.wanted()
    world.emitters[0].cut()
    world.network.advance(10)
    assert world.state() == world.wanted()
    world.cluster.put(SERVICES, service("shop/b"))
    world.upstreams[1].silence(False)
    world.network.advance(30)
    assert world.state() == world.wanted()
    assert world.went_back == []
    world.stop()
