"""Any process may be killed at any time: in the end the mirrors are right, and none was lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from .clusters import Cluster, RunningProgram, eventually, run_emitter, run_reflector

KEYS = [f"shop/kept-{i}" for i in range(8)]

#: Restart orders that are tried: each of the six processes on its own, then pairs in an order drawn
#: from this seed.
SEED = 20261122


class World:
    """The processes by name, and what must hold of the mirrors."""

    def __init__(
        self, east: Cluster, west: Cluster, emitter: RunningProgram, reflector: RunningProgram
    ) -> None:
        self.east, self.west = east, west
        self.reflector = reflector
        self._kill: dict[str, Callable[[], None]] = {}
        self._start: dict[str, Callable[[], None]] = {}
        for name, cluster in (("east", east), ("west", west)):
            server = cluster.server
            self._kill |= {f"{name} etcd": server.kill_etcd, f"{name} api": server.kill_apiserver}
            self._start |= {
                f"{name} etcd": server.restart_etcd,
                f"{name} api": server.restart_apiserver,
            }
        for name, program in (("emitter", emitter), ("reflector", reflector)):
            self._kill[name], self._start[name] = program.kill, program.start
        self.names = list(self._kill)
        self._round = 0

    def kill(self, name: str) -> None:
        self._kill[name]()

    def start(self, name: str) -> None:
        self._start[name]()

    def uids(self) -> dict[str, str]:
        return {
            f"{s['metadata']['namespace']}/{s['metadata']['name']}": s["metadata"]["uid"]
            for s in self.west.list("services")
            if s["metadata"]["namespace"] == "shop"
        }

    def change_everything(self) -> dict[str, list[str]]:
        """New addresses behind each Service of east; what west must come to."""
        self._round += 1
        wanted = {key: [f"10.9.{self._round}.{i}"] for i, key in enumerate(KEYS)}
        for key, ips in wanted.items():
            self.east.set_ips(key, *ips)
        return wanted

    def wait_for(self, wanted: dict[str, list[str]], after: str) -> None:
        for key, ips in wanted.items():
            eventually(
                f"{key} behind {ips} after {after}: {self.reflector.log()}",
                lambda key=key, ips=ips: self.west.ips(key) == ips,  # type: ignore[misc]
                60,
            )


@pytest.fixture(scope="module")
def world(
    east: Cluster,
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    reflector: RunningProgram,
) -> World:
    east.namespace("shop")
    for key in KEYS:
        east.export(key, "10.9.0.1")
    world = World(east, west, emitter[0], reflector)
    world.wait_for({key: ["10.9.0.1"] for key in KEYS}, "the start")
    return world


def test_each_process_alone(world: World) -> None:
    """What changes meanwhile and afterwards arrives, and no mirror is made anew."""
    before = world.uids()
    for name in world.names:
        world.kill(name)
        if not name.startswith("east"):
            world.change_everything()
        world.start(name)
        world.wait_for(world.change_everything(), name)
        assert world.uids() == before, name


def test_pairs_in_any_order(world: World) -> None:
    before = world.uids()
    rng = random.Random(SEED)
    for _ in range(4):
        pair = rng.sample(world.names, 2)
        for name in pair:
            world.kill(name)
        # An API server cannot be ready before its etcd is.
        rng.shuffle(pair)
        pair.sort(key=lambda name: not name.endswith("etcd"))
        for name in pair:
            world.start(name)
        world.wait_for(world.change_everything(), f"{pair} (seed {SEED})")
        assert world.uids() == before, pair


def test_a_deletion_is_not_missed_while_the_reflector_is_away(world: World) -> None:
    world.kill("reflector")
    world.east.export("shop/short-lived", "10.9.0.1")
    world.start("reflector")
    eventually("it is mirrored", lambda: world.west.ips("shop/short-lived") == ["10.9.0.1"], 30)
    world.kill("reflector")
    world.east.delete("services", "shop/short-lived")
    world.start("reflector")
    eventually("it is gone", lambda: world.west.get("services", "shop/short-lived") is None, 30)


def test_nothing_is_deleted_while_the_source_is_away(world: World) -> None:
    """The Reflector starts anew beside a source that nobody can reach: the mirrors stay."""
    before = world.uids()
    world.kill("emitter")
    world.kill("reflector")
    world.start("reflector")
    reflector = world.reflector
    eventually("the Reflector works", reflector.is_ready, 30)
    eventually(
        "it has tried the source",
        lambda: (
            reflector.metric(
                'service_reflector_reconnects_total{resource="services",source="east"}'
            )
            > 1
        ),
        30,
    )
    assert world.uids() == before
    world.start("emitter")
    world.wait_for(world.change_everything(), "the source's return")
    assert world.uids() == before


def test_nothing_on_disk_is_needed(
    world: World, directory: Path, tmp_path: Path, programs: list[RunningProgram]
) -> None:
    """All that either role writes is its log and the socket that a flag names. Others that begin
    in an empty directory, HOME and all, go on from what the clusters hold."""
    before = world.uids()
    world.kill("emitter")
    world.kill("reflector")
    left = {path.name for path in directory.rglob("*")}
    assert left == {f"{who}.{what}" for who in ("emitter", "reflector") for what in ("log", "sock")}
    wanted = world.change_everything()
    emitter, url = run_emitter(tmp_path / "emitter", world.east)
    reflector = run_reflector(tmp_path / "reflector", world.west, f"--source-api=east={url}")
    programs += [emitter, reflector]
    world.reflector = reflector
    world.wait_for(wanted, "a start from nothing")
    assert world.uids() == before
