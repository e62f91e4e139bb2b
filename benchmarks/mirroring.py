"""A fleet of Services from one cluster into another: how fast, in how much memory, how late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from servicereflector.reflector.controller import STARTING

from .clusters import CHANGING, RELAYED, Cluster, cluster, namespace
from .processes import Load, Program, Running, cpu_seconds, resident, until
from .results import Row

#: Services in CHANGING.
FEW = 100

#: Objects that the program holds for each Service: this and its Endpoints, here and there.
OBJECTS = 4

#: Of the Go program with 5,000 Services, in bytes, and of each object: measured
#: once: see docs/performance.md.
GO_RESIDENT, GO_OBJECT = 138e6, 5100

#: What an object is to cost at most, in bytes.
OBJECT_GOAL = 3000

#: Seconds that a turn of the reactor may compute.
TURN_GOAL = 0.05


@dataclass(frozen=True, slots=True)
class Fleet:
    """
    :ivar east: the source; ``west`` the host.
    """

    load: Load
    directory: Path
    east: Cluster
    west: Cluster

    @contextmanager
    def program(self, name: str) -> Iterator[Program]:
        flags = (
            f"--source-kubeconfig=east={self.east.kubeconfig()}",
            "--emitter.insecure-anonymous",
            "--reflector.max-services=0",  # default/kubernetes is one, too
        )
        with Program(self.directory / name, self.west.kubeconfig(), *flags) as running:
            yield running


def mirroring(
    load: Load, directory: Path, services: int, many: int, seconds: float
) -> Iterator[Row]:
    """
    :param services: of the usual fleet; ``many`` of the large one.
    :param seconds: that a measurement of delays takes.
    """
    with ExitStack() as stack:
        east, west = (stack.enter_context(cluster(load, number)) for number in (1, 2))
        fleet = Fleet(load, directory, east, west)
        east.export(FEW, inside=lambda _: CHANGING)
        with fleet.program("few") as program:
            mirrored(program, FEW)
            alone = per_change(fleet, program, seconds)
        ceiling = filled(east, FEW, services)
        with measured(west) as host, fleet.program("first") as program:
            mirrored(program, services)
            took = time.monotonic() - program.began
            created = services - FEW
            yield Row(
                f"{created:,} Services mirrored",
                created / took,
                created / ceiling,
                "/s",
                "the same POSTs from 16 connections",
                0.7,
            )
            yield Row(
                f"CPU time of that, {created:,} Services",
                cpu_seconds(program.pid),
                host(),
                "s",
                "the host's kube-apiserver",
                1.0,
                less=True,
            )
            small = resident(program.pid)
            yield from _delays(fleet, program, seconds)
        yield from _ready(fleet)
        with fleet.program("grown") as program:
            filled(east, services, many)
            mirrored(program, many)
            large = resident(program.pid)
        with fleet.program("again") as program:
            # Once more all is looked at then.
            until("it has started", lambda: time.monotonic() > program.began + STARTING + 1)
            mirrored(program, many)
            crowded = per_change(fleet, program, seconds)
            turn = program.samples()["reactor_longest_turn_cpu_seconds"]
    yield _memory(services, small, GO_RESIDENT, 1.0)
    grown = (large - small) / (many - services) / OBJECTS
    yield Row(
        f"memory of an object, {services:,} to {many:,} Services",
        grown,
        GO_OBJECT,
        "B",
        "the Go program",
        OBJECT_GOAL / GO_OBJECT,
        less=True,
    )
    yield Row(
        f"CPU per change, {many:,} Services",
        crowded * 1000,
        alone * 1000,
        "ms",
        f"{FEW} Services",
        1.1,
        less=True,
    )
    yield Row(
        f"longest turn, {many:,} Services, first lists included",
        turn * 1000,
        TURN_GOAL * 1000,
        "ms",
        "the limit",
        1.0,
        less=True,
    )


def _memory(services: int, ours: float, theirs: float, goal: float) -> Row:
    return Row(
        f"memory, {services:,} Services mirrored, both roles",
        ours / 1e6,
        theirs / 1e6,
        "MB",
        "the Go program",
        goal,
        less=True,
    )


def filled(cluster: Cluster, first: int, end: int) -> float:
    """The seconds that it takes to create those Services and their Endpoints."""
    began = time.monotonic()
    cluster.export(end - first, first=first, inside=namespace)
    return time.monotonic() - began


@contextmanager
def measured(cluster: Cluster) -> Iterator[Callable[[], float]]:
    """What its API server has computed since."""
    began = cpu_seconds(cluster.pid)
    yield lambda: cpu_seconds(cluster.pid) - began


def mirrored(program: Program, services: int) -> None:
    """Wait until so many are, and nothing is left to do."""
    until(
        f"{services} Services are mirrored",
        lambda: (
            (samples := program.samples())
            and samples.get("queue_length") == 0
            and samples.get('mirrored_services{source="east",state="Mirrored"}', 0) >= services
        ),
        pause=0.25,  # to be asked costs the program time, too
    )


def per_change(fleet: Fleet, program: Program, seconds: float) -> float:
    """Seconds that the program computes for a change that it mirrors and tells ten watchers."""
    count = int(seconds * 50)
    with (
        fleet.load.start(
            "watch", "-url", program.plain, "-path", _CHANGING, "-watchers", 10
        ) as watchers,
        _arrivals(fleet) as arrivals,
    ):
        began = cpu_seconds(program.pid)
        fleet.east.change(count, rate=50)
        arrivals.ask(f"await {count}")
        watchers.ask("await 0")
        return (cpu_seconds(program.pid) - began) / count


_CHANGING, _RELAYED = (f"/api/v1/namespaces/{one}/endpoints" for one in (CHANGING, RELAYED))


def _arrivals(fleet: Fleet, path: str = _CHANGING) -> Running:
    """A watch of what changes in the host."""
    return fleet.load.start("watch", *fleet.west.api, "-path", path, "-timed", 1)


def _delays(fleet: Fleet, program: Program, seconds: float) -> Iterator[Row]:
    ours = {rate: _delay(fleet, rate, seconds) for rate in (1, 50)}
    program.pause()
    relay = (*fleet.east.at("source-"), *fleet.west.at("host-"), "-path", _CHANGING)
    with fleet.load.start("relay", *relay, "-into", RELAYED):
        theirs = {rate: _delay(fleet, rate, seconds, _RELAYED) for rate in (1, 50)}
    for rate in ours:
        for quantile in ("p50", "p99"):
            yield Row(
                f"change to change {quantile}, {rate} a second",
                ours[rate][quantile] * 1000,
                theirs[rate][quantile] * 1000,
                "ms",
                "a compiled relay",
                2.0,
                less=True,
            )


def _delay(fleet: Fleet, rate: int, seconds: float, path: str = _CHANGING) -> dict[str, float]:
    """Quantiles of the seconds from a change at the source to the change at the host."""
    count = max(3, int(2 * seconds * rate))
    with _arrivals(fleet, path) as arrivals:
        fleet.east.change(count, rate=rate)
        told: dict[str, float] = arrivals.ask(f"await {count}")
        return told


def _ready(fleet: Fleet) -> Iterator[Row]:
    took = []
    for number in range(3):
        with fleet.program(f"ready-{number}") as program:
            took.append(time.monotonic() - program.began)
    began = time.monotonic()
    fleet.load.run("ready", *fleet.east.at("source-"), *fleet.west.at("host-"))
    yield Row(
        "exec to ready",
        sorted(took)[1],
        time.monotonic() - began,
        "s",
        "a compiled program that lists the same",
        2.0,
        less=True,
    )
