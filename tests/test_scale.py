"""What docs/scale.md computes with: that what a mesh costs goes by changes and by clients, and not
by what else there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from simulation.network import SimNetwork
from simulation.world import Process, SimCluster

from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.listwatch.machine import Timing
from servicereflector.program import Roles
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import endpoints, service

#: Digits of a number in a name: all names are as long, so that bytes can be compared.
_WIDTH = 3

#: No bookmark, no end of a watch while bytes are counted.
_SILENT = Timing(idle=10_000.0, watch=(5000, 6000))


@dataclass(frozen=True, slots=True)
class Cost:
    """
    :ivar bytes: that went over the network, all of it.
    :ivar writes: of all hosts.
    """

    bytes: int
    writes: int


class Meshed:
    """Clusters of which each mirrors what all others have."""

    def __init__(self, clusters: int, services: int) -> None:
        self.network = SimNetwork(Random(7).random)
        names = [f"c{number:0{_WIDTH}}" for number in range(clusters)]
        self.clusters = [SimCluster(name, self.network) for name in names]
        everything = LabelSelector()
        self.processes = [
            Process(
                cluster,
                [SourceSettings(name) for name in names if name != cluster.name],
                Roles(emitted=everything, reflected=everything),
                _SILENT,
                lambda: 0.5,
            )
            for cluster in self.clusters
        ]
        self.network.advance(20.0)
        for number, cluster in enumerate(self.clusters):
            for one in range(services):
                self.export(number, one)
            cluster.guard.log.clear()

    def export(self, number: int, one: int, last: int = 1) -> None:
        cluster = self.clusters[number]
        key = f"{cluster.name}/s{one:0{_WIDTH}}"
        cluster.put(SERVICES, service(key))
        cluster.put(ENDPOINTS, endpoints(key, [f"10.9.0.{last}"]))

    @property
    def mirrors(self) -> int:
        return sum(
            record.reflected for each in self.clusters for record in each.model.stores[SERVICES]
        )

    @contextmanager
    def cost(self) -> Iterator[list[Cost]]:
        """Of what is done in the block, until it is quiet: appended when it ends."""
        told: list[Cost] = []
        before = self.network.bytes_moved, self._writes()
        yield told
        self.network.advance(5.0)
        told.append(Cost(self.network.bytes_moved - before[0], self._writes() - before[1]))

    def _writes(self) -> int:
        return sum(cluster.guard.writes for cluster in self.clusters)

    def stop(self) -> None:
        for process in self.processes:
            process.stop()
        self.network.advance(10.0)


def _of_one_change(clusters: int, services: int) -> Cost:
    meshed = Meshed(clusters, services)
    meshed.network.advance(5.0)
    assert meshed.mirrors == clusters * (clusters - 1) * services
    with meshed.cost() as told:
        meshed.export(0, 0, last=2)
    meshed.stop()
    return told[0]


def test_a_change_costs_the_same_in_a_small_fleet_and_in_a_large_one() -> None:
    """To the byte, but for the digits of versions."""
    few, many = _of_one_change(2, 2), _of_one_change(2, 60)
    assert few.writes == many.writes
    assert abs(few.bytes - many.bytes) < 0.02 * few.bytes


def test_a_change_costs_each_other_cluster_the_same() -> None:
    """One event on the wire, and what that host writes: so it goes by the number of clients."""
    told = [_of_one_change(clusters, 2) for clusters in (2, 3, 5)]
    assert [one.writes for one in told] == [n * told[0].writes for n in (1, 2, 4)]
    (first, second), (_, third) = pairwise(told)
    each = second.bytes - first.bytes
    assert abs(third.bytes - second.bytes - 2 * each) < 0.05 * third.bytes


def test_a_mesh_holds_each_service_once_in_every_other_cluster() -> None:
    """C clusters of S Services: C · (C - 1) · S mirrors, and as many writes for each of them
    whatever C is."""
    told = []
    for clusters, services in ((2, 6), (4, 6), (2, 12)):
        meshed = Meshed(clusters, services)
        with meshed.cost() as cost:
            pass
        mirrors = clusters * (clusters - 1) * services
        assert meshed.mirrors == mirrors
        meshed.stop()
        # A namespace of each source is written besides.
        told.append((cost[0].writes - clusters * (clusters - 1)) / mirrors)
    assert len(set(told)) == 1, told


def test_the_figures_of_the_document_are_those_of_its_program() -> None:
    text = (Path(__file__).parents[1] / "docs/scale.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    (told,) = re.findall(r"^```text\n(.*?)^```$", text, re.M | re.S)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == told
