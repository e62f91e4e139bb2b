"""Two replicas of the real program: one writes, the other takes over from it however it ends."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from .clusters import Cluster, Json, RunningProgram, ask, eventually, run_reflector

LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/service-reflector"

#: Seconds; the flags below say so, too.
DURATION, DEADLINE, RETRY = 6, 5, 1

FLAGS = (
    "--reflector.leader-elect",
    f"--reflector.leader-elect-lease-duration={DURATION}s",
    f"--reflector.leader-elect-renew-deadline={DEADLINE}s",
    f"--reflector.leader-elect-retry-period={RETRY}s",
)

STATUS = 'leader_election_master_status{name="service-reflector"}'


class Replicas:
    """
    :ivar leader: the one that leads.
    :ivar standby: the other.
    """

    def __init__(self, east: Cluster, west: Cluster, one: RunningProgram, two: RunningProgram):
        self.east, self.west = east, west
        self.leader, self.standby = one, two

    def spec(self) -> Json:
        spec: Json = self.west.must("GET", LEASE)["spec"]
        return spec

    def taken_over(self, seconds: float) -> None:
        """The standby has become the leader."""
        eventually(self.standby.log, lambda: self.standby.metric(STATUS) == 1, seconds)
        self.leader, self.standby = self.standby, self.leader

    def wait_for(self, key: str, *ips: str, seconds: float = 20) -> None:
        eventually(self.leader.log, lambda: self.west.ips(key) == list(ips), seconds)


@pytest.fixture(scope="module")
def replicas(
    east: Cluster,
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    directory: Path,
    programs: list[RunningProgram],
) -> Replicas:
    east.namespace("shop")
    east.export("shop/cart", "10.9.0.1")
    source = f"--source-api=east={emitter[1]}"
    pair = []
    for name in ("one", "two"):
        program = run_reflector(directory / name, west, source, *FLAGS)
        programs.append(program)
        program.wait_until_ready()
        pair.append(program)
        eventually("a leader", lambda: pair[0].metric(STATUS) == 1)
    found = Replicas(east, west, *pair)
    found.wait_for("shop/cart", "10.9.0.1")
    return found


def test_the_standby_is_ready_and_says_who_leads(replicas: Replicas, directory: Path) -> None:
    holder = replicas.spec()["holderIdentity"]
    assert replicas.standby.is_ready()
    assert (replicas.leader.metric(STATUS), replicas.standby.metric(STATUS)) == (1, 0)
    told = ask(directory, "status", replicas.standby.admin_socket).stdout
    assert f"This replica stands by: {holder} leads" in told
    told = ask(directory, "status", replicas.leader.admin_socket, "-ojson").stdout
    election = json.loads(told)["election"]
    assert (election["role"], election["holder"]) == ("leader", holder)
    eventually("its statuses", lambda: replicas.standby.mirrored("east", "Mirrored") == 1)
    refused = ask(directory, "forget", "north", replicas.standby.admin_socket)
    assert refused.returncode == 1
    assert refused.stderr.endswith(f"tell the one that leads, {holder}\n")


def test_after_sigterm_the_other_writes_within_three_seconds(replicas: Replicas) -> None:
    """From when the Lease says that it is released."""
    os.kill(pid_of(replicas.leader), signal.SIGTERM)
    replicas.east.set_ips("shop/cart", "10.9.0.2")
    eventually("a release", lambda: replicas.leader.log().count("the Lease is released"))
    released = next(at for at, line in replicas.leader.logged() if line.endswith("is released"))
    before = replicas.leader
    replicas.taken_over(5)
    replicas.wait_for("shop/cart", "10.9.0.2")
    took = time.time() - released
    print(f"from the release to the new leader's write: {took:.2f} s")  # noqa: T201
    assert took < 3
    assert replicas.spec()["leaseTransitions"] == 1
    before.kill()  # what is left of it: its Popen
    before.start()
    before.wait_until_ready()


def test_after_a_kill_the_other_leads_when_the_lease_has_expired(replicas: Replicas) -> None:
    killed = time.time()
    replicas.leader.kill()
    replicas.east.set_ips("shop/cart", "10.9.0.3")
    before = replicas.leader
    replicas.taken_over(DURATION + RETRY + 2)
    replicas.wait_for("shop/cart", "10.9.0.3")
    took = time.time() - killed
    print(f"from the kill to the new leader's write: {took:.2f} s")  # noqa: T201
    assert took < DURATION + RETRY + 2
    before.start()
    before.wait_until_ready()


def test_a_leader_that_stood_still_writes_nothing_wrong(replicas: Replicas) -> None:
    """It wakes up with a change in its ears that is no longer so, and stands by; it has not even
    ended: when its turn comes it leads again."""
    eventually("both are ready", lambda: replicas.standby.metric(STATUS) == 0)
    paused = replicas.leader
    paused.pause()
    try:
        replicas.east.set_ips("shop/cart", "10.9.0.4")
        replicas.east.export("shop/gone", "10.9.0.4")
        replicas.taken_over(DURATION + RETRY + 2)
        replicas.wait_for("shop/gone", "10.9.0.4")
        replicas.east.delete("services", "shop/gone")
        replicas.east.set_ips("shop/cart", "10.9.0.5")
        replicas.wait_for("shop/cart", "10.9.0.5")
        eventually("gone", lambda: replicas.west.get("services", "shop/gone") is None)
        version = replicas.west.must("GET", "/api/v1/services")["metadata"]["resourceVersion"]
    finally:
        paused.resume()
    eventually(paused.log, lambda: "this replica no longer leads" in paused.log())
    assert replicas.west.ips("shop/cart") == ["10.9.0.5"]
    assert replicas.west.get("services", "shop/gone") is None
    for kind in ("services", "endpoints"):
        written = [
            int(found["metadata"]["resourceVersion"])
            for found in replicas.west.list(kind)
            if found["metadata"]["namespace"] == "shop"
        ]
        assert max(written) <= int(version)
    assert paused.metric("service_reflector_reconcile_errors_total") == 0
    os.kill(pid_of(replicas.leader), signal.SIGTERM)
    replicas.taken_over(10)
    replicas.east.set_ips("shop/cart", "10.9.0.6")
    replicas.wait_for("shop/cart", "10.9.0.6")


def pid_of(program: RunningProgram) -> int:
    pid = program._process.pid
    assert pid is not None
    return pid


def test_the_times_in_the_lease_are_the_api_servers_own_form(replicas: Replicas) -> None:
    spec = replicas.spec()
    for member in ("acquireTime", "renewTime"):
        at = datetime.fromisoformat(spec[member].replace("Z", "+00:00"))
        assert abs(at.timestamp() - time.time()) < 60
