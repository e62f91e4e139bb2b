"""Replicas of a Reflector in meshes in memory: one writes, the others are ready to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from random import Random

import pytest
from aheadclock import AheadClock
from replicas import KEY, World

from servicereflector.administration import Administration
from servicereflector.election.machine import Timing
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS,
    NAMESPACES,
    SERVICES,
    Resource,
)
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.freshness import Freshness, Patience
from servicereflector.mirror.policy import EndpointsApi, Policy
from servicereflector.mirror.states import State
from servicereflector.reflector.follower import SourceSettings
from servicereflector.reflector.namespaces import GRACE, LOOK_EVERY
from servicereflector.testing.clusters import service

TIMING = Timing()

MakeWorld = Callable[..., World]


@pytest.fixture
def make() -> Iterator[MakeWorld]:
    """Makes a world that is stopped with the test."""
    made: list[World] = []

    def make(*sources: object, **options: object) -> World:
        made.append(World(*sources, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for world in made:
        for replica in world.replicas:
            replica.api.silence(False)
        world.mesh.stop()


def test_a_standby_plans_and_tells_and_writes_nothing(make: MakeWorld) -> None:
    """It has the same statuses, and is as ready to work."""
    world = make()
    world.export()
    world.export("shop/taken")
    world.cluster.put(SERVICES, service("shop/other"))
    world.export("shop/other")
    world.mesh.advance(2)
    leader, standby = world.controller(0), world.controller(1)
    assert standby.statuses == leader.statuses
    assert {s["east"].state for s in standby.statuses.values()} == {State.MIRRORED, State.CONFLICT}
    assert {write.replica for write in world.writes} == {"west"}
    assert len(world.cluster.keys(EVENTS)) == 1
    program = world.replicas[1].program
    assert program is not None
    assert program.problem() == ""
    world.withdraw("shop/taken")
    world.mesh.advance(2)
    assert "shop/taken" not in standby.statuses
    assert standby.stats.writes == {}
    assert {write.replica for write in world.writes} == {"west"}


def test_a_standby_says_of_what_is_not_done_yet_that_it_is_not(make: MakeWorld) -> None:
    world = make()
    world.replicas[0].api.silence()
    world.export()
    world.mesh.advance(2)
    status = world.controller(1).statuses[KEY]["east"]
    assert (status.state, status.reason) == (
        State.PENDING,
        "the replica that leads is to mirror it",
    )


def test_only_the_leader_takes_orders(make: MakeWorld) -> None:
    """Both answer questions, and the standby says whom to tell."""
    world = make()
    world.mesh.advance(1)
    told = []
    for replica in world.replicas:
        assert replica.program is not None
        told.append(Administration(replica.program, world.mesh.network.clock.seconds))
    leader, standby = told
    expected = {"holder": "west_2", "lease": "default/service-reflector"}
    assert leader.status()["election"] == {"role": "leader", "identity": "west_2", **expected}
    assert standby.status()["election"] == {"role": "standby", "identity": "west-1_2", **expected}
    assert leader.forget("gone") == "there are no mirrors of source 'gone'"
    for order in (standby.forget, standby.release):
        with pytest.raises(ValueError, match="stands by: tell the one that leads, west_2"):
            order("east")


def test_a_new_leader_does_at_once_what_was_left_undone(make: MakeWorld) -> None:
    """Within three seconds of the release, with the change of the time in between."""
    world = make()
    world.export()
    world.mesh.advance(7.3)
    world.replicas[0].stop()
    world.export(KEY, ["10.9.0.2"])
    assert world.until_led() <= 2.0
    world.mesh.settle()
    assert world.ips() == (["10.9.0.2"], [])
    assert world.writes[-1].replica == "west-1"


def test_an_hour_of_kills_and_releases(make: MakeWorld) -> None:
    """Now the one, now the other; changes at the source all along. At most one writes at a time,
    the one that the Lease names, a new leader is there in time, and every mirror is right."""
    world = make()
    random = Random(20261123)
    wanted: dict[str, str] = {}
    handovers: dict[str, list[float]] = {"kill": [], "stop": []}
    rounds = count()
    while world.now < 3600:
        ip = f"10.9.{next(rounds)}"
        for _ in range(3):
            key = f"shop/s{random.randrange(8)}"
            if key in wanted and random.random() < 0.3:
                del wanted[key]
                world.withdraw(key)
            else:
                wanted[key] = f"{ip}.{random.randrange(250)}"
                world.export(key, [wanted[key]])
            world.mesh.advance(random.random() * 10)
        (leader,) = world.leaders()
        victim = random.choice(world.replicas)
        ending = random.choice(("kill", "stop"))
        victim.kill() if ending == "kill" else victim.stop()
        if victim.name == leader:
            handovers[ending].append(world.until_led())
        world.mesh.advance(random.random() * 40)
        victim.start()
        world.mesh.advance(random.random() * 60)
    world.mesh.advance(30)
    assert {k for k in world.cluster.keys(SERVICES) if k.startswith("shop/")} == set(wanted)
    for key, ip in wanted.items():
        assert world.ips(key) == ([ip], [])
    assert [write for write in world.writes if write.replica != write.holder] == []
    assert len({write.replica for write in world.writes}) == 2
    assert min(map(len, handovers.values())) >= 10
    # Releasing takes no time here; what a kill costs, counts from when it has been seen.
    assert max(handovers["stop"]) <= TIMING.retry_period + 0.1
    assert max(handovers["kill"]) <= TIMING.lease_duration + TIMING.retry_period + 0.1
    assert min(handovers["kill"]) >= TIMING.lease_duration - TIMING.retry_period - 0.1
    told = {name: f"{max(times):.1f} s" for name, times in handovers.items()}
    print(f"longest handovers: {told}")  # noqa: T201


# Writes of a deposed leader that arrive late.


def cut_off(world: World, change: Callable[[], None]) -> None:
    """The leader's writes that the change leads to are on the wire, and stay there."""
    world.mesh.advance(1)
    api = world.replicas[0].api
    api.silence()
    change()
    world.mesh.settle()
    api.silence(False)
    while not any(sent.startswith((b"POST", b"PUT", b"DELETE")) for sent in api.requests):
        assert world.mesh.network.step(), "nothing is written"
    api.silence()
    world.mesh.settle()
    assert world.controller(0).queue.working == 1


