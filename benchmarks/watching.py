"""Watch events delivered per second of computing: kube-apiserver and the Emitter of the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .clusters import CHANGING, Cluster, cluster
from .processes import PAGE, Load, Program, cpu_seconds, resident
from .results import Row

#: Changes that are written at once, and how many are written a second where each is alone.
BURST, STEADY = 10, 50

#: Bytes that a watcher may cost: 10,000 are the most by default, and are to fit 640 MB.
WATCHER_GOAL = 64e3

PATH = f"/api/v1/namespaces/{CHANGING}/endpoints"


@dataclass(frozen=True, slots=True)
class Server:
    """Who is watched.

    :ivar api: how the load reaches it.
    """

    name: str
    api: Sequence[str]
    pid: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """
    :ivar rate: events per second of computing.
    :ivar p50: seconds from the change to its arrival; p99 likewise.
    """

    rate: float
    p50: float
    p99: float


def watching(
    load: Load, directory: Path, watchers: int, seconds: float, rounds: int
) -> Iterator[Row]:
    """
    :param seconds: that a part of it takes, roughly.
    """
    with ExitStack() as stack:
        east = stack.enter_context(cluster(load, 1))
        east.export(BURST * 10, inside=lambda _: CHANGING)
        yield from _memory(load, directory, east, watchers)
        program = stack.enter_context(_emitter(directory / "events", east))
        servers = [Server("kube-apiserver", east.api, east.pid), *_served(program)]
        # Few enough that the API server keeps up.
        steady = min(STEADY, 25_000 / watchers)
        told: dict[str, list[tuple[Delivered, Delivered]]] = {}
        for _ in range(rounds):
            for server in servers:
                with load.start(
                    "watch", *server.api, "-path", PATH, "-watchers", watchers
                ) as open_:
                    bursts = _bursts(east, server, open_, watchers, seconds)
                    single = _steady(east, server, open_, watchers, seconds, steady)
                told.setdefault(server.name, []).append((bursts, single))
    theirs = told["kube-apiserver"]
    goals = {"TLS": (5, 1.5), "plain": (10, 3)}
    for name, (in_bursts, one_by_one) in goals.items():
        ours = told[name]
        yield _row(f"{name}, bursts of {BURST}", watchers, ours, theirs, 0, in_bursts)
        yield _row(f"{name}, {steady:g} a second", watchers, ours, theirs, 1, one_by_one)
        for quantile in ("p50", "p99"):
            yield Row(
                f"delay {quantile}, {name}, {steady:g} a second, {watchers} watchers",
                median(getattr(single, quantile) for _, single in ours) * 1000,
                median(getattr(single, quantile) for _, single in theirs) * 1000,
                "ms",
                "kube-apiserver",
                1.0,
                less=True,
            )


def _emitter(directory: Path, east: Cluster) -> Program:
    flags = ("--reflector=false", "--emitter.insecure-anonymous")
    return Program(directory, east.kubeconfig(), *flags)


def _served(program: Program) -> list[Server]:
    secure = ("-url", program.secure, "-ca", str(program.ca_file))
    return [
        Server("TLS", secure, program.pid),
        Server("plain", ("-url", program.plain), program.pid),
    ]


def _memory(load: Load, directory: Path, east: Cluster, watchers: int) -> Iterator[Row]:
    """Of watchers that are told nothing; each time in a process that had none before. A Go program
    has room for them before they come, so there is no telling what they cost a kube-apiserver."""
    for number in range(2):
        with _emitter(directory / f"memory-{number}", east) as program:
            server = _served(program)[number]
            before = resident(server.pid)
            with load.start("watch", *server.api, "-path", PATH, "-watchers", watchers):
                grown = max(PAGE, resident(server.pid) - before) / watchers
            yield Row(
                f"memory of a watcher, {server.name}, {watchers} watchers",
                grown / 1e3,
                WATCHER_GOAL / 1e3,
                "kB",
                "the limit",
                1.0,
                less=True,
            )


def _row(
    what: str,
    watchers: int,
    ours: Sequence[tuple[Delivered, Delivered]],
    theirs: Sequence[tuple[Delivered, Delivered]],
    part: int,
    goal: float,
) -> Row:
    return Row(
        f"events per CPU-second, {what}, {watchers} watchers",
        median(one[part].rate for one in ours),
        median(one[part].rate for one in theirs),
        "/s",
        "kube-apiserver, TLS",
        goal,
    )


def _bursts(east: Cluster, server: Server, open_: Any, watchers: int, seconds: float) -> Delivered:
    """Each burst is written when all have had the one before."""
    count = max(2, int(seconds * 50_000 / watchers / BURST))
    began = cpu_seconds(server.pid)
    events = 0
    told: dict[str, Any] = {}
    for _ in range(count):
        east.change(BURST, burst=BURST)
        told = open_.ask(f"await {BURST}")
        events += told["events"]
    return _delivered(server, began, events, count * BURST * watchers, told)


def _steady(
    east: Cluster, server: Server, open_: Any, watchers: int, seconds: float, rate: float
) -> Delivered:
    count = max(10, int(seconds * rate))
    began = cpu_seconds(server.pid)
    east.change(count, rate=rate)
    told = open_.ask(f"await {count}")
    return _delivered(server, began, told["events"], count * watchers, told)


def _delivered(
    server: Server, began: float, events: int, expected: int, told: dict[str, Any]
) -> Delivered:
    if events != expected:
        raise ValueError(f"{server.name}: {events} events instead of {expected}")
    computed = max(cpu_seconds(server.pid) - began, 0.01)  # a tick
    return Delivered(events / computed, told["p50"], told["p99"])
