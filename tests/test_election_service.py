"""The Service that asks for the Lease: its deadlines, and what it tells, over a real client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from aheadclock import AheadClock
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from servicereflector.election.machine import Timing
from servicereflector.election.service import Candidacy, LeaderElection, micro_time
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import LEASES, Resource
from servicereflector.kube.status import ApiError
from servicereflector.testing.clusters import MemoryCluster
from servicereflector.testing.network import Server

KEY = "default/service-reflector"


class Replica:
    """An election with a way to the cluster of its own.

    :ivar told: what it said of itself, in order.
    :ivar clock: that of its own.
    """

    def __init__(self, cluster: MemoryCluster, name: str, timing: Timing) -> None:
        self.told: list[str] = []
        self.api: Server = cluster.network.serve(name, cluster.api.app.resource())
        self.client = self.api.client()
        self.clock = AheadClock(cluster.network.clock)
        self.election = LeaderElection(
            self.clock,
            self.client,
            Candidacy(name, timing=timing),
            epoch=cluster.epoch,
            started=lambda: self.told.append("started"),
            stopped=lambda: self.told.append("stopped"),
        )


class World:
    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.network = self.cluster.network
        self.replicas: list[Replica] = []

    def start(self, name: str, timing: Timing | None = None) -> Replica:
        replica = Replica(self.cluster, name, timing or Timing())
        self.replicas.append(replica)
        replica.election.startService()
        self.network.settle()
        return replica

    def stop(self, replica: Replica) -> None:
        if replica.election.running:
            self.network.wait(replica.election.stopService(), seconds=10)
            self.network.wait(replica.client.close(), seconds=10)

    @property
    def lease(self) -> Json:
        lease = self.cluster.get(LEASES, KEY)
        assert lease is not None
        return lease

    @property
    def spec(self) -> Json:
        spec: Json = self.lease["spec"]
        return spec


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for replica in world.replicas:
        replica.api.silence(False)
        world.stop(replica)


def lines(logs: list[dict[str, Any]], level: LogLevel = LogLevel.info) -> list[str]:
    """The messages of at least this level."""
    return [event["log_format"].format(**event) for event in logs if event["log_level"] >= level]


def test_the_first_leads_and_the_second_stands_by(world: World) -> None:
    """Each says so in one line, and who leads."""
    with capturedLogs() as logs:
        a, b = world.start("a"), world.start("b")
        world.network.advance(30)
    assert (a.told, b.told) == (["started"], [])
    assert (a.election.leads, b.election.leads) == (True, False)
    assert (a.election.holder, b.election.holder) == ("a", "a")
    assert lines(logs) == [
        "leader election: this replica, a, leads",
        "leader election: a leads, this replica stands by",
    ]


def test_the_times_are_micro_times(world: World) -> None:
    """Of six digits: a real API server takes no others."""
    world.network.advance(0.25)
    world.start("a")
    world.network.advance(4)
    assert world.spec["acquireTime"] == "2026-01-01T00:00:00.250000Z"
    assert world.spec["renewTime"] == "2026-01-01T00:00:04.250000Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", micro_time(1790000000.0))


def test_a_release_is_taken_at_the_next_look(world: World) -> None:
    """And is no loss that anybody has to be told of."""
    a, b = world.start("a"), world.start("b")
    world.network.advance(7.5)
    with capturedLogs() as logs:
        world.stop(a)
        assert world.spec["holderIdentity"] == ""
        world.network.advance(2)
    assert b.told == ["started"]
    assert a.told == ["started"]
    assert lines(logs) == [
        "leader election: the Lease is released",
        "leader election: this replica, b, leads",
    ]


def test_a_leader_that_cannot_renew_stops_by_the_deadline(world: World) -> None:
    """The last renewal was at 4 s. It stands by again, and says why in one line."""
    a = world.start("a")
    world.network.advance(4)
    a.api.silence()
    with capturedLogs() as logs:
        world.network.advance(9.99)
        assert a.election.leads
        world.network.advance(0.01)
    assert not a.election.leads
    assert a.told == ["started", "stopped"]
    assert lines(logs, LogLevel.warn) == [
        "leader election: the Lease default/service-reflector: no answer within 5 s",
        "leader election: this replica no longer leads, the Lease was not renewed in time: no"
        " answer within 5 s",
    ]
    a.api.silence(False)
    with capturedLogs() as logs:
        world.network.advance(7)
    assert a.told == ["started", "stopped", "started"]
    assert lines(logs) == ["leader election: this replica, a, leads"]
    assert world.spec["leaseTransitions"] == 0


def test_each_request_leaves_time_for_another(world: World) -> None:
    """A renewal that hangs is cut off early enough: one answer that is lost costs nothing."""
    a = world.start("a")
    world.network.advance(1.9)
    a.api.silence()
    world.network.advance(5.0)
    a.api.cut()
    a.api.silence(False)
    world.network.advance(60)
    assert a.told == ["started"]


def test_a_process_that_stood_still_does_not_lead(world: World) -> None:
    """Before any timer has told it: what leading goes by is the clock that nobody sets."""
    a = world.start("a")
    a.clock.ahead = lambda: 9.9
    assert a.election.leads
    a.clock.ahead = lambda: 10.0
    assert not a.election.leads
    world.network.advance(2)
    assert a.told == ["started", "stopped", "started"]
    assert a.election.leads


def test_a_deposed_leader_says_who_leads(world: World) -> None:
    """And stands by."""
    a, b = world.start("a"), world.start("b")
    world.network.advance(1)
    a.api.refuse()
    a.api.cut()
    world.network.advance(17)
    assert (a.told, b.told) == (["started", "stopped"], ["started"])
    with capturedLogs() as logs:
        a.api.refuse(False)
        world.network.advance(2)
    assert lines(logs) == ["leader election: b leads, this replica stands by"]
    assert world.spec["leaseTransitions"] == 1


def test_a_lease_that_somebody_touched_is_renewed_all_the_same(world: World) -> None:
    """A label is no loss of the Lease, and it stays."""
    a = world.start("a")
    world.network.advance(1)
    lease = world.lease
    lease["metadata"]["labels"] = {"team": "a"}
    world.cluster.put(LEASES, lease)
    world.network.advance(1)
    assert world.spec["renewTime"] == "2026-01-01T00:00:02.000000Z"
    assert world.lease["metadata"]["labels"] == {"team": "a"}
    assert a.told == ["started"]


def test_a_lease_that_somebody_took_ends_the_term(world: World) -> None:
    """At the next renewal, not at the deadline."""
    a = world.start("a")
    world.network.advance(1)
    lease = world.lease
    lease["spec"] |= {"holderIdentity": "b", "renewTime": "2026-01-01T00:00:01.000000Z"}
    world.cluster.put(LEASES, lease)
    with capturedLogs() as logs:
        world.network.advance(1)
    assert a.told == ["started", "stopped"]
    assert lines(logs) == ["leader election: this replica no longer leads, b leads"]


def test_a_lease_that_somebody_deleted_is_made_anew_by_its_leader(world: World) -> None:
    """The standby does not jump in."""
    a, b = world.start("a"), world.start("b")
    world.network.advance(1)
    world.cluster.delete(LEASES, KEY)
    world.network.advance(60)
    assert (a.told, b.told) == (["started"], [])
    assert world.spec["holderIdentity"] == "a"


def test_what_the_role_forbids_is_told_once(world: World) -> None:
    """With the rule that is missing."""

    class Forbidding:
        async def get(self, *_: Any) -> Json:
            raise ApiError(403, 'leases.coordination.k8s.io "service-reflector" is forbidden')

        create = update = get

    replica = Replica(world.cluster, "a", Timing())
    election = LeaderElection(
        world.network.clock,
        Forbidding(),
        Candidacy("a"),
        epoch=world.cluster.epoch,
        started=lambda: None,
        stopped=lambda: None,
    )
    with capturedLogs() as logs:
        election.startService()
        world.network.advance(20)
    (line,) = lines(logs)
    assert line.endswith("rule: " + 'apiGroups ["coordination.k8s.io"], resources [leases],'
                         " verbs [get, create, update]")  # fmt: skip
    assert not election.leads
    world.network.wait(election.stopService())
    world.network.wait(replica.client.close())


def test_a_release_waits_for_nobody_for_long(world: World) -> None:
    """The host no longer answers: stopping goes on after a second, and says what that means."""
    a = world.start("a")
    world.network.advance(1)
    a.api.silence()
    ended: list[object] = []
    with capturedLogs() as logs:
        a.election.stopService().addCallback(ended.append)
        world.network.advance(1)
    assert ended == [None]
    assert lines(logs, LogLevel.warn) == [
        "leader election: the Lease was not released, so others wait until it expires: no answer"
        " within 1 s"
    ]
    world.network.wait(a.client.close(), seconds=10)


def test_a_release_meets_a_renewal_that_was_under_way(world: World) -> None:
    """It is cancelled, and where it arrives all the same, between the look and the release, the
    release is tried again."""
    a = world.start("a")
    cancelled: list[object] = []
    refusals = [ApiError(409, "the object has been modified")]

    class Slow:
        get, create = a.client.get, a.client.create

        async def update(self, resource: Resource, document: Json) -> Json:
            if not cancelled:
                hangs: Deferred[Json] = Deferred(cancelled.append)
                return await hangs
            if refusals:
                raise refusals.pop()
            return await a.client.update(resource, document)

    a.election._api = Slow()
    world.network.advance(2.1)
    stopped = a.election.stopService()
    assert len(cancelled) == 1
    world.network.wait(stopped)
    world.network.wait(a.client.close(), seconds=10)
    assert world.spec["holderIdentity"] == ""
    assert world.spec["leaseDurationSeconds"] == 1


def test_a_standby_stops_without_a_word(world: World) -> None:
    """The Lease is not its own."""
    world.start("a")
    b = world.start("b")
    world.network.advance(1)
    before = world.lease
    with capturedLogs() as logs:
        world.stop(b)
    assert lines(logs) == []
    assert world.lease == before


@pytest.mark.parametrize("timing", [Timing(), Timing(4.0, 3.0, 0.5)])
def test_a_dead_leader_is_followed_in_time(world: World, timing: Timing) -> None:
    """Within the Lease's duration and one retry period."""
    a, b = world.start("a", timing), world.start("b", timing)
    world.network.advance(timing.retry_period * 2.5)
    a.api.refuse()
    a.api.cut()
    world.network.advance(timing.lease_duration + timing.retry_period)
    assert b.told == ["started"]


def test_a_failure_that_is_no_answer_of_the_api_is_told_once(world: World) -> None:
    """And once more after a minute, until the Lease is heard of again."""
    a = world.start("a")
    a.api.refuse()
    a.api.cut()
    with capturedLogs() as logs:
        world.network.advance(100)
    told = lines(logs, LogLevel.warn)
    assert len(told) == 3, told
    assert told[2].startswith("leader election: still failing after 31 attempts in 60 s: the Lease")
    assert a.told == ["started", "stopped"]