def arrive(world: World) -> list[str]:
    """What was on the wire arrives: the methods and the ends of the paths."""
    before = len(world.writes)
    world.replicas[0].api.silence(False)
    world.mesh.settle()
    late = [write.what for write in world.writes[before:] if write.replica == "west"]
    return [f"{what.split()[0]} {what.rsplit('/', 1)[1]}" for what in late]


def depose(world: World) -> None:
    """Another leads; the first has cancelled what it had under way, and begins nothing."""
    world.mesh.advance(TIMING.renew_deadline)
    assert world.leaders() == []
    assert world.controller(0).queue.working == 0
    world.mesh.advance(TIMING.lease_duration - TIMING.renew_deadline + TIMING.retry_period)
    assert world.leaders() == ["west-1"]


ENDPOINTS_ONLY = Policy(endpoints_api=EndpointsApi.ENDPOINTS)


@pytest.mark.parametrize(
    ("policy", "ips", "late"),
    [
        (Policy(), None, "POST services"),
        (Policy(), (), "POST endpointslices"),
        (ENDPOINTS_ONLY, (), "PUT cart"),
    ],
)
def test_what_is_created_too_late_is_deleted_again(
    make: MakeWorld, policy: Policy, ips: tuple[str, ...] | None, late: str
) -> None:
    """The new leader has made it, and deleted it again: a Service, or what is behind one."""
    world = make(policy=policy)
    world.export("shop/other")
    if ips is not None:
        world.export(KEY, ips)
    cut_off(world, world.export)
    depose(world)
    assert world.ips() == (["10.9.0.1"], [])
    world.withdraw()
    world.mesh.advance(1)
    assert world.mirror() is None
    before = len(world.writes)
    assert arrive(world) == [late]
    healed = [write.what for write in world.writes[before:] if write.replica == "west-1"]
    assert bool(healed) is late.startswith("POST")
    assert world.mirror() is None
    assert world.ips() == ([], [])
    assert [key for key in world.slices() if "cart" in key] == []


@pytest.mark.parametrize("resource", [SERVICES, ENDPOINTS, ENDPOINTSLICES])
def test_no_part_of_a_mirror_outlives_it(make: MakeWorld, resource: Resource) -> None:
    """Each as it was, alone, where the new leader has deleted them all."""
    world = make()
    world.export()
    world.mesh.advance(1)
    documents = [record.document() for record in world.cluster.model.stores[resource]]
    (part,) = [d for d in documents if d["metadata"]["namespace"] == "shop"]
    for member in ("uid", "resourceVersion"):
        del part["metadata"][member]
    world.replicas[0].stop()
    world.withdraw()
    world.mesh.advance(3)
    world.cluster.put(resource, part)
    world.mesh.advance(1)
    assert [key for key in world.cluster.keys(resource) if key.startswith("shop/")] == []


