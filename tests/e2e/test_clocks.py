"""The system's time is set by hours: nobody notices."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .clusters import Cluster, RunningProgram, eventually, run_emitter, run_reflector

LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/service-reflector"
FLAGS = (
    "--reflector.leader-elect",
    "--reflector.leader-elect-lease-duration=4s",
    "--reflector.leader-elect-renew-deadline=3s",
    "--reflector.leader-elect-retry-period=1s",
)
LEADS = 'leader_election_master_status{name="service-reflector"}'
RECONNECTS = 'service_reflector_reconnects_total{resource="services",source="east"}'

#: The command where a file says by how many seconds the system's time is off.
PRELUDE = """
import time
real = time.time
def shifted():
    with open({!r}) as file:
        return real() + float(file.read())
time.time = shifted
from servicereflector.__main__ import main
main()
"""


class Shift:
    """
    :ivar command: what goes by it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(0)
        self.command = (sys.executable, "-c", PRELUDE.format(str(path)))

    def set(self, hours: float) -> None:
        other = self._path.with_suffix(".new")
        other.write_text(str(hours * 3600))
        other.replace(self._path)


@pytest.fixture(scope="module")
def shift(directory: Path) -> Shift:
    return Shift(directory / "shift")


@pytest.fixture(scope="module")
def emitter(
    east: Cluster, directory: Path, programs: list[RunningProgram], shift: Shift
) -> tuple[RunningProgram, str]:
    east.namespace("shop")
    east.export("shop/cart", "10.9.0.1")
    program, url = run_emitter(directory, east, command=shift.command)
    programs.append(program)
    program.wait_until_ready()
    return program, url


@pytest.fixture(scope="module")
def pair(
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    directory: Path,
    programs: list[RunningProgram],
    shift: Shift,
) -> list[RunningProgram]:
    """Two Reflectors, the leader first."""
    source = f"--source-api=east={emitter[1]}"
    found = []
    for name in ("one", "two"):
        program = run_reflector(directory / name, west, source, *FLAGS, command=shift.command)
        programs.append(program)
        found.append(program)
        program.wait_until_ready()
        eventually("a leader", lambda: found[0].metric(LEADS) == 1)
    eventually(found[0].log, lambda: west.ips("shop/cart") == ["10.9.0.1"])
    return found


@pytest.mark.parametrize("hours", [-3, 3])
def test_the_systems_time_is_set(
    east: Cluster,
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    pair: list[RunningProgram],
    shift: Shift,
    hours: int,
) -> None:
    """Changes arrive, the one that leads renews its Lease and stays alone, no connection is given
    up; after a failure the backoff is of seconds."""
    leader, standby = pair
    shift.set(0)
    eventually("the source", lambda: leader.is_ready() and standby.is_ready())
    reconnects = leader.metric(RECONNECTS)
    shift.set(hours)
    before = west.must("GET", LEASE)["spec"]
    seen = {before["renewTime"]}

    def renewals() -> int:
        seen.add(west.must("GET", LEASE)["spec"]["renewTime"])
        assert (leader.metric(LEADS), standby.metric(LEADS)) == (1, 0)
        return len(seen)

    ips = [f"10.9.{hours + 10}.1"]
    east.set_ips("shop/cart", *ips)
    eventually(leader.log, lambda: west.ips("shop/cart") == ips, 5)
    eventually(lambda: f"{seen} {leader.log()}", lambda: renewals() > 5, 10)  # a Lease's time
    after = west.must("GET", LEASE)["spec"]
    for member in ("holderIdentity", "leaseTransitions", "acquireTime"):
        assert after[member] == before[member]
    assert leader.metric(RECONNECTS) == reconnects
    emitter[0].kill()
    eventually(leader.log, lambda: leader.metric(RECONNECTS) > reconnects, 5)
    emitter[0].start()
    ips = [f"10.9.{hours + 10}.2"]
    east.set_ips("shop/cart", *ips)
    # Two waits of the backoff at the most: no connection, and a list that was less than 10 s ago.
    eventually(leader.log, lambda: west.ips("shop/cart") == ips, 60)
    assert "no longer leads" not in leader.log()