def test_an_update_that_comes_too_late_is_refused_or_put_right(make: MakeWorld) -> None:
    """Refused where the new leader has updated the object, too; else its next plan sees it."""
    world = make(policy=ENDPOINTS_ONLY)
    world.export()
    cut_off(world, lambda: world.export(KEY, ["10.9.0.2"]))
    world.export(KEY, ["10.9.0.3"])
    depose(world)
    assert arrive(world) == ["PUT cart"]
    assert world.ips() == (["10.9.0.3"], [])
    assert len(put_by(world, "west-1")) == 1

    world = make(policy=ENDPOINTS_ONLY)
    world.export()
    cut_off(world, lambda: world.export(KEY, ["10.9.0.2"]))
    world.export()
    depose(world)
    assert put_by(world, "west-1") == []
    assert arrive(world) == ["PUT cart"]
    assert world.ips() == (["10.9.0.1"], [])
    assert len(put_by(world, "west-1")) == 1


def put_by(world: World, replica: str) -> list[str]:
    return [w.what for w in world.writes if w.replica == replica and w.what.startswith("PUT")]


def test_a_deletion_that_comes_too_late_is_undone(make: MakeWorld) -> None:
    """The source exports it again, as it was, so that the new leader had nothing to do."""
    world = make()
    world.export()
    world.export("shop/other")
    cut_off(world, world.withdraw)
    world.export()
    depose(world)
    before = world.mirror()
    assert arrive(world) == ["DELETE cart"]
    after = world.mirror()
    assert before is not None
    assert after is not None
    assert before["metadata"]["uid"] != after["metadata"]["uid"]
    assert world.ips() == (["10.9.0.1"], [])
    assert len([key for key in world.slices() if "cart" in key]) == 1


def test_a_deletion_that_comes_too_late_meets_what_the_new_leader_wrote(make: MakeWorld) -> None:
    """It has another version: it stays, and its ClusterIP."""
    world = make()
    world.export()
    world.export("shop/other")
    cut_off(world, world.withdraw)
    world.export()
    world.east.cluster.put(SERVICES, service(KEY, ports=(81,)))
    depose(world)
    before = world.mirror()
    assert arrive(world) == ["DELETE cart"]
    assert world.mirror() == before


def test_a_deposed_leader_starts_no_write(make: MakeWorld) -> None:
    """It hears of changes, and plans them, as any standby."""
    world = make()
    world.export()
    world.mesh.advance(1)
    world.replicas[0].api.silence()
    depose(world)
    world.export(KEY, ["10.9.0.2"])
    world.mesh.advance(1)
    world.replicas[0].api.silence(False)
    world.mesh.advance(60)
    assert [w for w in world.writes if w.replica != w.holder] == []
    assert world.ips() == (["10.9.0.2"], [])
    assert world.leaders() == ["west-1"]
    assert world.controller(0).statuses == world.controller(1).statuses


def test_a_leader_that_stood_still_in_the_middle_of_a_plan_does_not_go_on(make: MakeWorld) -> None:
    """Its clock tells it at the next write, before any timer; that is no error. It leads again at
    its next look, as nobody else has taken the Lease, and does the rest."""
    world = make()
    world.mesh.advance(1)
    program = world.replicas[0].program
    assert program is not None
    assert program.election is not None
    clock = AheadClock(world.mesh.network.clock, lambda: 100.0 if world.writes else 0.0)
    program.election._reactor = clock
    world.export()
    world.mesh.settle()
    assert [write.what for write in world.writes] == ["POST /api/v1/namespaces"]
    assert world.leaders() == []
    world.mesh.advance(TIMING.retry_period)
    assert world.ips() == (["10.9.0.1"], [])
    assert world.leaders() == ["west"]
    assert world.controller(0).stats.errors == 0


# What else acts only while it leads.


def test_events_are_told_by_the_leader_and_again_by_the_next(make: MakeWorld) -> None:
    """The first may have died before it came to that."""
    world = make()
    world.cluster.put(SERVICES, service(KEY))
    world.export()
    world.mesh.advance(1)
    assert len(world.cluster.keys(EVENTS)) == 1
    world.replicas[0].kill()
    world.until_led()
    world.mesh.advance(1)
    assert [w.replica for w in world.writes if "events" in w.what] == ["west", "west-1"]


def test_namespaces_are_deleted_by_the_leader_alone(make: MakeWorld) -> None:
    """Which has looked for itself for as long as that takes."""
    world = make(delete_namespaces=True)
    world.export()
    world.mesh.advance(1)
    world.withdraw()
    world.mesh.advance(LOOK_EVERY)
    assert "shop" in world.cluster.keys(NAMESPACES)
    world.replicas[0].stop()
    took_over = world.now + world.until_led()
    world.mesh.advance(GRACE - 1)
    assert "shop" in world.cluster.keys(NAMESPACES)
    world.mesh.advance(2 * LOOK_EVERY)
    assert "shop" not in world.cluster.keys(NAMESPACES)
    (deletion,) = [w for w in world.writes if w.what == "DELETE /api/v1/namespaces/shop"]
    assert deletion.replica == "west-1"
    assert deletion.time >= took_over + GRACE - 0.1


# What a standby has concluded is no reason to act.


def test_silence_counts_from_the_takeover(make: MakeWorld) -> None:
    """The standby cannot hear the source, the leader can. What the leader wrote stays for as long
    as if the standby had just been started."""
    patience = Patience(stale_after=60.0)
    world = make(("east", SourceSettings("east", patience=patience)))
    world.export()
    world.mesh.advance(1)
    deafen(world, 1)
    world.mesh.advance(100)
    assert world.controller(1).fleet.sources[0].freshness is Freshness.STALE
    assert world.ips() == (["10.9.0.1"], [])
    world.replicas[0].stop()
    world.until_led()
    world.mesh.advance(55)
    assert world.ips() == (["10.9.0.1"], [])
    world.mesh.advance(10)
    assert world.ips() == ([], ["10.9.0.1"])


def test_what_was_marked_stale_stays_so_until_the_source_is_heard(make: MakeWorld) -> None:
    """The new leader has not heard it either; that it only just began to lead is no good news."""
    patience = Patience(stale_after=60.0)
    world = make(("east", SourceSettings("east", patience=patience)))
    world.export()
    world.mesh.advance(1)
    assert world.east.emitter is not None
    world.east.emitter.silence()
    world.mesh.advance(100)
    assert world.ips() == ([], ["10.9.0.1"])
    writes = len(world.writes)
    world.replicas[0].stop()
    world.until_led()
    world.mesh.advance(100)
    assert world.ips() == ([], ["10.9.0.1"])
    assert [w.what for w in world.writes[writes:] if "events" not in w.what] == []
    world.east.emitter.silence(False)
    world.mesh.advance(35)
    assert world.ips() == (["10.9.0.1"], [])


def test_a_source_that_is_heard_at_last_is_restored(make: MakeWorld) -> None:
    """Also before the silence would have counted anew."""
    patience = Patience(stale_after=60.0)
    world = make(("east", SourceSettings("east", patience=patience)))
    world.export()
    world.mesh.advance(1)
    assert world.east.emitter is not None
    world.east.emitter.silence()
    world.mesh.advance(100)
    world.replicas[0].stop()
    world.until_led()
    world.east.emitter.silence(False)
    world.mesh.advance(35)
    assert world.ips() == (["10.9.0.1"], [])


def test_what_was_held_is_held_anew(make: MakeWorld) -> None:
    """The standby was told a wrong list, and has held what it lacks for long enough: as the leader
    it holds that for the whole time, since nobody could have said that the list was wrong."""
    world = make(policy=Policy(limits=Limits(hold=300.0)))
    keys = [f"shop/s{n}" for n in range(12)]
    for key in keys:
        world.export(key)
    world.mesh.advance(1)
    source = world.controller(1).fleet.sources[0]
    source.services.replace((), source.services.version)
    world.mesh.settle()
    assert world.controller(1).fleet.breaker.count("east") == 12
    deafen(world, 1)
    world.mesh.advance(310)
    assert world.controller(1).fleet.breaker.count("east") == 0
    world.replicas[0].stop()
    world.until_led()
    world.mesh.advance(290)
    assert set(keys) <= set(world.cluster.keys(SERVICES))
    assert world.controller(1).fleet.breaker.count("east") == 12
    world.mesh.advance(15)
    assert not set(keys) & set(world.cluster.keys(SERVICES))


def deafen(world: World, number: int) -> None:
    """The source's informers of this replica hear nothing any more."""
    program = world.replicas[number].program
    assert program is not None
    for informer in program.followers["east"].informers:
        informer.disownServiceParent()
